"""What the plans of studies have in common, whatever they train. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ctxbench.errors import UserError
from ctxbench.study.files import Made
from ctxbench.subject.case import Case
from ctxbench.subject.resolve import label

PLAN = "study.json"
"""In a study's folder."""
SEEDS, QUICK_SEEDS, MOST_SEEDS = 3, 2, 100
QUICK_STEPS = 150


class Planned(Made, Protocol):
    """What is asked of a study's plan, whatever it trains."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings."""

    @property
    def baseline(self) -> int | None:
        """The index of the block that others are compared with too."""

    @property
    def settings(self) -> dict[str, Any]:
        """Of every training."""

    @property
    def log(self) -> tuple[str, ...]:
        """Loggers that get what was found."""

    @property
    def trained(self) -> str:
        """What is trained, in a few words: ``on frozen features``."""

    def conditions(self, about: Mapping[str, Any]) -> str:
        """What is trained and evaluated on, in one line."""

    @property
    def notes(self) -> list[str]:
        """What its numbers are, and are not."""

    @property
    def interval(self) -> str:
        """What its intervals are of."""


def seeds_of(count: int | None, quick: bool) -> tuple[int, ...]:
    """The seeds of a study. Raises UserError for a number that makes no sense."""
    count = count if count is not None else QUICK_SEEDS if quick else SEEDS
    if not 1 <= count <= MOST_SEEDS:
        raise UserError(f"a study takes 1 to {MOST_SEEDS} seeds, not {count}")
    return tuple(range(count))


def place_of(baseline: str | None, cases: Sequence[Case]) -> int | None:
    """The index of a block. Raises UserError where it is not among them."""
    if baseline is None:
        return None
    known = [label(case.module) for case in cases]
    if label(baseline) not in known:
        raise UserError(f"the baseline {baseline!r} is not among the blocks: {', '.join(known)}")
    return known.index(label(baseline))
