"""A sweep as a table and as a log-log figure."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.files import write_text, writing
from ctxbench.measure.records import Record
from ctxbench.report.columns import status
from ctxbench.report.layout import caption, title
from ctxbench.report.plots import GREY
from ctxbench.report.sweep import LEVEL, QUANTITIES, Growth, Sweep, complexity, title_of
from ctxbench.subject.bind import SINGLE
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.style import STYLE, canvas, colours, log_axis, marker, save


def sweep_grid(sweep: Sweep) -> Grid:
    """Lay out every exponent: fitted with its interval, between the last two points, claimed, verdict."""
    words, letter = title_of(sweep.axis)
    headings = [
        Heading("quantity", "grows"),
        Heading("exponent", "exponent", "fitted", f"of {letter}"),
        Heading("ci", "exponent", f"{100 * LEVEL:.0f} % interval", f"of {letter}"),
        Heading("last", "exponent", "last two points", f"of {letter}"),
        Heading("claimed", "exponent", "claimed", f"of {letter}"),
        Heading("verdict", "verdict"),
    ]
    points = sorted({x for growth in sweep.growths for x in growth.x})
    span = f", {points[0]:g} to {points[-1]:g}" if points else ""
    table = Grid(f"Growth with {words}{span} · {_conditions(sweep)}", headings)
    for label, rows in groupby(sweep.growths, key=_label):
        growths = list(rows)
        claim = complexity(growths[0].case)
        said = f"claimed {claim}" if claim else "no claim known"
        table.groups.append(Group(f"{label}, {said}", [_row(table, growth) for growth in growths]))
    table.notes += [
        "Fitted: least squares on log-log; the interval is of the slope, by Student's t. MACs and predicted "
        "memory have no noise: their interval says how far they are from a power law.",
        "The claimed O(·) is about arithmetic; memory and time stand beside it for comparison.",
    ]
    noisy = sum(status(record) == "noisy" for record in sweep.records)
    if noisy:
        table.notes.append(f"Noisy: {noisy} of {len(sweep.records)} latencies; do not trust their exponents.")
    return table


def _conditions(sweep: Sweep) -> str:
    """The conditions all records share, and the input with a letter for what varies."""
    if len({record.case.shape for record in sweep.records}) == 1:
        return caption(sweep.records)
    sides = zip("NCHW", zip(*(record.case.shape for record in sweep.records), strict=True), strict=True)
    shape = "×".join(str(side[0]) if len(set(side)) == 1 else letter for letter, side in sides)
    return f"input {shape} · {caption(sweep.records)}"


def _label(growth: Growth) -> str:
    case = growth.case
    return title(Record(case)) + ("" if case.implementation == SINGLE else f", {case.implementation} form")


def _row(table: Grid, growth: Growth) -> list[Cell]:
    words = QUANTITIES[growth.quantity].words
    note = table.footnote(growth.reason) if growth.reason else 0
    if growth.slope is None:
        return [Cell(words), Cell(EMPTY, note=note), *[Cell(EMPTY)] * 4]
    claimed = EMPTY if growth.claimed is None else f"{growth.claimed:g}"
    interval = f"{growth.low:.2f} to {growth.high:.2f}"
    rest = (interval, f"{growth.last:.2f}", claimed, growth.verdict or EMPTY)
    return [Cell(words), Cell(f"{growth.slope:.2f}", note=note), *map(Cell, rest)]


def sweep_figure(sweep: Sweep) -> Figure:
    """Draw each quantity over the axis, both logarithmic, with the fitted lines dashed."""
    with rc_context(STYLE):
        figure = canvas(13.5, 5.2 + 0.22 * len(sweep.growths) / len(QUANTITIES))
        for axes, (name, quantity) in zip(
            figure.subplots(1, len(QUANTITIES)), QUANTITIES.items(), strict=True
        ):
            axes.set_title(f"{quantity.words[0].upper()}{quantity.words[1:]} [{quantity.unit}]")
            _lines(axes, sweep, [growth for growth in sweep.growths if growth.quantity == name])
        figure.suptitle(_conditions(sweep), fontweight="bold")
    return figure


def _lines(axes: Axes, sweep: Sweep, growths: list[Growth]) -> None:
    words, letter = title_of(sweep.axis)
    colour = colours(sweep.records)
    for growth in growths:
        if growth.slope is None:
            continue
        own, case = colour[growth.case.module], growth.case
        claimed = "" if growth.claimed is None else f", claimed {growth.claimed:g}"
        axes.plot(
            growth.x,
            growth.y,
            linestyle="",
            color=own,
            marker=marker(case.module),
            markersize=7,
            fillstyle="none" if case.implementation == "published" else "full",
            label=f"{_label(growth)}: {letter}$^{{{growth.slope:.2f}}}$, last two {growth.last:.2f}{claimed}",
        )
        x, y = np.log(growth.x), np.log(growth.y)
        axes.plot(growth.x, np.exp(y.mean() + growth.slope * (x - x.mean())), "--", color=own, linewidth=1)
    if not axes.lines:
        axes.axis("off")
        axes.text(0.5, 0.5, growths[0].reason, transform=axes.transAxes, ha="center", color=GREY)
        return
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.set_xlabel(words)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13))


def markdown(sweep: Sweep) -> str:
    """The table in GitHub Markdown."""
    return grid_markdown(sweep_grid(sweep))


def latex(sweep: Sweep) -> str:
    r"""The table in LaTeX; the preamble needs ``\usepackage{booktabs}``."""
    grid = sweep_grid(sweep)
    return grid_latex(grid, grid.title, "tab:sweep")


def write_sweep(folder: Path, sweep: Sweep) -> list[Path]:
    """Write ``sweep.csv``, ``sweep.md``, ``sweep.tex``, ``sweep.png`` and ``sweep.svg``, each file whole.

    Raises UserError where ``folder`` cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [
        write_text(folder / "sweep.csv", sweep.to_frame().to_csv(index=False)),
        write_text(folder / "sweep.md", f"{markdown(sweep)}\n![sweep](sweep.png)\n"),
        write_text(folder / "sweep.tex", latex(sweep)),
        *save(sweep_figure(sweep), folder / "sweep"),
    ]
