"""Small multiples: each module's latency along an axis, in a panel of its own, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.measure.records import Record
from ctxbench.report.figures.along import WORDS, held, too_long, values
from ctxbench.report.layout import caption
from ctxbench.table.style import BRIGHT, SMALL, canvas, lines_in, log_axis

MARKERS = "os^Dv*P"
DASHES = ("-", "--", ":")
PANEL_IN = 1.65
"""Inches across: two panels fill a column of a paper, four a page."""
MOST = 24
"""Panels in all."""
SLANTED_IN = 0.4
"""Inches of slanted words under a panel."""
MARGIN, SPAN = 1.3, 7
"""A factor beyond the least and the largest latency, and from end to end of the scale at least, so that two
ticks stand in it."""
ROOM = 16
"""Characters that stand beside each other under a panel."""


def multiples(records: Sequence[Record], axis: str) -> Figure | None:
    """Draw each module's latency along an axis: a panel each, a line for each of the other conditions.

    Bars are the 95 % intervals of the medians; × on the axis is a case that was not measured. None where no
    module was timed at two values.
    """
    groups, at = held(records, axis), values(records, axis)
    lines = [line for group in groups for line in group.lines.items()]
    names = list(dict.fromkeys(name for name, line in lines if _is_timed(line)))
    if not names:
        return None
    shown = names[:MOST]
    across = min(len(shown), 2 if len(shown) <= 4 else 4)
    down = ceil(len(shown) / across)
    part = f" · {len(shown)} of {len(names)} modules" if len(shown) < len(names) else ""
    crosses = ", × not measured" if any(record.latency.median_ms is None for record in records) else ""
    title = f"Median latency of one call{crosses} · {caption(records)}{part}"
    with rc_context(SMALL):
        width = PANEL_IN * max(across, 2)
        columns = max(1, min(len(groups), int(14 * width / (max(len(group.label) for group in groups) + 6))))
        legend = 0.15 * ceil(len(groups) / columns) + 0.1 if len(groups) > 1 else 0.0
        height = lines_in(title, width) + 1.25 * down + SLANTED_IN * too_long(axis, at, ROOM) + 0.25
        figure = canvas(width, height + legend)
        drawn = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
        for axes, name in zip(drawn, shown, strict=False):
            axes.set_title(name)
            for number, group in enumerate(groups):
                _line(axes, group.lines.get(name, {}), at, number, group.label)
        _scale(drawn, shown, across, axis, at)
        handles, labels = drawn[0].get_legend_handles_labels()
        if len(groups) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        figure.supylabel("latency [ms]", fontsize=7)
        figure.suptitle(title, fontweight="bold")
    return figure


def _is_timed(line: dict[Any, Record]) -> bool:
    return sum(record.latency.median_ms is not None for record in line.values()) > 1


def _line(axes: Axes, line: dict[Any, Record], at: Sequence[Any], number: int, label: str) -> None:
    """A line, broken where nothing was measured."""
    colour = BRIGHT[number % len(BRIGHT)]
    latencies = [line[value].latency if value in line else None for value in at]
    medians = [latency.median_ms if latency else None for latency in latencies]
    y = [float("nan") if median is None else median for median in medians]
    axes.plot(
        y, DASHES[number // len(BRIGHT) % len(DASHES)], color=colour, linewidth=1, label=label, markersize=4,
        marker=MARKERS[number % len(MARKERS)],
    )  # fmt: skip
    for x, latency in enumerate(latencies):
        if latency and latency.lo_ms is not None and latency.hi_ms is not None:
            axes.plot([x, x], [latency.lo_ms, latency.hi_ms], color=colour, linewidth=2.5, alpha=0.5)
    missing = [x for x, value in enumerate(at) if value in line and medians[x] is None]
    if missing:  # on the axis itself, where no latency can be
        along = [x + 0.09 * (number % 7 - 3) for x in missing]
        axes.plot(
            along, [0] * len(along), "x", color=colour, markersize=4, zorder=5, clip_on=False,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def _scale(drawn: Sequence[Axes], shown: Sequence[str], across: int, axis: str, at: Sequence[Any]) -> None:
    low = min(axes.dataLim.y0 for axes in drawn[: len(shown)])
    high = max(axes.dataLim.y1 for axes in drawn[: len(shown)])
    half = max(MARGIN**2 * high / low, SPAN) ** 0.5
    drawn[0].set_ylim((low * high) ** 0.5 / half, (low * high) ** 0.5 * half)
    log_axis(drawn[0], "y")
    words = [WORDS[axis](value) for value in at]
    slanted: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    for number, axes in enumerate(drawn):
        axes.set_xlim(-0.4, len(at) - 0.6)
        axes.set_xticks(range(len(at)), words, **(slanted if too_long(axis, at, ROOM) else {}))
        if number >= len(shown):
            axes.axis("off")
        elif number + across >= len(shown):
            axes.tick_params(labelbottom=True)
