"""Names beside points: each where it covers no other name and no point, or it is left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from numpy.typing import NDArray

SIDES = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
"""Where a name may stand beside its point, the best first: in units of a distance from it."""
DISTANCES = (5, 10, 16, 24, 34, 46, 60, 76, 94)
"""In points."""
NEAR = 2
"""So many of these distances are for names that are not needed."""
LINE_FROM = 5
"""A name further from its point than this is joined to it by a line, as one that is nearer to another."""
POINT = 4
"""Half the side of the square that a point takes, in points."""
ROUNDING = 0.5
"""Square pixels that names may share with what they do not cover."""

Boxes = NDArray[np.float64]
"""Left, bottom, right and top in pixels: (boxes, 4)."""


class Name(NamedTuple):
    """A name to be placed at a point, given in data coordinates; those ``needed`` are placed first."""

    x: float
    y: float
    text: str
    needed: bool = True
    bold: bool = False


def place(axes: Axes, names: Sequence[Name], size: float) -> list[Annotation]:
    """Write names, ``size`` points high, beside their points; those not needed only where there is room.

    The layout of the figure must be as it will be drawn. A needed name for which there is no free place
    stands where it covers least.
    """
    renderer = FigureCanvasAgg(axes.figure).get_renderer()  # type: ignore[no-untyped-call, arg-type]
    scale = renderer.points_to_pixels(1.0)
    inside = np.array([axes.get_window_extent(renderer).extents])
    centres = axes.transData.transform([(name.x, name.y) for name in names])  # (names, 2)
    taken = np.hstack([centres - POINT * scale, centres + POINT * scale])  # (names, 4)
    written = []
    for name, centre in sorted(zip(names, centres, strict=True), key=lambda pair: not pair[0].needed):
        style: dict[str, Any] = {"fontsize": size, "weight": "bold" if name.bold else "normal"}
        measured = axes.text(0, 0, name.text, linespacing=1.0, **style)
        extent = measured.get_window_extent(renderer)
        measured.remove()
        sides = np.array([extent.width, extent.height])
        tried = list(product(DISTANCES if name.needed else DISTANCES[:NEAR], SIDES))
        offsets = np.array([_offset(distance * scale, side, sides) for distance, side in tried])
        boxes = np.hstack([centre + offsets - sides / 2, centre + offsets + sides / 2])  # (tried, 4)
        covered = _common(boxes, taken).sum(1) + sides.prod() - _common(boxes, inside)[:, 0]
        free = np.flatnonzero(covered <= ROUNDING)
        if not len(free) and not name.needed:
            continue
        best = int(free[0]) if len(free) else int(covered.argmin())
        own, *_ = np.linalg.norm(centres - centre - offsets[best], axis=1).argsort(kind="stable")
        joined = tried[best][0] > LINE_FROM or bool((centres[own] != centre).any())
        line = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
        note = axes.annotate(
            name.text, (name.x, name.y), tuple(offsets[best] / scale),
            textcoords="offset points", ha="center", va="center", linespacing=1.0, zorder=6,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.4},
            arrowprops=line if joined else None, **style,
        )  # fmt: skip
        note.set_in_layout(False)
        taken = np.vstack([taken, boxes[best]])
        written.append(note)
    return written


def _offset(distance: float, side: tuple[int, int], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """From a point to the middle of its name; at the side of its point it need not be as high above it."""
    right, up = side
    return np.array([right * distance, up * distance / (2 if right else 1)]) + np.array(side) * sides / 2


def _common(a: Boxes, b: Boxes) -> Boxes:
    """The areas that each of ``a`` shares with each of ``b``."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared: Boxes = np.clip(high - low, 0, None).prod(2)  # (a, b)
    return shared
