"""Heat maps: the latency of each module over size and channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ctxbench.measure.records import Record
from ctxbench.report.columns import status
from ctxbench.report.figures.along import WORDS, held, values
from ctxbench.report.layout import caption
from ctxbench.subject.axes import AXES
from ctxbench.table.column import significant
from ctxbench.table.style import COLUMN_IN, SMALL, canvas, ink_on

SCALE = "cividis"
"""Made to look alike with and without the common colour blindnesses (Nuñez, Anderton, Renslow 2018)."""
MOST_IN, MOST = 13.2, 24
"""Inches across, and panels in all."""
CELL_IN = 0.48
"""Of a side of a cell, which a number of three digits has room in."""


def heat(records: Sequence[Record]) -> Figure | None:
    """Draw each module's median latency over size and channels, a panel for each of the other conditions.

    All panels have one logarithmic scale. None where sizes or channels do not vary, or nothing was timed.
    """
    sizes, channels = values(records, "size"), values(records, "channels")
    timed = [median for record in records if (median := record.latency.median_ms) is not None]
    if len(sizes) < 2 or len(channels) < 2 or not timed:
        return None
    panels = _panels(records)
    shown = dict(list(panels.items())[:MOST])
    width, height = CELL_IN * len(channels) + 0.55, CELL_IN * len(sizes) + 0.5
    across = max(1, min(len(shown), int(MOST_IN / width)))
    down = ceil(len(shown) / across)
    norm = LogNorm(min(timed), max(max(timed), 1.01 * min(timed)))
    colours = ScalarMappable(norm, colormaps[SCALE])
    with rc_context(SMALL):
        figure = canvas(max(COLUMN_IN, width * across + 0.7), height * down + 0.6)
        drawn = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
        for axes, (label, own) in zip(drawn, shown.items(), strict=False):
            _panel(axes, own, sizes, channels, norm)
            axes.set_title(label)
        for number, axes in enumerate(drawn):
            if number >= len(shown):
                axes.axis("off")
            elif number + across >= len(shown):
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("channels")
        bar = figure.colorbar(colours, ax=drawn, label="latency [ms]", shrink=0.9, pad=0.02)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        part = f" · {len(shown)} of {len(panels)} panels" if len(shown) < len(panels) else ""
        figure.suptitle(f"Median latency of one call [ms] · {caption(records)}{part}", fontweight="bold")
    return figure


def _panels(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each panel by its title: a module, and the conditions that do not vary in a panel."""
    groups = held(records, "size", "channels")
    names = dict.fromkeys(name for group in groups for name in group.lines)
    panels: dict[str, list[Record]] = {}
    for name, group in product(names, groups):
        if name in group.lines:
            label = "\n".join(filter(None, (name, group.label)))
            panels.setdefault(label, []).extend(group.lines[name].values())
    return panels


def _panel(
    axes: Axes, records: Sequence[Record], sizes: Sequence[object], channels: Sequence[object],
    norm: Normalize,
) -> None:  # fmt: skip
    """A cell for each size, from the top down, and each number of channels; one not measured is hatched."""
    cells = np.full((len(sizes), len(channels)), np.nan)
    axes.set_facecolor("#EEEEEE")
    for record in records:
        row, column = sizes.index(AXES["size"](record.case)), channels.index(record.case.channels)
        median = record.latency.median_ms
        if median is None:
            continue
        cells[row, column] = median
        noisy = "~" if status(record) == "noisy" else ""
        axes.text(
            column, row, noisy + significant(median, 3), ha="center", va="center_baseline", fontsize=6,
            color=ink_on(colormaps[SCALE](float(norm(median)))),
        )  # fmt: skip
    for row, column in zip(*np.nonzero(np.isnan(cells)), strict=True):
        axes.text(column, row, "–", ha="center", va="center", fontsize=6, color="#555555")
    axes.imshow(cells, norm=norm, cmap=SCALE, aspect="auto")
    axes.set_xticks(range(len(channels)), list(map(str, channels)))
    axes.set_yticks(range(len(sizes)), [WORDS["size"](size) for size in sizes])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
