"""What a sweep found: its fits, as a table and as a log-log figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.files import write_text, writing
from ctxbench.measure.records import Record
from ctxbench.report.columns import status
from ctxbench.report.figures.plots import GREY, legend_below
from ctxbench.report.growth import LEVEL, QUANTITIES, Growth, complexity, growths, title_of
from ctxbench.report.layout import caption, remarks, title
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SINGLE
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.result import Result
from ctxbench.table.style import STYLE, canvas, colours, log_axis, marker, save

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Sweep(Result):
    """Modules measured along one axis. ``str()`` is a table, :meth:`to_frame` a row per exponent."""

    axis: str
    records: tuple[Record, ...]

    @cached_property
    def growths(self) -> list[Growth]:
        """Every fit, module by module."""
        return growths(self.axis, self.records)

    def grids(self) -> list[Grid]:
        """The exponents."""
        return [sweep_grid(self)]

    @property
    def headline(self) -> str:
        """The axis, and how many modules and cases lie along it."""
        fitted = dict.fromkeys(growth.quantity for growth in self.growths if growth.slope is not None)
        fits = ", ".join(QUANTITIES[quantity].words for quantity in fitted) or "nothing"
        modules = dict.fromkeys(title(record, self.records) for record in self.records)
        return (
            f"along {self.axis}, {caption(self.records)}: {len(self.records)} cases of "
            f"{', '.join(modules)}; exponents of {fits}"
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per module and quantity: exponent, interval, last slope, claim, verdict, points."""
        return frame(_columns(self.axis), self.growths)


def _columns(axis: str) -> list[Column[Growth]]:
    """A row for each fit along the axis, after whose letter the exponents are."""
    unit = f"of {title_of(axis)[1]}"
    percent = f"{100 * LEVEL:.0f} % interval"
    return [
        raw("module", lambda growth: growth.case.module, "text"),
        raw("implementation", lambda growth: growth.case.implementation, "text"),
        raw("axis", lambda growth: axis, "text"),
        Column(
            "quantity", "grows", lambda growth: growth.quantity, kind="text",
            format=lambda name: QUANTITIES[name].words,
        ),
        Column(
            "exponent", "exponent", lambda growth: growth.slope, "fitted", unit, format="{:.2f}".format,
            note=lambda growth: growth.reason, why=lambda growth: growth.reason,
        ),
        Column("ci", "exponent", _interval, percent, unit, kind="text", in_frame=False),
        raw("ci_lo", lambda growth: growth.low),
        raw("ci_hi", lambda growth: growth.high),
        Column(
            "last_exponent", "exponent", lambda growth: growth.last, "last two points", unit,
            format="{:.2f}".format,
        ),
        raw("claimed", lambda growth: complexity(growth.case), "text"),
        Column(
            "claimed_exponent", "exponent", lambda growth: growth.claimed, "claimed", unit,
            format="{:g}".format,
        ),
        Column("verdict", "verdict", lambda growth: growth.verdict, kind="text"),
        raw("x", lambda growth: " ".join(f"{x:g}" for x in growth.x), "text"),
        raw("y", lambda growth: " ".join(f"{y:.6g}" for y in growth.y), "text"),
        raw("reason", lambda growth: growth.reason, "text"),
    ]  # fmt: skip


def _interval(growth: Growth) -> str | None:
    low, high = growth.low, growth.high
    return None if low is None or high is None else f"{low:.2f} to {high:.2f}"


def sweep_grid(sweep: Sweep) -> Grid:
    """Lay out every exponent: fitted with its interval, between the last two points, claimed, verdict."""
    points = sorted({x for growth in sweep.growths for x in growth.x})
    span = f", {points[0]:g} to {points[-1]:g}" if points else ""
    lines = [(label, list(line)) for label, line in groupby(sweep.growths, key=partial(_label, sweep))]
    grid = lay_out(
        f"Growth with {title_of(sweep.axis)[0]}{span} · {_conditions(sweep)}",
        _columns(sweep.axis),
        [(f"{label}, {_claim(line[0].case)}", line) for label, line in lines],
    )
    grid.notes += [
        "Fitted: least squares on log-log; the interval is of the slope, by Student's t. MACs and predicted "
        "memory have no noise: their interval says how far they are from a power law.",
        "The claimed O(·) is about arithmetic; memory and time stand beside it for comparison.",
    ]
    firsts = [(label, line[0].case) for label, line in lines if line[0].case.bound]
    grid.notes += dict.fromkeys(f"{label}, {case.bound}." for label, case in firsts)
    grid.notes += remarks(sweep.records)
    noisy = sum(status(record) == "noisy" for record in sweep.records)
    if noisy:
        grid.notes.append(f"Noisy: {noisy} of {len(sweep.records)} latencies; do not trust their exponents.")
    return grid


def _claim(case: Case) -> str:
    claim = complexity(case)
    return f"claimed {claim}" if claim else "no claim known"


def _conditions(sweep: Sweep) -> str:
    """The conditions all records share, and the input with a letter for what varies."""
    if len({record.case.shape for record in sweep.records}) == 1:
        return caption(sweep.records)
    sides = zip("NCHW", zip(*(record.case.shape for record in sweep.records), strict=True), strict=True)
    shape = "×".join(str(side[0]) if len(set(side)) == 1 else letter for letter, side in sides)
    return f"input {shape} · {caption(sweep.records)}"


def _label(sweep: Sweep, growth: Growth) -> str:
    name, form = title(Record(growth.case), sweep.records), growth.case.implementation
    return name if form == SINGLE else f"{name}, {form} form"


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
        case = growth.case
        own = colour[case.module]
        power = f"{letter}$^{{{growth.slope:.2f}}}$"
        claimed = "" if growth.claimed is None else f", claimed {growth.claimed:g}"
        axes.plot(
            growth.x,
            growth.y,
            linestyle="",
            color=own,
            marker=marker(case.module),
            markersize=7,
            fillstyle="none" if case.implementation == "published" else "full",
            label=f"{_label(sweep, growth)}: {power}, last two {growth.last:.2f}{claimed}",
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
    legend_below(axes, 0.5)


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
