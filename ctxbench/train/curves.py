"""What a finished training is looked at by: its curve, its table, its report."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.files import write_text
from ctxbench.networks.registry import find
from ctxbench.table.column import Column, lay_out, signed
from ctxbench.table.grid import Grid
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.result import Result
from ctxbench.table.style import OTHERS, PALETTE, STYLE, canvas, pale, save
from ctxbench.train.run import TrainedRun

WINDOW = 25
"""Rows of the log in a running mean are one in so many."""


def curve(run: TrainedRun) -> Figure:
    """Draw loss, learning rate and mIoU over iterations, with the baseline's beside them."""
    runs = {run.config.title: run}
    if run.baseline is not None:
        runs[run.baseline.config.title] = run.baseline
    with rc_context(STYLE):
        figure = canvas(8, 7.5)
        loss, miou, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.3))
        for (title, each), colour in zip(runs.items(), (PALETTE["reconet"], OTHERS[3]), strict=False):
            log, scores = each.log(), each.evaluations()
            _smoothed(loss, log, colour, title)
            label = f"{title}: {scores['miou'].iloc[-1]:.1f}"
            miou.plot(
                scores["iteration"],
                scores["miou"],
                "o-",
                color=colour,
                markersize=4,
                label=label,
                clip_on=False,
            )
        rate.plot(log["iteration"], log["lr"], color="#555555")
        further = "".join(f" + {weight:g} · {name}" for name, weight in _further(run).items())
        loss.set_title(
            f"Loss of training: main + α · auxiliary{further}; pale: each iteration, line: running mean"
        )
        miou.set_title(
            f"mIoU on {run.evaluation.dataset} {run.evaluation.split}, {run.evaluation.images} images [%]"
        )
        rate.set_title("Learning rate of the backbone")
        rate.set_xlabel("iteration")
        loss.set_ylim(bottom=0)
        miou.set_ylim(bottom=0)
        rate.set_ylim(bottom=0)
        loss.legend()
        miou.legend()
    return figure


def _further(run: TrainedRun) -> dict[str, float]:
    """The weights of the network's further losses, which its log has in columns of their own."""
    logged = set(run.log())
    return {name: weight for name, weight in find(run.config.model).losses.items() if name in logged}


def _smoothed(axes: Axes, log: pd.DataFrame, colour: str, label: str) -> None:
    axes.plot(log["iteration"], log["loss"], color=pale(colour), linewidth=0.7)
    mean = log["loss"].rolling(max(1, len(log) // WINDOW), center=True, min_periods=1).mean()
    axes.plot(log["iteration"], mean, color=colour, linewidth=1.8, label=label)


class Trained(Result, TrainedRun):
    """A finished run: ``str()`` is the tables it ends with, :meth:`to_frame` the scores of each class."""

    def grids(self) -> list[Grid]:
        """Of its evaluation, and of the gap to its baseline."""
        return result(self)

    def to_frame(self) -> pd.DataFrame:
        """A row per class, as of an evaluation."""
        return self.evaluation.to_frame()

    @property
    def headline(self) -> str:
        """The folder, and what its evaluation came to."""
        return f"{self.folder}: {self.evaluation.headline}"


def result(run: TrainedRun) -> list[Grid]:
    """The tables a run ends with: of its evaluation, and of the gap to its baseline."""
    return [*run.evaluation.grids(), *([] if run.baseline is None else [_gap(run, run.baseline)])]


@dataclass(frozen=True)
class ClassGap:
    """A class's IoU in %, and the baseline's; NaN of a class that neither truth nor prediction has."""

    name: str
    iou: float
    baseline_iou: float


def _gap_columns(title: str, baseline: str) -> list[Column[ClassGap]]:
    """Of runs by their titles."""
    return [
        Column("class", "class", lambda row: row.name, kind="text"),
        Column("iou_pct", "IoU", lambda row: row.iou, title, "%", format="{:.2f}".format),
        Column(
            "baseline_iou_pct", "IoU", lambda row: row.baseline_iou, baseline, "%", format="{:.2f}".format
        ),
        Column(
            "gap_points",
            "gap",
            lambda row: row.iou - row.baseline_iou,
            "",
            "points",
            format=partial(signed, digits=2),
        ),
    ]


def _gap(run: TrainedRun, baseline: TrainedRun) -> Grid:
    with_context, without = run.evaluation, baseline.evaluation
    scores = zip(with_context.classes, with_context.iou, without.iou, strict=True)
    rows = [ClassGap(*of_class) for of_class in scores]
    mean = ClassGap("mean", with_context.miou, without.miou)
    title, against = run.config.title, baseline.config.title
    grid = lay_out(f"{title} against {against}", _gap_columns(title, against), [("", rows), ("", [mean])])
    grid.notes.append(
        "Both: the same data, seed, iterations and network but for the context module and GPM. The gap is of "
        "the two together; one more run with --context none takes them apart."
    )
    return grid


def write_report(run: TrainedRun) -> list[Path]:
    """Write curve.png, curve.svg and report.md into a finished run's folder."""
    evaluation, log = run.evaluation, run.log()
    lines = [f"# {run.config.title} on {evaluation.dataset}", "", _headline(run), ""]
    lines += [grid_markdown(grid) for grid in result(run)]
    lines += [
        "",
        "![Loss, mIoU and learning rate over iterations](curve.png)",
        "",
        f"{len(log)} rows in train.csv; median {log['images_per_s'].median():.1f} images/s, of whose time "
        f"{100 * log['wait_share'].median():.0f} % was spent waiting for data. The evaluation is of the last "
        "weights, which nothing was chosen by; best.ckpt was chosen by the evaluations and scores no lower.",
        "",
        "## Settings",
        "",
        "```toml",
        run.config.to_toml().strip(),
        "```",
    ]
    return [
        *save(curve(run), run.folder / "curve"),
        write_text(run.folder / "report.md", "\n".join(lines) + "\n"),
    ]


def _headline(run: TrainedRun) -> str:
    miou = run.evaluation.miou
    text = f"mIoU {miou:.2f} %, pixel accuracy {run.evaluation.pixel_accuracy:.2f} %."
    if run.baseline is None:
        return text
    other = run.baseline.evaluation.miou
    return (
        f"{text} The same network without context module and GPM: mIoU {other:.2f} %. "
        f"The gap is **{signed(miou - other, 2)} points**."
    )
