"""Whether a difference between two rows is more than the scatter of seeds.

A two-sided paired t-test over seeds; the p-values of a table are corrected by Holm (1979) for their number.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy import stats

LEVEL = 0.05


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: the k-th smallest of m times m - k + 1, never below the one before.

    None is no test: it stays, and does not count.
    """
    tested = [place for place, value in enumerate(p) if value is not None]
    values = np.array([p[place] for place in tested], float)
    order = np.argsort(values)
    steps = np.maximum.accumulate(values[order] * np.arange(len(tested), 0, -1))
    corrected: list[float | None] = [None] * len(p)
    for rank, value in zip(order, steps, strict=True):
        corrected[tested[rank]] = min(float(value), 1.0)
    return corrected


def power_in_words(seeds: int) -> str:
    """What a paired t-test over so many seeds can see."""
    if seeds < 2:
        return "One seed: nothing can be tested, and no difference is called significant."
    needed = float(stats.t.ppf(1 - LEVEL / 2, seeds - 1)) / sqrt(seeds)
    return (
        f"n = {seeds} seeds: even before the correction, a difference must be {needed:.1f} times its own "
        "standard deviation over seeds to reach p < 0.05. What is not significant is not shown to be absent."
    )


def paired_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of a t-test that differences, one for each seed, have mean 0; None below two of them."""
    if len(differences) < 2:
        return None
    if len(set(differences)) == 1:  # no scatter: t is infinite, or 0/0
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0).pvalue)
