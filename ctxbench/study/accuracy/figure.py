"""The Pareto figure of a study: mean IoU over latency, each block by its name."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.report.figures.labels import Name, place
from ctxbench.study.accuracy.rows import Row, mean_and_sd
from ctxbench.table.style import STYLE, canvas, colours, log_axis, marker

GREY = "#777777"
LIMIT = 1.25
"""How far the axis of latency goes beyond its points."""


def pareto(rows: Sequence[Row], trained: str = "") -> Figure | None:
    """Draw mean IoU ± sd over the median latency; the front is what nothing is quicker and better than.

    No context module, the first row, costs nothing: what is not better than it is not on the front. None
    where no block has both numbers.
    """
    points = [(row, *both) for row in rows if (both := _place(row)) is not None]
    if not points:
        return None
    with rc_context(STYLE):
        figure = canvas(9.5, 6)
        axes = figure.subplots()
        colour = colours([row.record for row, _, _ in points if row.record is not None])
        for row, latency_ms, miou in points:
            assert row.record is not None
            module = row.record.case.module
            axes.errorbar(
                latency_ms, miou, yerr=mean_and_sd(row.miou)[1], fmt=marker(module), color=colour[module],
                markersize=8, capsize=3, linewidth=1,
            )  # fmt: skip
        axes.set_xlim(min(p[1] for p in points) / LIMIT, max(p[1] for p in points) * LIMIT)
        log_axis(axes, "x")
        mean, sd = mean_and_sd(rows[0].miou)
        _front(axes, [(latency_ms, miou) for _, latency_ms, miou in points if miou > (mean or 0)])
        if mean is not None:
            axes.axhline(mean, color=GREY, linestyle=":", label=f"{rows[0].name}: {mean:.2f} %")
            axes.axhspan(mean - (sd or 0), mean + (sd or 0), color=GREY, alpha=0.12, linewidth=0)
        axes.set_xlabel("median latency of the block [ms]")
        axes.set_ylabel(f"mIoU {trained} [%], bars: sd over seeds")
        axes.legend(loc="best")
        figure.suptitle("Accuracy beside latency", fontweight="bold")
        figure.draw_without_rendering()
        place(axes, [Name(latency_ms, miou, row.name) for row, latency_ms, miou in points], 9)
    return figure


def _place(row: Row) -> tuple[float, float] | None:
    """Latency in ms and mean IoU in %; None where either is missing."""
    latency_ms = row.record.latency.median_ms if row.record is not None else None
    miou, _ = mean_and_sd(row.miou)
    return None if latency_ms is None or miou is None else (float(latency_ms), miou)


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, by rising latency, that no other is as quick as and better than."""
    kept: list[tuple[float, float]] = []
    for latency_ms, miou in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or miou > kept[-1][1]:
            kept.append((latency_ms, miou))
    return kept


def _front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    kept = front(points)
    if not kept:
        return
    axes.step(
        [x for x, _ in kept], [y for _, y in kept], where="post", color=GREY, linewidth=1, zorder=0,
        label="front: none quicker is better",
    )  # fmt: skip
