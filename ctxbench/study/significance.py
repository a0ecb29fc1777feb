"""Whether a difference between two rows is more than the scatter of seeds.

Runs of one seed see the same data in the same order, so rows are compared seed by seed: a two-sided paired
t-test, its p-values corrected by Holm (1979) for the number of comparisons in the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

import numpy as np
from scipy import stats

LEVEL = 0.05
APPEARED, DID_NOT, NOT_SIGNIFICANT = "appeared", "did not appear", "not significant"


@dataclass(frozen=True)
class Difference:
    """A row's mIoU less that of its reference row, in points: the mean over ``seeds`` that both have.

    ``p`` is Holm's; None where there are fewer than two seeds, and so no test.
    """

    mean: float
    seeds: int
    p: float | None = None

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05."""
        return self.p is not None and self.p < LEVEL

    def direction(self, printed: float) -> str:
        """Whether a difference of the sign of the printed one appeared, :data:`APPEARED` or another."""
        if not self.significant:
            return NOT_SIGNIFICANT
        return APPEARED if self.mean * printed > 0 else DID_NOT


def differences(
    pairs: Sequence[tuple[Mapping[int, float], Mapping[int, float]] | None],
) -> list[Difference | None]:
    """Compare rows with their references, each mIoU by seed; None where there is no reference, or no seed."""
    found = [None if pair is None else _by_seed(*pair) for pair in pairs]
    raw = [None if values is None else _p(values) for values in found]
    tested = [index for index, p in enumerate(raw) if p is not None]
    corrected = dict(zip(tested, holm([p for p in raw if p is not None]), strict=True))
    return [
        None if not values else Difference(fmean(values), len(values), corrected.get(index))
        for index, values in enumerate(found)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the k-th smallest of m times m - k + 1, never below the one before."""
    order = np.argsort(p)
    steps = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def power_in_words(seeds: int) -> str:
    """What a paired t-test over so many seeds can see."""
    if seeds < 2:
        return "One seed: nothing can be tested, and no difference is called significant."
    needed = float(stats.t.ppf(1 - LEVEL / 2, seeds - 1)) / sqrt(seeds)
    return (
        f"n = {seeds} seeds: even before the correction, a difference must be {needed:.1f} times its own "
        "standard deviation over seeds to reach p < 0.05. What is not significant is not shown to be absent."
    )


def _by_seed(ours: Mapping[int, float], reference: Mapping[int, float]) -> list[float]:
    return [ours[seed] - reference[seed] for seed in sorted(ours.keys() & reference.keys())]


def _p(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    if len(set(values)) == 1:  # no scatter: t is infinite, or 0/0
        return float(values[0] == 0)
    return float(stats.ttest_1samp(values, 0).pvalue)
