"""Statistics of latency samples. Pure functions of ``rounds_ms``: a list of samples in ms for each round.

Samples of one round share the state of the machine, so the *rounds* are the independent unit: confidence
intervals come from a bootstrap that redraws whole rounds (a cluster bootstrap). With few rounds percentile
intervals are too narrow; their levels are widened as Hesterberg (2015, "What teachers should know about the
bootstrap", section 4.1, expanded percentile interval) derives from Student's t.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, hypot, log, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rounds = Sequence[Sequence[float]]
Verdict = Literal["SAME", "FASTER", "SLOWER", "UNCLEAR"]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

CONFIDENCE = 0.95
NOISY = 0.05
"""A row is noisy where the half-width of its interval is wider than this share of the median."""
P99_SAMPLES = 662
"""Samples from which p99 is shown: fewer leave too little of the tail to bound it at 95 %."""
MIN_ROUNDS = 5
"""Rounds below which no interval is given: redrawing fewer covers the median too seldom (73 % with three)."""
_REDRAWS = 1000
_SEED = 20200831


@dataclass(frozen=True)
class Summary:
    """A case's latency in ms. ``None`` where there are too few samples; an interval needs five rounds."""

    n: int
    rounds: int
    median_ms: float | None = None
    lo_ms: float | None = None
    hi_ms: float | None = None
    q1_ms: float | None = None
    q3_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None

    @property
    def iqr_ms(self) -> float | None:
        """Interquartile range."""
        return None if self.q1_ms is None or self.q3_ms is None else self.q3_ms - self.q1_ms

    @property
    def half_width(self) -> float | None:
        """Half the interval's width as a share of the median."""
        if self.median_ms is None or self.lo_ms is None or self.hi_ms is None:
            return None
        return (self.hi_ms - self.lo_ms) / (2 * self.median_ms)

    @property
    def is_noisy(self) -> bool:
        """The median is known worse than ±5 %, or not known how well."""
        return self.n > 0 and (self.half_width is None or self.half_width > NOISY)


def summary(rounds_ms: Rounds) -> Summary:
    """Median with its 95 % interval, quartiles and tail percentiles of all samples; outliers are kept."""
    rounds = _sampled(rounds_ms)
    if not rounds:
        return Summary(n=0, rounds=0)
    samples = np.concatenate(rounds)
    median, q1, q3, p90, p99 = (float(q) for q in np.percentile(samples, (50, 25, 75, 90, 99)))
    lo, hi = _interval(_bootstrap_medians(rounds), len(rounds)) if len(rounds) >= MIN_ROUNDS else (None, None)
    return Summary(
        n=samples.size,
        rounds=len(rounds),
        median_ms=median,
        lo_ms=lo,
        hi_ms=hi,
        q1_ms=q1,
        q3_ms=q3,
        p90_ms=p90,
        p99_ms=p99 if samples.size >= P99_SAMPLES else None,
    )


def ratio(a_ms: Rounds, b_ms: Rounds) -> tuple[float, float, float]:
    """Ratio of medians b / a with its 95 % interval: above 1 where b is slower.

    Raises ValueError where either side has fewer than five rounds with samples.
    """
    a, b = _sampled(a_ms), _sampled(b_ms)
    fewest = min(len(a), len(b))
    if fewest < MIN_ROUNDS:
        raise ValueError(f"a ratio needs {MIN_ROUNDS} rounds on both sides, not {len(a)} and {len(b)}")
    lo, hi = _interval(_bootstrap_medians(b, _SEED + 1) / _bootstrap_medians(a), fewest)
    return float(np.median(np.concatenate(b)) / np.median(np.concatenate(a))), lo, hi


def widened(ratio: float, lo: float, hi: float, between_runs: float) -> tuple[float, float, float]:
    """A ratio whose interval holds, beside what rounds show, what two runs differ by though nothing did.

    ``between_runs`` is the half-width of the 95 % interval of that difference, of the ratio's logarithm. The
    two add as independent errors do; 0 changes nothing.
    """
    if not between_runs:
        return ratio, lo, hi
    down, up = (hypot(log(ratio / lo), between_runs), hypot(log(hi / ratio), between_runs))
    return ratio, ratio * exp(-down), ratio * exp(up)


def simultaneous(
    ratio: float, lo: float, hi: float, rounds: int, comparisons: int
) -> tuple[float, float, float]:
    """A ratio whose 95 % interval is one of ``comparisons`` that hold all together at 95 %.

    Bonferroni: each is then at ``1 - 0.05 / comparisons``, whatever the ratios have in common. Redraws of so
    few rounds do not reach that far, so that the interval's ends move away from the ratio, on the logarithmic
    scale, as the quantiles of Student's t do with ``rounds - 1`` degrees of freedom: ``rounds`` are those of
    the side that has fewer. One comparison changes nothing.
    """
    if comparisons < 2:
        return ratio, lo, hi
    stretch = _student_t(rounds - 1, comparisons) / _student_t(rounds - 1)
    down, up = min(lo / ratio, 1.0), max(hi / ratio, 1.0)  # redraws of few rounds may leave the ratio out
    return ratio, ratio * down**stretch, ratio * up**stretch


def between_runs_needed(ratio: float, lo: float, hi: float) -> float:
    """The least ``between_runs`` with which :func:`widened` gives an interval that holds 1."""
    of_rounds = log(ratio / lo) if ratio > 1 else log(hi / ratio)
    return sqrt(max(0.0, log(ratio) ** 2 - of_rounds**2))


def verdict(ratio: float, lo: float, hi: float, threshold: float = 0.0) -> Verdict:
    """Judge by a ratio of medians new / old and its interval whether there was a change of ``threshold``.

    SLOWER: surely above 1 (``lo > 1``) and by the threshold (``ratio >= 1 + threshold``). FASTER: the same
    of the inverse ratio. SAME: the whole interval lies within the threshold on both sides. Else UNCLEAR.
    """
    slower, faster = 1 + threshold, 1 / (1 + threshold)
    if lo > 1 and ratio >= slower:
        return "SLOWER"
    if hi < 1 and ratio <= faster:
        return "FASTER"
    return "SAME" if faster <= lo and hi <= slower else "UNCLEAR"


def _sampled(rounds_ms: Rounds) -> list[Floats]:
    return [np.asarray(samples, dtype=np.float64) for samples in rounds_ms if len(samples)]


def _bootstrap_medians(rounds: list[Floats], seed: int = _SEED) -> Floats:
    """Medians of ``_REDRAWS`` redraws of whole rounds, each as a weighted median of the sorted samples."""
    samples = np.concatenate(rounds)
    order = np.argsort(samples, kind="stable")
    of_round = np.repeat(np.arange(len(rounds)), [len(r) for r in rounds])[order]
    upto = np.cumsum(of_round[:, None] == np.arange(len(rounds)), axis=0, dtype=np.float32)
    shares = np.full(len(rounds), 1 / len(rounds))
    drawn = np.random.default_rng(seed).multinomial(len(rounds), shares, _REDRAWS)
    weights = drawn.astype(np.float32)  # whole numbers, which float32 sums exactly
    half = weights @ upto[-1] / 2

    def below(sample: Places) -> Floats:  # of each redraw: samples drawn up to this one
        sums: Floats = np.einsum("dr,dr->d", weights, upto[sample])
        return sums

    lower = _first(lambda sample: below(sample) >= half, samples.size)
    upper = _first(lambda sample: below(sample) > half, samples.size)
    medians: Floats = (samples[order][lower] + samples[order][upper]) / 2
    return medians


def _first(is_there: Callable[[Places], Flags], size: int) -> Places:
    """The first of ``size`` places, for each redraw, from which on ``is_there`` holds: found by halving."""
    low, high = np.zeros(_REDRAWS, dtype=np.intp), np.full(_REDRAWS, size - 1)
    while (low < high).any():
        middle = (low + high) // 2
        there = is_there(middle)
        low, high = np.where(there, low, middle + 1), np.where(there, middle, high)
    return low


def _interval(redrawn: Floats, rounds: int) -> tuple[float, float]:
    tail = NormalDist().cdf(-sqrt(rounds / (rounds - 1)) * _student_t(rounds - 1))
    lo, hi = np.quantile(redrawn, (tail, 1 - tail))
    return float(lo), float(hi)


def _student_t(freedom: int, comparisons: int = 1) -> float:
    """Quantile of Student's t at 95 % for ``comparisons`` together, two-sided."""
    from scipy.special import stdtrit  # here, since whoever asks for no interval need not wait for it

    return float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / (2 * comparisons)))
