"""A calibration as a result: its table, its pairs, and the files it leaves beside its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from ctxbench.calibration.rates import ALL, ALPHA, Pair, Rate, between_runs, pairs, rates
from ctxbench.calibration.runs import SIZES
from ctxbench.files import write_text
from ctxbench.measure.folder import Run
from ctxbench.measure.records import Record
from ctxbench.report.comparison.difference import THRESHOLD
from ctxbench.report.layout import caption
from ctxbench.table.column import Column, frame, lay_out, raw, significant
from ctxbench.table.grid import Grid
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Calibration(Result):
    """Runs of the same cases, compared two by two. ``str()`` is a table, :meth:`to_frame` a row per pair."""

    runs: tuple[Run, ...]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every pair that could be compared."""
        return pairs(self.runs)

    @property
    def between_runs(self) -> float | None:
        """What two runs differ by though nothing did, by all pairs of equal cases; None of too few."""
        return between_runs(self.pairs)

    @cached_property
    def rates(self) -> list[Rate]:
        """A row for each size and for all, and each share of added work, that there are pairs of."""
        return rates(self.pairs, self.runs)

    @property
    def headline(self) -> str:
        """The runs, the conditions, the false alarms and what was found."""
        every = [_in_words(rate) for rate in self.rates if rate.size == ALL]
        return f"{len(self.runs)} runs, {caption(self._records)}: {'; '.join(every) or 'nothing to compare'}"

    def grids(self) -> list[Grid]:
        """The rates."""
        groups = [(size, [rate for rate in self.rates if rate.size == size]) for size in (*SIZES, ALL)]
        grid = lay_out(
            f"How often a comparison of two runs is right · {caption(self._records)}",
            COLUMNS,
            [(self._label(size), rows) for size, rows in groups if rows],
        )
        grid.notes += NOTES
        grid.findings += [f"{_in_words(rate).capitalize()}." for rate in self.rates if rate.size == ALL]
        if self.between_runs is not None:
            grid.findings.append(
                f"Two runs differ by up to {100 * self.between_runs:.1f} % though nothing did, beyond what "
                "their rounds show; runs begun from now on take that with them for ctxbench compare."
            )
        if not self.rates:
            grid.findings.append("No two runs are measured yet: nothing was compared.")
        return [grid]

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: which cases of which runs, both medians, their ratio with its interval."""
        return frame(PAIR_COLUMNS, self.pairs)

    def _label(self, size: str) -> str:
        if size == ALL:
            return "all sizes"
        of_size = [r for r in self._records if (r.case.channels, r.case.height) == SIZES[size]]
        medians = sorted(r.latency.median_ms for r in of_size if r.latency.median_ms)
        shape = "×".join(map(str, of_size[0].case.shape))
        return f"{size}: {shape}, {significant(medians[len(medians) // 2], 2)} ms"

    @property
    def _records(self) -> list[Record]:
        return [record for run in self.runs for record in run.records]


def _in_words(rate: Rate) -> str:
    """``false alarms in 4.9 % (2.4 to 8.8 %), 30.1 % by the rounds alone, of 204 pairs; wanted: …``."""
    counted = f"{100 * rate.share_by_rounds:.1f} % by the rounds alone"
    if rate.share is not None:
        counted = f"{100 * rate.share:.1f} % ({_interval(rate)} %), {counted}"
    counted += f", of {len(rate.pairs)} pairs"
    if rate.added_pct:
        return f"{rate.added_pct} % more work found in {counted}"
    most = 100 * (ALPHA + 2 * sqrt(ALPHA * (1 - ALPHA) / len(rate.pairs)))
    return f"false alarms in {counted}; wanted: at most {100 * ALPHA:.0f} % + 2 s.e. = {most:.1f} %"


def _interval(rate: Rate) -> str | None:
    return None if rate.interval is None else "{:.1f} to {:.1f}".format(*(100 * end for end in rate.interval))


def _real(rate: Rate) -> str | None:
    return None if rate.real is None else "{:.3f}, {:.3f}–{:.3f}".format(*rate.real)


def _pct(name: str) -> Callable[[Rate], float | None]:
    """A share of the rate, in percent."""

    def value(rate: Rate) -> float | None:
        share: float | None = getattr(rate, name)
        return None if share is None else 100 * share

    return value


def _why(rate: Rate) -> str:
    return "too few other pairs of equal cases to say what runs differ by"


COLUMNS: tuple[Column[Rate], ...] = (
    Column(
        "added_pct", "added work", lambda rate: rate.added_pct, unit="%", kind="int",
        format=lambda pct: str(pct) if pct else "none",
    ),
    Column("real", "real ratio", _real, "95 % interval", "×", kind="text"),
    Column("pairs", "pairs", lambda rate: len(rate.pairs), kind="int"),
    Column(
        "by_rounds_pct", "called different", _pct("share_by_rounds"), "by rounds alone", "%",
        format="{:.1f}".format,
    ),
    Column("told", "called different", lambda rate: rate.told, "pairs", kind="int", why=_why),
    Column("share_pct", "called different", _pct("share"), "share", "%", format="{:.1f}".format, why=_why),
    Column("interval", "called different", _interval, "95 % interval", "%", kind="text", why=_why),
    Column(
        "beyond_threshold_pct", "changed", _pct("beyond_threshold"), f"by {100 * THRESHOLD:g} %", "%",
        format="{:.1f}".format, why=_why,
    ),
    Column("smallest_told_pct", "smallest told", _pct("smallest_told"), "median", "%", digits=2, why=_why),
)  # fmt: skip

PAIR_COLUMNS: tuple[Column[Pair], ...] = (
    raw("size", lambda pair: pair.size, "text"),
    raw("added_pct", lambda pair: pair.added_pct, "int"),
    raw("couple", lambda pair: pair.couple, "int"),
    raw("a_units", lambda pair: pair.by_rounds.a.case.options["times"], "int"),
    raw("b_units", lambda pair: pair.by_rounds.b.case.options["times"], "int"),
    raw("a_median_ms", lambda pair: pair.by_rounds.a.latency.median_ms),
    raw("b_median_ms", lambda pair: pair.by_rounds.b.latency.median_ms),
    raw("ratio", lambda pair: pair.by_rounds.ratio),
    raw("ratio_ci_lo_by_rounds", lambda pair: pair.by_rounds.lo),
    raw("ratio_ci_hi_by_rounds", lambda pair: pair.by_rounds.hi),
    raw("ratio_ci_lo", lambda pair: pair.found and pair.found.lo),
    raw("ratio_ci_hi", lambda pair: pair.found and pair.found.hi),
    raw("verdict", lambda pair: pair.found and pair.found.verdict, "text"),
)

NOTES = (
    "A pair is two cases of two runs, one right after the other, measured as ctxbench profile does and "
    "compared as ctxbench compare does one case alone.",
    "Called different: the 95 % interval of the ratio does not hold 1; with added work, the right way round. "
    "By rounds alone, it holds what the rounds of a run show; else also what two runs differ by though "
    "nothing did, as all pairs but those of the same two runs have it.",
    f"Changed by {100 * THRESHOLD:g} %: SLOWER or FASTER at the default --fail-on.",
    "Real ratio: of medians within a run, the median over all runs. Smallest told: the least "
    "difference whose interval would not have held 1.",
    "The intervals of shares are Clopper and Pearson's, which take pairs to be independent; those of the "
    "same two runs are not quite.",
)


def write_calibration(folder: Path, found: Calibration) -> list[Path]:
    """Write ``calibration.csv``, a row per pair, and ``calibration.md``, the table; each file whole.

    Raises UserError where the folder cannot be written.
    """
    tables = "\n".join(map(grid_markdown, found.grids()))
    return [
        write_text(folder / "calibration.csv", found.to_frame().to_csv(index=False)),
        write_text(folder / "calibration.md", tables),
    ]
