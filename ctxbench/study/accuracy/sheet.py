"""What a study found as a result: accuracy beside cost, classes, the Pareto figure, and their files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from ctxbench.files import write_text
from ctxbench.report.layout import caption
from ctxbench.study.accuracy.compare import Difference
from ctxbench.study.accuracy.counts import iou
from ctxbench.study.accuracy.figure import pareto
from ctxbench.study.accuracy.rows import Row, Studied, mean_and_sd
from ctxbench.study.costs import costs
from ctxbench.study.files import write_result
from ctxbench.study.significance import LEVEL
from ctxbench.table.column import Column, frame, lay_out, raw, signed
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.train.loggers import Loggers

if TYPE_CHECKING:
    import pandas as pd

STAR = "*"


@dataclass(frozen=True, repr=False)
class Study(Result):
    """Accuracy beside cost: ``str()`` is two tables, :meth:`to_frame` a row a block."""

    studied: Studied

    @property
    def rows(self) -> tuple[Row, ...]:
        """No context module, and the blocks."""
        return self.studied.rows

    @property
    def headline(self) -> str:
        """The conditions, the blocks, and the range of their mean IoU."""
        means = [mean for row in self.rows if (mean := mean_and_sd(row.miou)[0]) is not None]
        reached = f"{min(means):.2f} to {max(means):.2f} % mIoU" if means else "nothing trained"
        return f"{len(self.rows) - 1} blocks on {self.studied.conditions}: {reached}"

    @property
    def failed(self) -> dict[str, str]:
        """Blocks that lack scores, and why."""
        return {row.name: row.reason for row in self.rows if row.reasons}

    def grids(self) -> list[Grid]:
        """Accuracy beside cost, and IoU by class."""
        return [self._scores(), self._classes()]

    def _scores(self) -> Grid:
        baseline = self._baseline
        columns: list[Column[Row]] = [
            *score_columns(),
            *(_differences(baseline, "baseline", lambda row: row.to_baseline) if baseline else ()),
            *costs(lambda row: row.record),
        ]
        grid = lay_out(f"Accuracy beside cost · {self.studied.conditions}", columns, [("", self.rows)])
        grid.notes += self._notes()
        return grid

    @property
    def _baseline(self) -> str:
        place = self.studied.plan.baseline
        return "" if place is None else self.rows[place + 1].name

    def _notes(self) -> list[str]:
        plan = self.studied.plan
        smallest = [
            one.smallest
            for row in self.rows
            for one in (row.to_none, row.to_baseline)
            if one is not None and one.smallest is not None
        ]
        tells = (
            f" Four of five such studies tell a true difference of {median(smallest):.1f} points (median of "
            f"the rows; {min(smallest):.1f} to {max(smallest):.1f})."
            if smallest
            else " One seed tells no difference from chance."
        )
        records = [row.record for row in self.rows if row.record is not None]
        return [
            *plan.notes,
            f"Mean ± sample standard deviation over seeds. {plan.interval} "
            f"{STAR}: p < {LEVEL:g} after Holm's correction for all differences of this table."
            f"{tells}",
            *([f"Cost: {caption(records)}."] if records else []),
        ]

    def _classes(self) -> Grid:
        """IoU by class, in % as the mean over seeds, a column for each block."""
        classes = self.studied.about["classes"]
        of_block = {row.name: _class_iou(row, len(classes)) for row in self.rows}

        def column(name: str, rank: int) -> Column[int]:
            def value(number: int) -> float | None:
                found = of_block[name][number]
                return None if np.isnan(found) else float(found)

            return Column(f"{name}_iou_pct", name, value, unit="%", format="{:.1f}".format, rank=rank)

        named: Column[int] = Column("class", "class", lambda number: str(classes[number]), kind="text")
        columns = [named, *(column(row.name, rank) for rank, row in enumerate(self.rows))]
        grid = lay_out("IoU by class, mean over seeds", columns, [("", list(range(len(classes))))])
        grid.notes.append("A class that occurs in neither truth nor prediction has no IoU.")
        return grid

    def to_frame(self) -> pd.DataFrame:
        """A row a block: scores by seed, differences with their intervals, cost."""
        return frame(FRAME, self.rows)

    def classes_frame(self) -> pd.DataFrame:
        """A row for each class and block: IoU in %, mean over seeds."""
        import pandas as pd

        classes = self.studied.about["classes"]
        return pd.DataFrame(
            [
                {"class": name, "module": row.name, "iou_pct": value}
                for row in self.rows
                for name, value in zip(classes, _class_iou(row, len(classes)), strict=True)
            ]
        )


def _class_iou(row: Row, classes: int) -> list[float]:
    """Mean over the seeds that have the class; NaN where none has."""
    if row.scored is None:
        return [float("nan")] * classes
    of_seeds = iou(row.scored.counts.sum(1))  # (S, K)
    there = ~np.isnan(of_seeds)
    sums = np.where(there, of_seeds, 0).sum(0)
    means: list[float] = np.where(there.any(0), sums / np.maximum(there.sum(0), 1), np.nan).tolist()
    return means


def score_columns() -> list[Column[Row]]:
    """A block's scores, and how they stand to no context."""
    return [
        Column("module", "module", lambda row: row.name, kind="text"),
        _score("miou", "mIoU", lambda row: row.miou),
        _score("accuracy", "pixel accuracy", lambda row: row.accuracy),
        *_differences("no context", "none", lambda row: row.to_none),
    ]


def _score(name: str, header: str, values: Callable[[Row], tuple[float, ...]]) -> Column[Row]:
    def shown(row: Row) -> str | None:
        mean, sd = mean_and_sd(values(row))
        return None if mean is None else f"{mean:.2f}" + ("" if sd is None else f" ± {sd:.2f}")

    return Column(
        f"{name}_pct", header, shown, unit="%", kind="text",
        why=lambda row: row.reason, note=lambda row: row.reason,
    )  # fmt: skip


def _differences(header: str, name: str, of: Callable[[Row], Difference | None]) -> list[Column[Row]]:
    """A difference with its star, and its interval."""

    def points(row: Row) -> str | None:
        one = of(row)
        if one is None:
            return None
        return signed(one.points, 2) + STAR * (one.p is not None and one.p < LEVEL)

    def interval(row: Row) -> str | None:
        one = of(row)
        if one is None or one.low is None or one.high is None:
            return None
        return f"{signed(one.low, 2)} to {signed(one.high, 2)}"

    return [
        Column(f"to_{name}_points", f"mIoU less that of {header}", points, unit="points", kind="text"),
        Column(
            f"to_{name}_interval", f"mIoU less that of {header}", interval, "95 % interval", "points",
            kind="text", rank=3,
        ),
    ]  # fmt: skip


def _raw_differences(name: str, of: Callable[[Row], Difference | None]) -> list[Column[Row]]:
    def value(attribute: str) -> Callable[[Row], float | None]:
        return lambda row: getattr(of(row), attribute, None)  # of no difference too

    columns = {
        "points": "points",
        "lo_points": "low",
        "hi_points": "high",
        "p_holm": "p",
        "smallest_told_points": "smallest",
    }
    return [raw(f"to_{name}_{column}", value(attribute)) for column, attribute in columns.items()]


def _by_seed(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


FRAME: list[Column[Row]] = [
    raw("module", lambda row: row.name, "text"),
    raw("seeds", lambda row: len(row.miou), "int"),
    raw("miou_mean_pct", lambda row: mean_and_sd(row.miou)[0]),
    raw("miou_sd_points", lambda row: mean_and_sd(row.miou)[1]),
    raw("miou_by_seed_pct", lambda row: _by_seed(row.miou) or None, "text"),
    raw("pixel_accuracy_mean_pct", lambda row: mean_and_sd(row.accuracy)[0]),
    raw("pixel_accuracy_sd_points", lambda row: mean_and_sd(row.accuracy)[1]),
    raw("pixel_accuracy_by_seed_pct", lambda row: _by_seed(row.accuracy) or None, "text"),
    *_raw_differences("none", lambda row: row.to_none),
    *_raw_differences("baseline", lambda row: row.to_baseline),
    *costs(lambda row: row.record),
    raw("reason", lambda row: row.reason or None, "text"),
]


def write_study(folder: Path, found: Study) -> list[Path]:
    """Write ``study.csv``, ``.md``, ``.tex``, ``classes.csv``, the figure and ``report.html``; each whole.

    Raises UserError where the folder cannot be written.
    """
    figure = pareto(found.rows, found.studied.plan.trained)
    paths = write_result(
        folder, "study", found.studied.plan, found,
        title=f"Accuracy beside cost {found.studied.plan.trained}",
        figures={"study": figure} if figure is not None else {},
    )  # fmt: skip
    return [*paths, write_text(folder / "classes.csv", found.classes_frame().to_csv(index=False))]


def log_study(folder: Path, found: Study) -> None:
    """Give the loggers of a study, as one run, its conditions, every number of its table, and its files.

    ``folder`` has what :func:`write_study` writes. What goes wrong is said, and costs the log alone.
    """
    plan = found.studied.plan
    if not plan.log:
        return
    blocks = [row.name for row in found.rows[1:]]
    about = {"seeds": plan.seeds, "version": plan.version}
    numbers = found.to_frame().set_index("module").select_dtypes("number")
    scores = {
        f"{module}/{name}": float(value)
        for module, row in numbers.iterrows()
        for name, value in row.dropna().items()
    }
    files = [folder / name for name in ("study.csv", "classes.csv", "study.png")]
    log = Loggers(plan.log, folder, {**plan.settings, "blocks": blocks, **about})
    log.results(scores, [path for path in files if path.exists()])
    log.end()
