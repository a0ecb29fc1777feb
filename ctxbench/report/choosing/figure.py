"""The fronts of a choice: every row by latency and by what it is traded for, with names."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ctxbench.measure.records import Record
from ctxbench.report.choosing.choice import FRONTS, Task
from ctxbench.report.choosing.quantities import QUANTITIES, Limit, Quantity
from ctxbench.report.choosing.rows import Row
from ctxbench.report.figures.labels import Name, place
from ctxbench.report.layout import caption
from ctxbench.table.column import Column, in_one_unit
from ctxbench.table.style import COLUMN_IN, SMALL, break_titles, canvas, colours, log_axis, marker

OUTSIDE = "#E8E8E8"
"""What lies beyond a budget."""
PALE = "#AAAAAA"
"""Rows that do not fit."""


def fronts(task: Task, limits: Sequence[Limit]) -> Figure | None:
    """Draw latency against memory, MACs and accuracy where there is one, as wide as a column of a paper.

    Budgets are shaded, rows that do not fit pale, the front a line. None where fewer than two rows have both.
    """
    panels = [(QUANTITIES[x], QUANTITIES[y]) for x, y in FRONTS]
    panels = [(x, y) for x, y in panels if len(_points(task.rows, x, y)) > 1]
    if not panels:
        return None
    with rc_context(SMALL):
        figure = canvas(COLUMN_IN, 0.6 + 2.5 * len(panels))
        drawn = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        named = [_panel(axes, task, x, y, limits) for axes, (x, y) in zip(drawn, panels, strict=True)]
        figure.suptitle(caption(task.records), fontweight="bold")
        break_titles(figure, SMALL)
        figure.draw_without_rendering()
        for axes, of_panel in zip(drawn, named, strict=True):
            place(axes, of_panel, 6.5)
    return figure


def _points(rows: Sequence[Row], x: Quantity, y: Quantity) -> list[tuple[Row, float, float]]:
    readings = [(row, x.read(row.record), y.read(row.record)) for row in rows]
    return [(row, at.value, up.value) for row, at, up in readings if at is not None and up is not None]


def _in_unit(of: Quantity, task: Task) -> Column[Record]:
    """The quantity's column in the unit that suits the largest value."""
    (column,) = in_one_unit([of.column], task.records)
    return column


def _panel(axes: Axes, task: Task, x: Quantity, y: Quantity, limits: Sequence[Limit]) -> list[Name]:
    """Draw a panel; the names that it is to have, of which those on its front and the best are needed."""
    colour = colours(task.records)
    of_x, of_y = _in_unit(x, task), _in_unit(y, task)
    points = [(row, of_x.scale * at, of_y.scale * up) for row, at, up in _points(task.rows, x, y)]
    for row, at, up in points:
        module, fits = row.record.case.module, row.verdict == "fits"
        of_at, of_up = _ends(x, of_x, row), _ends(y, of_y, row)
        axes.plot(of_at, [up] * len(of_at), color=colour[module], linewidth=0.8, zorder=3)
        axes.plot([at] * len(of_up), of_up, color=colour[module], linewidth=0.8, zorder=3)
        axes.plot(
            at, up, marker(module), color=colour[module] if fits else PALE, markersize=5, zorder=4,
            markerfacecolor=colour[module] if fits else "white",
        )  # fmt: skip
        if row is task.recommended:
            axes.plot(at, up, "o", color="black", markersize=10, fillstyle="none", zorder=5)
    on = sorted((at, up) for row, at, up in points if y.name in row.fronts)
    steps = [at for at, _ in on], [up for _, up in on]
    axes.step(*steps, where="post", color="black", linewidth=0.8, zorder=2)
    on_axes: tuple[tuple[Literal["x", "y"], Column[Record], list[float]], ...] = (
        ("x", of_x, [at for _, at, _ in points]),
        ("y", of_y, [end for row, _, up in points for end in (up, *_ends(y, of_y, row))]),
    )
    for which, of, values in on_axes:
        budgets = [of.scale * limit.value for limit in limits if limit.quantity.column.name == of.name]
        if which == "x" or y.less_is_better:
            _scale(axes, which, values, budgets)
        else:
            _percent_scale(axes, values, budgets)
        unit = {"M": "10⁶", "G": "10⁹", "K": "10³"}.get(of.unit, of.unit)
        axes.set(**{f"{which}label": f"{of.heading.words} [{unit}]"})
    return [
        Name(
            at, up, f"{row.name}\n{row.under}" if row.under else row.name,
            row is task.recommended or y.name in row.fronts, row is task.recommended,
        )
        for row, at, up in points
    ]  # fmt: skip


def _ends(of: Quantity, column: Column[Record], row: Row) -> list[float]:
    """Between which two values a quantity of a row surely lies, in the unit of its column; empty for one."""
    reading = of.read(row.record)
    if reading is None or not 0 < reading.low < reading.high < inf:
        return []
    return [column.scale * reading.low, column.scale * reading.high]


def _percent_scale(axes: Axes, values: Sequence[float], budgets: Sequence[float]) -> None:
    """A linear axis of percent, more of which is better, with room for names and the budget shaded."""
    room = 0.15 * max(max(values) - min(values), 1.0)
    axes.set_ylim(min(values) - room, max(values) + room)
    for budget in budgets:
        axes.axhspan(min(0, min(values) - room), budget, color=OUTSIDE, zorder=0, linewidth=0)
        axes.axhline(budget, color="black", linewidth=0.8, linestyle="--", zorder=1)


def _scale(axes: Axes, which: Literal["x", "y"], values: Sequence[float], budgets: Sequence[float]) -> None:
    """A logarithmic axis with room for names about its points, and the budget shaded that it has.

    Where a value is 0, which has no logarithm, it is linear up to the least that is not.
    """
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    room = max(high / low, 1.5) ** 0.3
    if low > min(values):
        scale = axes.set_xscale if which == "x" else axes.set_yscale
        scale("symlog", linthresh=low, linscale=0.4)
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(**{f"{which}lim": (-0.15 * low, high * room)})
    else:
        axes.set(**{f"{which}lim": (low / room, high * room)})
        log_axis(axes, which)
    for budget in budgets:
        span = axes.axvspan if which == "x" else axes.axhspan
        line = axes.axvline if which == "x" else axes.axhline
        span(budget, 10 * max(high * room, budget), color=OUTSIDE, zorder=0, linewidth=0)
        line(budget, color="black", linewidth=0.8, linestyle="--", zorder=1)
