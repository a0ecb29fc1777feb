"""The conventions of counters, as a space to search.

A *convention* is one treatment of each aspect (:mod:`ctxbench.audit.counting.aspects`), and its number is the
sum of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctxbench.audit.counting.aspects import FLOPS, Aspects, Seen, Treatment
from ctxbench.audit.counting.tools import (
    EVERY_CALL,
    LAST_CALL,
    LEAF_RULE,
    LEAF_RULE_MEMORY,
    TOOLS,
    VIEWS,
)

_LEAF_RULE = {**LEAF_RULE, **LEAF_RULE_MEMORY}


class Convention(NamedTuple):
    """A number, and the treatments that give it, by aspect; those that count nothing are left out."""

    value: int
    treatments: dict[str, str]
    deviations: int
    tools: tuple[str, ...] = ()
    """The counters whose rule it is on what was seen."""

    @property
    def words(self) -> str:
        """The treatments, in words, and whose rule they are."""
        whose = f", as {' or '.join(self.tools)} counts" if self.tools else ""
        return " + ".join(self.treatments.values()) + whose


class Conventions(Sequence[Convention]):
    """Every combination of treatments that differ on what was seen, each a convention; arithmetic on arrays.

    Of two treatments that do not differ the plainer is taken. ``values`` are the numbers, ``deviations`` how
    far each is from plain counting, ``unlike_leaf_rule`` how many treatments are not the leaf rule's.
    ``of_macs`` are the places of those that are the rule of a counter of MACs.
    """

    def __init__(self, aspects: Aspects, seen: Seen) -> None:
        self.aspects = aspects
        kept = [_distinct(treatments, seen) for treatments in aspects.values()]
        self._treatments = [list(by_number.values()) for by_number in kept]
        self._sizes = tuple(map(len, kept))
        deviations = _sums([[treatment.deviations for treatment in of] for of in self._treatments])
        tools = self._tools(seen)
        for which, names in tools.items():
            least = min(TOOLS[name].deviations for name in names)
            deviations[which] = min(deviations[which], max(least - VIEWS[seen.view], 0))
        self._names = {which: tuple(names) for which, names in tools.items()}
        self.of_macs = [which for which, names in tools.items() if any(TOOLS[n].is_of_macs for n in names)]
        self.deviations = deviations
        self.values = _sums([list(by_number) for by_number in kept])
        self.unlike_leaf_rule = _sums(
            [
                [bool(t.words) and _LEAF_RULE.get(aspect) != t.words for t in of]
                for aspect, of in zip(aspects, self._treatments, strict=True)
            ]
        )

    def _tools(self, seen: Seen) -> dict[int, list[str]]:
        """The counters of this view by the combination that is their rule, but for the plain one."""
        if self.aspects is not FLOPS:
            return {}
        found: dict[int, list[str]] = {}
        for name, tool in TOOLS.items():
            view = EVERY_CALL if tool.view == LAST_CALL and not seen.repeats else tool.view
            if view != seen.view:
                continue
            numbers = (_number(of, tool.treatments.get(aspect, ""), seen) for aspect, of in FLOPS.items())
            chosen = [
                next(i for i, treatment in enumerate(of) if treatment.number(seen) == number)
                for of, number in zip(self._treatments, numbers, strict=True)
            ]
            if any(of[i].deviations for of, i in zip(self._treatments, chosen, strict=True)):
                found.setdefault(int(np.ravel_multi_index(chosen, self._sizes)), []).append(name)
        return found

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Any) -> Any:
        if which >= len(self):
            raise IndexError(which)
        chosen = np.unravel_index(which, self._sizes)
        treatments = [of[int(i)] for of, i in zip(self._treatments, chosen, strict=True)]
        words = {aspect: t.words for aspect, t in zip(self.aspects, treatments, strict=True) if t.words}
        tools = self._names.get(int(which), ())
        return Convention(int(self.values[which]), words, int(self.deviations[which]), tools)


def _sums(terms: Sequence[Any]) -> NDArray[np.int64]:
    """The sum of one term of each list, for every combination, in the order of nested loops."""
    sums = np.zeros(1, dtype=np.int64)
    for of in terms:
        sums = (sums[:, None] + np.asarray(of, dtype=np.int64)[None]).reshape(-1)  # (combinations,)
    return sums


def value_of(treatments: Mapping[str, str], aspects: Aspects, seen: Seen) -> int | None:
    """What the treatments of these words, by aspect, make of a run; None where the view does not show it."""
    numbers = [_number(of, treatments.get(aspect, ""), seen) for aspect, of in aspects.items()]
    return None if None in numbers else sum(number for number in numbers if number is not None)


def _number(treatments: Sequence[Treatment], words: str, seen: Seen) -> int | None:
    return next(treatment.number(seen) for treatment in treatments if treatment.words == words)


def _distinct(treatments: Sequence[Treatment], seen: Seen) -> dict[int, Treatment]:
    by_number: dict[int, Treatment] = {}
    for treatment in sorted(treatments, key=lambda treatment: treatment.deviations):
        number = treatment.number(seen)
        if number is not None:
            by_number.setdefault(number, treatment)
    return by_number


def leaf_rule(aspects: Aspects, seen: Seen) -> int | None:
    """What the leaf rule makes of a run, in operations or bytes; None where the view does not show it."""
    return value_of(_LEAF_RULE, aspects, seen)
