"""How often the comparison of two runs was right: its verdicts on cases whose difference is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

import numpy as np
from scipy.special import bdtr, betaincinv

from ctxbench.calibration.runs import ADDED_PCT, SIZES, case
from ctxbench.measure import stats
from ctxbench.measure.folder import Run
from ctxbench.report.comparison.difference import THRESHOLD, Difference, difference

ALPHA = 1 - stats.CONFIDENCE
ALL = "all"
"""The rows of every size together."""


@dataclass(frozen=True)
class Pair:
    """Two measured cases of a size, of which the second has ``added_pct`` percent more work."""

    size: str
    added_pct: int
    couple: int
    """Which two runs they are of, from 0."""
    by_rounds: Difference
    """As their rounds alone have it."""
    found: Difference | None = None
    """As it is with what the *other* couples say that runs differ by; None where these are too few to say."""


@dataclass(frozen=True)
class Rate:
    """How many pairs of a size, or of all, with so much work added were called different."""

    size: str
    added_pct: int
    pairs: tuple[Pair, ...]
    real: tuple[float, float, float] | None = None
    """Ratio of time that the added work really makes, and its 95 % interval: of all runs together."""

    @property
    def share_by_rounds(self) -> float:
        """Share that would be called different if runs differed by nothing but what their rounds show."""
        return sum(self._is_told(pair.by_rounds) for pair in self.pairs) / len(self.pairs)

    @property
    def told(self) -> int | None:
        """Pairs that were called different: equal ones at all, others the right way round."""
        found = self._found
        return sum(map(self._is_told, found)) if found else None

    @property
    def share(self) -> float | None:
        """Share of the pairs that were called different: false alarms where nothing was added."""
        return None if self.told is None else self.told / len(self.pairs)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval."""
        return None if self.told is None else clopper_pearson(self.told, len(self.pairs))

    @property
    def beyond_threshold(self) -> float | None:
        """Share of the pairs that ``ctxbench compare`` calls SLOWER or FASTER at its default threshold."""
        changed = [each.verdict in ("SLOWER", "FASTER") for each in self._found]
        return sum(changed) / len(changed) if changed else None

    @property
    def smallest_told(self) -> float | None:
        """Median over the pairs of the smallest difference that they could have told, as a share."""
        smallest = [each.smallest_told for each in self._found if each.smallest_told is not None]
        return float(np.median(smallest)) if smallest else None

    @property
    def _found(self) -> list[Difference]:
        """The pairs as they were judged; none where not all could be, since a share is of all."""
        found = [pair.found for pair in self.pairs if pair.found is not None]
        return found if len(found) == len(self.pairs) else []

    def _is_told(self, found: Difference) -> bool:
        _, lo, hi = _numbers(found)
        return lo > 1 or (self.added_pct == 0 and hi < 1)


def pairs(runs: Sequence[Run]) -> list[Pair]:
    """Every pair that could be compared, the first run with the second, the third with the fourth."""
    couples = enumerate(zip(runs[::2], runs[1::2], strict=False))
    found = [pair for n, (a, b) in couples for pair in _pairs(n, a, b) if pair.by_rounds.ratio is not None]
    others = {n: between_runs(p for p in found if p.couple != n) for n in {pair.couple for pair in found}}
    return [_judged(pair, others[pair.couple]) for pair in found]


def between_runs(found: Iterable[Pair]) -> float | None:
    """What two runs differ by though nothing did, for :func:`ctxbench.measure.stats.widened`.

    The least with which a further pair of equal cases, exchangeable with these, is called different in at
    most 5 % (the quantile of a conformal prediction: Vovk, Gammerman and Shafer 2005). None below 19 pairs.
    """
    needed = sorted(
        stats.between_runs_needed(*_numbers(pair.by_rounds)) for pair in found if pair.added_pct == 0
    )
    rank = ceil((len(needed) + 1) * stats.CONFIDENCE)
    return needed[rank - 1] if rank <= len(needed) else None


def rates(found: Sequence[Pair], runs: Sequence[Run]) -> list[Rate]:
    """For each size and all together, and each share of added work, how its pairs were called."""
    rows = []
    for size, pct in product((*SIZES, ALL), ADDED_PCT):
        chosen = tuple(p for p in found if size in (p.size, ALL) and p.added_pct == pct)
        if chosen:
            rows.append(Rate(size, pct, chosen, real_ratio(runs, size, pct) if pct and size != ALL else None))
    return rows


def _pairs(couple: int, a: Run, b: Run) -> Iterator[Pair]:
    """The pairs that two runs give: every case and its equal, and a case of either with added work."""
    of_a, of_b = ({record.case.id: record for record in run.records} for run in (a, b))
    device = a.plan.cases[0].device
    for size in SIZES:
        ids = {pct: case(size, pct, device).id for pct in ADDED_PCT}
        for pct in ADDED_PCT:
            yield Pair(size, 0, couple, difference(of_a[ids[pct]], of_b[ids[pct]], THRESHOLD))
        for pct in ADDED_PCT[1:]:
            yield Pair(size, pct, couple, difference(of_a[ids[0]], of_b[ids[pct]], THRESHOLD))
            yield Pair(size, pct, couple, difference(of_b[ids[0]], of_a[ids[pct]], THRESHOLD))


def _judged(pair: Pair, between: float | None) -> Pair:
    if between is None:
        return pair
    ratio, lo, hi = stats.widened(*_numbers(pair.by_rounds), between)
    found = replace(pair.by_rounds, lo=lo, hi=hi, verdict=stats.verdict(ratio, lo, hi, THRESHOLD))
    return replace(pair, found=found)


def _numbers(found: Difference) -> tuple[float, float, float]:
    """The ratio and its interval, of a pair that could be compared."""
    assert found.ratio is not None
    assert found.lo is not None
    assert found.hi is not None
    return found.ratio, found.lo, found.hi


def clopper_pearson(told: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a binomial share (Clopper and Pearson 1934)."""
    low = float(betaincinv(told, of - told + 1, ALPHA / 2)) if told else 0.0
    high = float(betaincinv(told + 1, of - told, 1 - ALPHA / 2)) if told < of else 1.0
    return low, high


def real_ratio(runs: Sequence[Run], size: str, pct: int) -> tuple[float, float, float] | None:
    """The ratio that added work really makes: the median over all runs of that of medians within a run.

    With its 95 % interval, which rests on the order of the runs' ratios alone; None below six runs, which
    is too few for one.
    """
    ratios = []
    for run in runs:
        of = {record.case.id: record.latency.median_ms for record in run.records}
        device = run.plan.cases[0].device
        plain, more = of[case(size, 0, device).id], of[case(size, pct, device).id]
        if plain and more:
            ratios.append(more / plain)
    ratios.sort()
    beyond = [rank for rank in range(len(ratios) // 2) if 2 * bdtr(rank, len(ratios), 0.5) <= ALPHA]
    if not beyond:
        return None
    return float(np.median(ratios)), ratios[beyond[-1]], ratios[-1 - beyond[-1]]
