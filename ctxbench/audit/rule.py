"""The one rule that explains most rows of a table, which rows break it, and what these have instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from ctxbench.audit.counting.aspects import FLOPS, Seen
from ctxbench.audit.counting.conventions import value_of
from ctxbench.audit.counting.tools import EVERY_CALL, LAST_CALL, TOOLS, VIEWS
from ctxbench.audit.findings import Finding, Looked
from ctxbench.audit.quantity import PRINTINGS, Printing, Quantity
from ctxbench.audit.runs import Run
from ctxbench.audit.search import Search

LEAST = 2
"""Rows that a rule explains: of one row its own verdict says more."""


@dataclass(frozen=True)
class Rule:
    """One way to count every row's FLOPs: a view, the treatments by aspect, which unit, and the printing."""

    view: str
    treatments: tuple[tuple[str, str], ...]
    unlikely_unit: int = 0
    printing: Printing = PRINTINGS[0]
    name: str = ""

    @property
    def deviations(self) -> int:
        """How far from plain counting it is; what has a name is one deviation."""
        own = sum(
            treatment.deviations
            for aspect, of in FLOPS.items()
            for treatment in of
            if treatment.words == dict(self.treatments).get(aspect, "")
        )
        counted = own + VIEWS[self.view]
        if self.name:
            counted = min(counted, TOOLS[self.name].deviations)
        return counted + self.unlikely_unit + self.printing.deviations

    @property
    def words(self) -> str:
        """It in words."""
        parts = [" + ".join(words for _, words in self.treatments)]
        parts += [f"as {self.name} counts"] if self.name else []
        parts += [self.view] if self.view in (EVERY_CALL, LAST_CALL) else []
        parts += ["in units of 2³⁰ or 2²⁰"] if self.unlikely_unit else []
        parts += [self.printing.words] if self.printing.deviations else []
        return ", ".join(parts)

    def value(self, views: Mapping[str, Seen], quantity: Quantity) -> float | None:
        """What it makes of a run, in the printed unit; None where it has no such number."""
        view = self.view if self.view in views else EVERY_CALL  # no leaf is called twice
        number = value_of(dict(self.treatments), FLOPS, views[view])
        units = [unit.size for unit in quantity.units if unit.deviations == self.unlikely_unit]
        if not number or not units:
            return None
        return number / min(units, key=lambda size: quantity.distance(number / size))

    def gives(self, views: Mapping[str, Seen], quantity: Quantity) -> bool:
        """Whether it gives the printed digits of a run."""
        value = self.value(views, quantity)
        return value is not None and self.printing.gives(value, quantity.digits)


@dataclass(frozen=True)
class TableRule:
    """A rule with the numbers of the rows that it explains, and those of its rows that it does not.

    ``chance`` is at most that some rule of those tried explains as many of the table's rows.
    """

    rule: Rule
    explained: frozenset[int]
    broken: Mapping[int, str]
    of: int
    chance: float


def table_rules(table: Sequence[Looked], search: Search) -> list[TableRule]:
    """The rule that explains most rows, and another where two rows or more that break it follow that."""
    rows = {
        number: (looked, finding)
        for number, looked in enumerate(table)
        for finding in looked.findings
        if looked.runs and finding.quantity.kind == "FLOPs"
    }
    if len(rows) < LEAST:
        return []
    rules = list(dict.fromkeys(_rules(finding for _, finding in rows.values())))
    explains = {rule: frozenset(_explained(rule, rows, search)) for rule in rules}
    found: list[TableRule] = []
    left = frozenset(rows)
    while left and len(found) < LEAST:
        best = min(rules, key=lambda rule: (-len(explains[rule] & left), rule.deviations, not rule.name))
        if len(explains[best] & left) < LEAST:
            break
        broken = {n: _instead(best, *rows[n], search) for n in left - explains[best]} if not found else {}
        chance = _chance(best, len(explains[best] & left), {n: rows[n] for n in left}, len(rules))
        found.append(TableRule(best, explains[best] & left, broken, len(left), chance))
        left -= explains[best]
    return found


def _rules(findings: Iterable[Finding]) -> Iterator[Rule]:
    """The plain ones, those of counters by name, and those that the rows' own fits are."""
    for printing in PRINTINGS:
        for treatment in FLOPS["products"]:
            for view in VIEWS:
                yield Rule(view, (("products", treatment.words),), printing=printing)
        for name, tool in TOOLS.items():
            yield Rule(tool.view, tuple(tool.treatments.items()), printing=printing, name=name)
    for finding in findings:
        if finding.fit is None or finding.fit.printing is None:
            continue
        counted = finding.fit.candidates[0]
        yield Rule(finding.fit.view, counted.treatments, counted.unlikely_unit, finding.fit.printing)


def _explained(rule: Rule, rows: Mapping[int, tuple[Looked, Finding]], search: Search) -> Iterator[int]:
    for number, (looked, finding) in rows.items():
        if any(rule.gives(search.seen_by_view(run), finding.quantity) for run in _named(looked)):
            yield number


def _named(looked: Looked) -> list[Run]:
    """The runs that a row names: as it says, or every one that it leaves open."""
    return [run for run in looked.runs if not run.deviations]


def _instead(rule: Rule, looked: Looked, finding: Finding, search: Search) -> str:
    """What a row that breaks the rule has instead of it."""
    for run in looked.runs:
        if run.deviations and rule.gives(search.seen_by_view(run), finding.quantity):
            return f"the same rule for another input or configuration: {run.words}"
    if finding.verdict in ("reproduced", "misleading"):
        return f"another rule: {finding.convention}"
    value = rule.value(search.seen_by_view(_named(looked)[0]), finding.quantity)
    return "no rule found" if value is None else f"off by {finding.quantity.off(value)} from it"


def _chance(rule: Rule, explained: int, rows: Mapping[int, tuple[Looked, Finding]], tried: int) -> float:
    """At most the chance that some rule of so many explains so many rows of random numbers."""
    shares = [
        min(1.0, len(_named(looked)) * finding.quantity.share(rule.printing))
        for looked, finding in rows.values()
    ]
    share, n = sum(shares) / len(shares), len(shares)
    tail = sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(explained, n + 1))
    return min(1.0, tried * tail)
