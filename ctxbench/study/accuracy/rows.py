"""What blocks scored in a study, each held against no context and a baseline. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from ctxbench.measure.records import Record
from ctxbench.study.accuracy.compare import Difference, Scored, difference
from ctxbench.study.accuracy.plan import Planned
from ctxbench.study.significance import holm


@dataclass(frozen=True)
class Row:
    """A block: what it scored, how that stands to no context and to the baseline, and its cost's record.

    ``reasons`` are why seeds have no score, by seed.
    """

    name: str
    scored: Scored | None
    reasons: Mapping[int, str]
    to_none: Difference | None = None
    to_baseline: Difference | None = None
    record: Record | None = None

    @property
    def miou(self) -> tuple[float, ...]:
        """In %, by seed."""
        return self.scored.miou if self.scored else ()

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Of pixels, in %, by seed."""
        return self.scored.accuracy if self.scored else ()

    @property
    def reason(self) -> str:
        """Why it lacks scores, in one line."""
        by_reason: dict[str, list[int]] = {}
        for seed, reason in self.reasons.items():
            by_reason.setdefault(reason, []).append(seed)
        return "; ".join(
            f"{reason} (seed {', '.join(map(str, seeds))})" for reason, seeds in by_reason.items()
        )


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean, and the sample's standard deviation; None of too few."""
    return (fmean(values) if values else None, stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Studied:
    """A study as it stands: its plan, what is known of its images, and its rows, that of no context first.

    ``about`` has the names of the ``classes``.
    """

    plan: Planned
    about: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def conditions(self) -> str:
        """What is trained and evaluated on, and from how many seeds, in one line."""
        return f"{self.plan.conditions(self.about)} · n = {len(self.plan.seeds)} seeds"


def compared(found: Sequence[Row], baseline: int | None) -> list[Row]:
    """The rows with their differences, p corrected for the number of all that are made.

    The first is no context module; ``baseline`` is the index of a block among the others.
    """
    place_of_baseline = None if baseline is None else baseline + 1
    differences: dict[tuple[int, bool], Difference] = {}
    for number, row in enumerate(found):
        for other, is_baseline in ((0, False), (place_of_baseline, True)):
            if other is None or other == number or (is_baseline and number == 0):
                continue
            ours, theirs = row.scored, found[other].scored
            if ours is not None and theirs is not None and (made := difference(ours, theirs)) is not None:
                differences[number, is_baseline] = made
    corrected = holm([one.p for one in differences.values()])
    for place, p in zip(differences, corrected, strict=True):
        differences[place] = replace(differences[place], p=p)
    return [
        replace(row, to_none=differences.get((number, False)), to_baseline=differences.get((number, True)))
        for number, row in enumerate(found)
    ]
