"""How figures look: a colour for each module, readable type, and whole files or none."""

import re
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ctxbench.files import written_whole
from ctxbench.measure.records import Record

# Paul Tol's "muted" scheme (personal.sron.nl/~pault): told apart under every common colour blindness.
PALETTE = {
    "reconet": "#CC6677",
    "nonlocal": "#332288",
    "apcnet": "#DDCC77",
    "rcca": "#117733",
    "a2net": "#88CCEE",
    "afnb": "#882255",
    "apnb": "#AA4499",
    "latentgnn": "#44AA99",
    "emau": "#999933",
}
OTHERS = ("#222222", "#777777", "#AA7744", "#4477AA")
BRIGHT = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""His "bright" scheme without its grey, told apart likewise: of lines, and of others among grey."""
MARKERS = "osD^vP*Xp"

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "ctxbench",
}

COLUMN_IN = 3.3
"""Inches of a column of a two-column paper; a figure as wide is readable there, and large on a slide."""
SMALL: dict[Any, Any] = STYLE | {
    "font.size": 7,
    "figure.titlesize": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
}
"""Of figures that are as wide as such columns."""


def canvas(width: float, height: float) -> Figure:
    """An empty figure, sized in inches, whose layout keeps every label inside."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


def colours(records: Sequence[Record], others: Sequence[str] = OTHERS) -> dict[str, str]:
    """Each module's colour: the same wherever it has one of its own, else of ``others`` as they appear."""
    users = dict.fromkeys(r.case.module for r in records if r.case.module not in PALETTE)
    return PALETTE | {module: others[i % len(others)] for i, module in enumerate(users)}


def pale(colour: str) -> tuple[float, float, float]:
    """The colour mixed with white, opaque."""
    r, g, b = (0.45 * part + 0.55 for part in to_rgb(colour))
    return r, g, b


def ink_on(colour: str | tuple[float, float, float, float]) -> str:
    """Black or white, whichever is read better on a colour (by its relative luminance, as WCAG has it)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "black" if luminance > 0.179 else "white"


def marker(module: str) -> str:
    """A module's marker, so that no reader depends on colour."""
    return MARKERS[list(PALETTE).index(module) % len(MARKERS)] if module in PALETTE else "h"


def log_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make one axis logarithmic, with plain numbers at the decades, and between them where those are few."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def break_titles(figure: Figure, style: dict[Any, Any] = STYLE) -> None:
    """Break what stands over the figure, and over its axes, into lines that are no wider than it has room."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    with rc_context(style):
        figure.draw_without_rendering()  # how wide the axes are follows from all that stands beside them
    rooms = [(text, 0.96 * figure.bbox.width) for text in figure.texts]
    rooms += [(axes.title, 1.05 * axes.get_window_extent(renderer).width) for axes in figure.axes]
    for text, room in rooms:
        width = text.get_window_extent(renderer).width
        if width > room:
            lines = text.get_text().splitlines()
            characters = max(1, int(max(map(len, lines)) * room / width))
            text.set_text("\n".join(part for line in lines for part in _broken(line, characters)))


def lines_in(title: str, width: float) -> float:
    """How many inches high a title over a figure of small text is, broken to the figure's width."""
    return 0.13 * ceil(len(title) / (14 * width))


def _broken(line: str, characters: int) -> list[str]:
    """A line in lines: broken after a dot between two of its parts where that will do, else between words."""
    bound = "\N{NO-BREAK SPACE}· ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in line.split(" · "))
    fits = max(map(len, bound.split(" "))) <= characters
    return [part.replace("\N{NO-BREAK SPACE}", " ") for part in wrap(bound if fits else line, characters)]


def stem(name: str, label: str) -> str:
    """The name of a figure's file: what it is, and of which of several."""
    slug = re.sub(r"\W+", "-", label).strip("-")
    return f"{name}-{slug}" if slug else name


def save(figure: Figure, path: Path, style: dict[Any, Any] = STYLE) -> list[Path]:
    """Write a figure as PNG and SVG, beside ``path``, each whole or not at all; small text at 200 dpi."""
    break_titles(figure, style)
    paths = []
    for kind in ("png", "svg"):
        written = path.with_name(f"{path.name}.{kind}")
        dated = {"Date": None} if kind == "svg" else None
        with written_whole(written) as new, rc_context(style):  # text is drawn, and so styled, only now
            figure.savefig(new, format=kind, dpi=200 if style is SMALL else 150, metadata=dated)
        paths.append(written)
    return paths
