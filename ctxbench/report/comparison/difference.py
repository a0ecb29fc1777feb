"""The latencies of two records: their ratio with its interval, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from ctxbench.measure import stats
from ctxbench.measure.records import Record
from ctxbench.subject.case import Case

FAILED = "FAILED"
NOT_MEASURED = "NOT MEASURED"
THRESHOLD = 0.05
"""The share by which a median has grown where it is called SLOWER, if nothing is said."""


@dataclass(frozen=True)
class Difference:
    """A pair of records. ``ratio`` is B's median latency over A's, ``lo`` to ``hi`` its 95 % interval.

    Where it is one of several, their intervals hold all together at 95 %. ``verdict`` is SAME, FASTER, SLOWER
    or UNCLEAR; FAILED where A was measured and B ended in an error; NOT MEASURED where either side lacks the
    rounds a ratio needs. ``reason`` says why, or what else than what is compared differs.
    """

    a: Record
    b: Record
    verdict: str
    ratio: float | None = None
    lo: float | None = None
    hi: float | None = None
    reason: str = ""

    @property
    def case(self) -> Case:
        """The case of B, which is also A's where runs are compared."""
        return self.b.case

    @property
    def smallest_told(self) -> float | None:
        """The smallest difference, as a share, whose interval would not have held 1; None without one.

        It is how far the ratio's interval reaches, by a factor, on its wider side.
        """
        if self.ratio is None or self.lo is None or self.hi is None:
            return None
        return max(self.ratio / self.lo, self.hi / self.ratio) - 1


def obstacle(a: Record, b: Record, called: tuple[str, str] = ("A", "B")) -> tuple[str, str] | None:
    """Why there is no ratio of two records, as a verdict and a reason; None where there is one."""
    # A case that B merely did not come to is no failure of the code.
    if a.status == "ok" and b.status not in ("ok", "interrupted"):
        return FAILED, f"{b.status} in {called[1]}: {b.reason}"
    for which, record in zip(called, (a, b), strict=True):
        if record.latency.rounds < stats.MIN_ROUNDS:
            why = (
                record.reason
                or record.reasons.get("rounds_ms")
                or f"fewer than {stats.MIN_ROUNDS} rounds of samples"
            )
            return NOT_MEASURED, f"{which}: {why}"
    return None


def difference(
    a: Record,
    b: Record,
    threshold: float,
    between_runs: float = 0.0,
    *,
    comparisons: int = 1,
    called: tuple[str, str] = ("A", "B"),
) -> Difference:
    """Judge the latencies of two records, B's over A's; ``threshold`` is a share.

    ``between_runs`` is as in :func:`ctxbench.measure.stats.widened`, ``comparisons`` as in
    :func:`ctxbench.measure.stats.simultaneous`; ``called`` is what a reason calls the two.
    """
    if (found := obstacle(a, b, called)) is not None:
        return Difference(a, b, found[0], reason=found[1])
    alone = stats.widened(*stats.ratio(a.rounds_ms, b.rounds_ms), between_runs)
    fewest = min(a.latency.rounds, b.latency.rounds)
    ratio, lo, hi = stats.simultaneous(*alone, fewest, comparisons)
    return Difference(a, b, stats.verdict(ratio, lo, hi, threshold), ratio, lo, hi)
