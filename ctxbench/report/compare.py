"""Two runs compared case by case: the ratio of their latencies with its interval, and a verdict."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ctxbench.errors import UserError
from ctxbench.measure import stats
from ctxbench.measure.folder import Run, read_run
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED, IDENTITY
from ctxbench.report.layout import title
from ctxbench.report.view import common, conditions, grouped
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, frame, lay_out, raw, significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result

FAILED = "FAILED"
NOT_MEASURED = "NOT MEASURED"
THRESHOLD = 0.05
"""The share by which a median has grown where it is called SLOWER, if nothing is said."""


@dataclass(frozen=True)
class Difference:
    """One case in both runs. ``ratio`` is B's median latency over A's, ``lo`` to ``hi`` its 95 % interval.

    ``verdict`` is SAME, FASTER, SLOWER or UNCLEAR; FAILED where the case was measured in A and ended in an
    error in B; NOT MEASURED where either side lacks the rounds a ratio needs.
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
        """The case both runs have."""
        return self.b.case

    @property
    def smallest_told(self) -> float | None:
        """The smallest difference, as a share, whose interval would not have held 1; None without one.

        It is how far the ratio's interval reaches, by a factor, on its wider side.
        """
        if self.ratio is None or self.lo is None or self.hi is None:
            return None
        return max(self.ratio / self.lo, self.hi / self.ratio) - 1


@dataclass(frozen=True, repr=False)
class RunDiff(Result):
    """Two runs compared: matching cases, cases only one has, and how their environments differ."""

    threshold: float
    between_runs: dict[str, float]
    """Device to what two runs there differ by though nothing did; only where that is known of one of them."""
    differences: list[Difference]
    only_a: list[Case]
    only_b: list[Case]
    environment: list[str]
    """A line for each fact that differs, ``cpu: torch 2.12.0 in A, 2.13.0 in B``."""

    @property
    def exit_code(self) -> int:
        """1 if a case is SLOWER or FAILED, 3 if no case was measured in both runs, else 0."""
        if any(difference.verdict in ("SLOWER", FAILED) for difference in self.differences):
            return 1
        return 0 if any(difference.ratio is not None for difference in self.differences) else 3

    @property
    def headline(self) -> str:
        """How many cases got which verdict, on what."""
        verdicts = Counter(difference.verdict for difference in self.differences)
        cases = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()) or "no common case"
        alone = f"{len(self.only_a)} only in A, {len(self.only_b)} only in B"
        shared = " · ".join(common([difference.b for difference in self.differences]))
        return f"median latency of B over A, threshold {100 * self.threshold:g} %: " + "; ".join(
            filter(None, (cases, alone, self._smallest_told, shared))
        )

    @property
    def _smallest_told(self) -> str:
        """In words the smallest differences that could have been told; empty where none was compared."""
        told = sorted(100 * d.smallest_told for d in self.differences if d.smallest_told is not None)
        if not told:
            return ""
        span = dict.fromkeys(significant(pct, 2) for pct in (told[0], told[-1]))
        return f"the smallest difference that could be told is {' to '.join(span)} %"

    def grids(self) -> list[Grid]:
        """The comparison as one table."""
        records = [difference.b for difference in self.differences]
        by_case = {difference.case.id: difference for difference in self.differences}
        what = f"Latency of B over A, threshold {100 * self.threshold:g} %"
        groups = [(label, [by_case[record.case.id] for record in group]) for label, group in grouped(records)]
        named: Column[Difference] = Column("title", "module", lambda d: title(d.b, records), kind="text")
        grid = lay_out(" · ".join([what, *common(records)]), [named, *COLUMNS], groups)
        grid.notes += self._said_of_runs
        grid.notes += [
            f"Environments differ, so the code may not be the cause: {line}." for line in self.environment
        ]
        for which, cases in (("A", self.only_a), ("B", self.only_b)):
            grid.notes += [f"Only in {which}: {_in_words(case)}." for case in cases]
        if self._smallest_told:
            grid.notes.append(
                f"With these samples {self._smallest_told} by case: below it the interval holds 1, and the "
                "verdict is SAME or UNCLEAR. One of the other two asks for the threshold too."
            )
        if self.exit_code == 3:
            grid.findings.append("No case was measured in both runs: nothing was compared.")
        return [grid]

    @property
    def _said_of_runs(self) -> list[str]:
        """What is known of how runs differ by themselves, in a line for each device."""
        devices = dict.fromkeys(d.case.device for d in self.differences if d.ratio is not None)
        known = {device: f"{100 * share:.1f} %" for device, share in self.between_runs.items()}
        return [
            f"The intervals hold the {known[device]} by which two runs on {device} may differ though nothing "
            "did (ctxbench calibrate)."
            if device in known
            else f"The intervals lack what two runs on {device} may differ by though nothing did, which was "
            "not known when these began: ctxbench calibrate finds it out for later ones."
            for device in devices
        ]

    def to_frame(self) -> pd.DataFrame:
        """One row per matching case: its conditions, both medians, their ratio, the verdict."""
        return frame(COLUMNS, self.differences)


def _of_case(name: str) -> Column[Difference]:
    """A condition, which both records have alike; the table says it in its title."""
    return replace(FIXED[name].of(lambda difference: difference.b), in_grid=False)


def _interval(difference: Difference) -> str | None:
    low, high = difference.lo, difference.hi
    return None if low is None or high is None else f"{low:.3f}–{high:.3f}"


def _smallest_told_pct(difference: Difference) -> float | None:
    return None if difference.smallest_told is None else 100 * difference.smallest_told


COLUMNS: tuple[Column[Difference], ...] = (
    *map(_of_case, ("case_id", "module")),
    replace(_of_case("implementation"), in_grid=True, rank=0),
    *(_of_case(column.name) for column in IDENTITY if column.name not in ("module", "implementation")),
    Column("a_median_ms", "A", lambda difference: difference.a.latency.median_ms, "median", "ms"),
    Column("b_median_ms", "B", lambda difference: difference.b.latency.median_ms, "median", "ms"),
    Column("ratio", "B / A", lambda difference: difference.ratio, unit="×", format="{:.3f}".format),
    Column("interval", "B / A", _interval, "95 % interval", "×", kind="text", in_frame=False),
    raw("ratio_ci_lo", lambda difference: difference.lo),
    raw("ratio_ci_hi", lambda difference: difference.hi),
    Column(
        "smallest_told_pct", "told from", _smallest_told_pct, unit="%", digits=2,
        about="The smallest difference whose interval would not have held 1.",
    ),
    Column(
        "verdict", "verdict", lambda difference: difference.verdict, kind="text",
        note=lambda difference: difference.reason,
        emphasis=lambda difference: difference.verdict in ("SLOWER", FAILED),
    ),
    raw("reason", lambda difference: difference.reason, "text"),
)  # fmt: skip


def compare_runs(run_a: Path | str, run_b: Path | str, threshold: float = THRESHOLD) -> RunDiff:
    """Compare the latencies of two runs, case by case. ``threshold`` is a share: 0.05 is 5 %.

    Raises UserError where a folder holds no run or is damaged, or the threshold is negative.
    """
    if not threshold >= 0:  # nor NaN
        raise UserError(f"the threshold must be 0 or more, not {threshold:g}")
    a, b = read_run(Path(run_a)), read_run(Path(run_b))
    of_a, of_b = ({record.case.id: record for record in run.records} for run in (a, b))
    between_runs = _between_runs(a, b)
    return RunDiff(
        threshold=threshold,
        between_runs=between_runs,
        differences=[
            difference(of_a[id], record, threshold, between_runs.get(record.case.device, 0.0))
            for id, record in of_b.items()
            if id in of_a
        ],
        only_a=[record.case for id, record in of_a.items() if id not in of_b],
        only_b=[record.case for id, record in of_b.items() if id not in of_a],
        environment=_environment(a, b),
    )


def difference(a: Record, b: Record, threshold: float, between_runs: float = 0.0) -> Difference:
    """Judge the latencies of two records, B's over A's; ``threshold`` is a share.

    ``between_runs`` is as in :func:`ctxbench.measure.stats.widened`.
    """
    # A case that B merely did not come to is no failure of the code.
    if a.status == "ok" and b.status not in ("ok", "interrupted"):
        return Difference(a, b, FAILED, reason=f"{b.status} in B: {b.reason}")
    for which, record in (("A", a), ("B", b)):
        if record.latency.rounds < stats.MIN_ROUNDS:
            why = (
                record.reason
                or record.reasons.get("rounds_ms")
                or f"fewer than {stats.MIN_ROUNDS} rounds of samples"
            )
            return Difference(a, b, NOT_MEASURED, reason=f"{which}: {why}")
    ratio, lo, hi = stats.widened(*stats.ratio(a.rounds_ms, b.rounds_ms), between_runs)
    return Difference(a, b, stats.verdict(ratio, lo, hi, threshold), ratio, lo, hi)


def _between_runs(a: Run, b: Run) -> dict[str, float]:
    """The larger where both runs know one."""
    known = [*a.plan.between_runs.items(), *b.plan.between_runs.items()]
    return {device: max(value for of, value in known if of == device) for device, _ in known}


def _environment(a: Run, b: Run) -> list[str]:
    lines = []
    for device in a.plan.environments.keys() & b.plan.environments.keys():
        of_a, of_b = a.plan.environments[device], b.plan.environments[device]
        for key in {**of_a, **of_b}:
            if of_a.get(key) != of_b.get(key):
                lines.append(f"{device}: {key} {of_a.get(key)} in A, {of_b.get(key)} in B")
    return sorted(lines)


def _in_words(case: Case) -> str:
    config = f" ({case.config})" if case.config else ""
    return f"{case.module}{config}, {case.implementation}, {', '.join(filter(None, conditions(case)))}"
