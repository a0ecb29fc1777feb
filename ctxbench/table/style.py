"""How figures look: a colour for each module, readable type, and whole files or none."""

from collections.abc import Sequence
from itertools import product
from math import hypot
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
from matplotlib.transforms import Bbox

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


def canvas(width: float, height: float) -> Figure:
    """An empty figure, sized in inches, whose layout keeps every label inside."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


def colours(records: Sequence[Record]) -> dict[str, str]:
    """Each module's colour: always the same for a built-in one, in order of appearance for a user's."""
    users = dict.fromkeys(r.case.module for r in records if r.case.module not in PALETTE)
    return PALETTE | {module: OTHERS[i % len(OTHERS)] for i, module in enumerate(users)}


def pale(colour: str) -> tuple[float, float, float]:
    """The colour mixed with white, opaque."""
    r, g, b = (0.45 * part + 0.55 for part in to_rgb(colour))
    return r, g, b


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


def name_points(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write the name of each (name, x, y) beside it, where it covers no point and no other name.

    As near as that goes, and with a line to the point where it is not; for more points than a legend can tell
    apart. The axes have to have their limits.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # the axes are in one
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    dot = figure.dpi / 72  # pixels of a point of type
    at = axes.transData.transform([(x, y) for _, x, y in points])
    taken = [Bbox.from_bounds(px - 4 * dot, py - 4 * dot, 8 * dot, 8 * dot) for px, py in at]
    shifts = sorted(product(range(-60, 61, 3), repeat=2), key=lambda shift: hypot(shift[0], 2 * shift[1]))
    words: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "va": "center"}
    for (name, x, y), (px, py) in zip(points, at, strict=True):
        text = axes.annotate(name, (x, y), (0, 0), **words)
        box = text.get_window_extent(renderer)
        text.remove()
        for right, up in shifts:
            left = right + (6 if right >= 0 else -6 - box.width / dot)
            room = Bbox.from_bounds(px + left * dot, py + up * dot - box.height / 2, box.width, box.height)
            if not any(room.overlaps(other) for other in taken):
                break
        taken.append(room)
        line = {"arrowstyle": "-", "color": "#AAAAAA", "linewidth": 0.6} if hypot(right, up) > 12 else None
        axes.annotate(name, (x, y), (left, up), arrowprops=line, **words)


def break_titles(figure: Figure) -> None:
    """Break what stands over the figure, and over its axes, into lines that are no wider than it has room."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    with rc_context(STYLE):
        figure.draw_without_rendering()  # how wide the axes are follows from all that stands beside them
    rooms = [(text, 0.96 * figure.bbox.width) for text in figure.texts]
    rooms += [(axes.title, 1.05 * axes.get_window_extent(renderer).width) for axes in figure.axes]
    for text, room in rooms:
        width = text.get_window_extent(renderer).width
        if width > room:
            lines = text.get_text().splitlines()
            characters = max(1, int(max(map(len, lines)) * room / width))
            text.set_text("\n".join(part for line in lines for part in _broken(line, characters)))


def _broken(line: str, characters: int) -> list[str]:
    """A line in lines: broken after a dot between two of its parts where that will do, else between words."""
    bound = "\N{NO-BREAK SPACE}· ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in line.split(" · "))
    fits = max(map(len, bound.split(" "))) <= characters
    return [part.replace("\N{NO-BREAK SPACE}", " ") for part in wrap(bound if fits else line, characters)]


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG (150 dpi) and SVG, each whole or not at all."""
    break_titles(figure)
    paths = []
    for kind in ("png", "svg"):
        path = stem.with_name(f"{stem.name}.{kind}")
        with written_whole(path) as new, rc_context(STYLE):  # text is drawn, and so styled, only now
            figure.savefig(new, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        paths.append(path)
    return paths
