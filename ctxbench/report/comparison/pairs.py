"""Which records are compared with which: what is equal is joined, what differs is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctxbench.measure.records import Record
from ctxbench.report.comparison.axis import MODULE, RUN, Axis
from ctxbench.report.several import other_machine
from ctxbench.subject.expression import shown
from ctxbench.subject.registry import SINGLE

OTHER_MACHINE = "another machine"
"""How a pair of several machines is marked."""


@dataclass(frozen=True)
class Pair:
    """A record and the one at the baseline that it is held against; ``but`` names what else differs."""

    a: Record
    b: Record
    but: str


def pairs(axis: Axis, baseline: Any) -> tuple[list[Pair], dict[str, list[Record]]]:
    """Every record with the one at the baseline that is equal in all else, and those that have none.

    The latter are under the value of the axis that they have, each of which is there.
    """
    at_baseline: dict[str, list[Record]] = {}
    for record in axis.records:
        if axis.has(record) and axis.value(record) == baseline:
            at_baseline.setdefault(_rest(axis, record), []).append(record)
    found = []
    alone: dict[str, list[Record]] = {axis.word(value): [] for value in (baseline, *axis.values)}
    for record in filter(axis.has, axis.records):
        if axis.value(record) != baseline:
            if candidates := at_baseline.get(_rest(axis, record)):
                a = _nearest(record, candidates)
                found.append(Pair(a, record, "; ".join(_differences(axis, a, record))))
            else:
                alone[axis.word(axis.value(record))].append(record)
    used = {id(pair.a) for pair in found}
    alone[axis.word(baseline)] += [r for of in at_baseline.values() for r in of if id(r) not in used]
    return found, alone


def _rest(axis: Axis, record: Record) -> str:
    """All of a case that must be equal in a pair, as text."""
    case = record.case.to_json()
    values = {name: value for name, value in case.items() if name not in (*axis.fields, "rule_options")}
    if axis.is_option:
        values["options"] = {name: value for name, value in case["options"].items() if name != axis.name}
    return json.dumps(values, sort_keys=True)


def _nearest(record: Record, candidates: Sequence[Record]) -> Record:
    """Of several that a record could be held against: of its own run, then most alike, then the first."""

    def likeness(other: Record) -> tuple[bool, bool, int]:
        a, b = other.case, record.case
        equal = [name for name, value in b.options.items() if a.options.get(name) == value]
        return other.origin == record.origin, a.implementation == b.implementation, len(equal)

    return max(candidates, key=likeness)


def _differences(axis: Axis, a: Record, b: Record) -> list[str]:
    """What else than the axis differs in a pair: form and options, run, and the facts of the machines."""
    said = []
    forms = (b.case.implementation, a.case.implementation)
    if axis.name == MODULE:
        configs = {r.case.config for r in axis.records if r.case.module == a.case.module}
        said += (
            [f"over {axis.word(a.case.module)} with {a.case.config or 'its defaults'}"]
            if len(configs) > 1
            else []
        )
        said += [f"{forms[0]} form over {forms[1]}"] if SINGLE not in forms and forms[0] != forms[1] else []
    elif "options" in axis.fields:
        names = dict.fromkeys((*b.case.options, *a.case.options))
        of_both = {name: [shown(of.case.options.get(name)) for of in (b, a)] for name in names}
        said += [f"{name}={own} over {theirs}" for name, (own, theirs) in of_both.items() if own != theirs]
    if a.origin and b.origin and a.origin != b.origin:
        runs = f"run {b.origin.letter} over {a.origin.letter}"
        said += [runs] if axis.name != RUN else []
        if a.case.device == b.case.device and (machines := other_machine(a, b)):
            facts = ", ".join(f"{name} {own} over {theirs}" for name, (theirs, own) in machines.items())
            said.append(f"{OTHER_MACHINE}: {facts}")
    return said
