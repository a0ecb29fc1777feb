"""Tasks that need one kind of context each: maps are drawn, and a solver reads their labels off them.

A position holds one symbol of each of the task's fields, such as a colour or none. The label of a position is
what the solver finds in the fields of the whole map, so that whoever sees what it sees reaches 100 %: that is
a task's ceiling. A position has no label where the solver finds two answers alike, and where it would find
its answer in itself. Nothing here tells a position where it is.

N maps of H = W = side, F fields, K classes. Imports no torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ctxbench.data.dataset import IGNORE

Symbols = NDArray[np.int64]
"""(N, F, H, W): the symbol of each field at each position, from 0."""
Labels = NDArray[np.int64]
"""(N, H, W): the class of each position, or ``IGNORE``."""

COLOURS = 8
UP, RIGHT = 2, 3
"""Where the task of a fixed offset looks: rows up, columns to the right."""
MARKERS = 6
"""In a map of the task of the nearest one."""
REGIONS = 4
FAVOURED = 0.12
"""Share of positions that have a map's, or a region's, favoured colour beside what chance gives them."""


@dataclass(frozen=True)
class Task:
    """A kind of context. ``needs`` says in one sentence what a label is; ``title`` heads its column."""

    name: str
    title: str
    needs: str
    fields: tuple[int, ...]
    """How many symbols each field has."""
    classes: int
    draw: Callable[[np.random.Generator, int, int], Symbols]
    """Maps: generator, N, side."""
    solve: Callable[[Symbols], Labels]
    chance: Callable[[int], float] | None = lambda side: 1 / COLOURS
    """The share of labels, at a side, that the best guess from a position's own symbols gives: where they say
    nothing, one of K. None where it has no closed form."""

    def sample(self, stream: int, seed: int, count: int, side: int) -> tuple[Symbols, Labels]:
        """``count`` maps of ``side`` × ``side`` with their labels, the same for the same numbers."""
        rng = np.random.default_rng((stream, crc32(self.name.encode()), side, seed))
        symbols = self.draw(rng, count, side)
        return symbols, self.solve(symbols)


def _unique_argmax(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of the greatest along the last axis; ``IGNORE`` where two are alike."""
    greatest = counts == counts.max(-1, keepdims=True)
    return np.where(greatest.sum(-1) == 1, greatest.argmax(-1), IGNORE)


def _everywhere(label: NDArray[np.int64], side: int) -> Labels:
    """A label of each map, (N,), at all of its positions, (N, H, W)."""
    return np.broadcast_to(label[:, None, None], (len(label), side, side)).copy()


def _places(rng: np.random.Generator, count: int, side: int, each: int) -> NDArray[np.int64]:
    """``each`` different positions of every map, (N, each), in random order, numbered row by row."""
    return rng.random((count, side * side)).argsort(1)[:, :each]


def _placed(places: NDArray[np.int64], symbols: NDArray[np.int64] | int, side: int) -> NDArray[np.int64]:
    """A field that has ``symbols`` at the places (N, each) and 0 elsewhere, (N, H, W)."""
    field = np.zeros((len(places), side * side), np.int64)
    np.put_along_axis(field, places, symbols, 1)
    return field.reshape(-1, side, side)  # (N, H, W)


def _draw_majority(rng: np.random.Generator, count: int, side: int) -> Symbols:
    favoured = rng.integers(COLOURS, size=(count, 1, 1, 1))
    colours = rng.integers(COLOURS, size=(count, 1, side, side))
    return np.where(rng.random(colours.shape) < FAVOURED, favoured, colours)


def _solve_majority(symbols: Symbols) -> Labels:
    counts = (symbols[:, 0, ..., None] == np.arange(COLOURS)).sum((1, 2))  # (N, K)
    return _everywhere(_unique_argmax(counts), symbols.shape[-1])


def _draw_row(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """One coloured marker in each row."""
    field = np.zeros((count, side, side), np.int64)
    columns, colours = rng.integers(side, size=(count, side, 1)), rng.integers(COLOURS, size=(count, side, 1))
    np.put_along_axis(field, columns, 1 + colours, 2)
    return field[:, None]


def _solve_row(symbols: Symbols) -> Labels:
    field = symbols[:, 0]  # (N, H, W)
    return np.where(field > 0, IGNORE, field.max(2, keepdims=True) - 1)


def _draw_column(rng: np.random.Generator, count: int, side: int) -> Symbols:
    return _draw_row(rng, count, side).swapaxes(2, 3)  # (N, 1, W, H)


def _solve_column(symbols: Symbols) -> Labels:
    return _solve_row(symbols.swapaxes(2, 3)).swapaxes(1, 2)  # (N, H, W)


def _draw_two_hops(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """One post in each row, one coloured marker in each column."""
    posts = np.minimum(_draw_row(rng, count, side), 1)
    return np.concatenate([posts, _draw_column(rng, count, side)], 1)


def _solve_two_hops(symbols: Symbols) -> Labels:
    posts, markers = symbols[:, 0], symbols[:, 1]  # (N, H, W) each
    of_column = markers.max(1) - 1  # (N, W)
    labels = np.take_along_axis(of_column, posts.argmax(2), 1)[..., None]  # (N, H, 1)
    return np.where((posts > 0) | (markers > 0), IGNORE, labels)


def _draw_key(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """A key at each position, and the value of each key at one of them."""
    places = _places(rng, count, side, COLOURS)  # (N, K)
    keys = rng.integers(COLOURS, size=(count, side * side))
    np.put_along_axis(keys, places, np.arange(COLOURS)[None], 1)
    values = _placed(places, rng.integers(1, 1 + COLOURS, size=places.shape), side)
    return np.stack([keys.reshape(-1, side, side), values], 1)  # (N, F, H, W)


def _solve_key(symbols: Symbols) -> Labels:
    keys, values = symbols[:, 0], symbols[:, 1]  # (N, H, W) each
    of_key = np.stack([np.where(keys == key, values, 0).max((1, 2)) for key in range(COLOURS)], 1)  # (N, K)
    labels = np.take_along_axis(of_key, keys.reshape(len(keys), -1), 1).reshape(keys.shape) - 1  # (N, H, W)
    return np.where(values > 0, IGNORE, labels)


def _draw_colours(rng: np.random.Generator, count: int, side: int) -> Symbols:
    return rng.integers(COLOURS, size=(count, 1, side, side))


def _solve_offset(symbols: Symbols) -> Labels:
    labels = np.full_like(symbols[:, 0], IGNORE)
    labels[:, UP:, :-RIGHT] = symbols[:, 0, :-UP, RIGHT:]
    return labels


def _draw_nearest(rng: np.random.Generator, count: int, side: int) -> Symbols:
    places = _places(rng, count, side, MARKERS)
    return _placed(places, rng.integers(1, 1 + COLOURS, size=places.shape), side)[:, None]


def _solve_nearest(symbols: Symbols) -> Labels:
    field, side = symbols[:, 0], symbols.shape[-1]
    _, rows, columns = np.nonzero(field)
    colours = field[field > 0].reshape(-1, 1, 1, MARKERS) - 1  # (N, 1, 1, markers)
    y, x = (places.reshape(-1, 1, 1, MARKERS) for places in (rows, columns))  # (N, 1, 1, markers)
    here = np.arange(side)
    far = (here[:, None, None] - y) ** 2 + (here[None, :, None] - x) ** 2  # (N, H, W, markers)
    nearest = far == far.min(3, keepdims=True)
    least, most = (
        pick(np.where(nearest, colours, other), 3) for pick, other in ((np.min, COLOURS), (np.max, -1))
    )
    return np.where((least == most) & (field == 0), least, IGNORE)


def _draw_count(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """One to eight markers."""
    places = _places(rng, count, side, COLOURS)
    markers = rng.integers(1, 1 + COLOURS, size=(count, 1))
    return _placed(places, (np.arange(COLOURS) < markers).astype(np.int64), side)[:, None]


def _solve_count(symbols: Symbols) -> Labels:
    return _everywhere(symbols.sum((1, 2, 3)) - 1, symbols.shape[-1])


def _draw_region(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """The cells of four sites, each with a tag at all of its positions and a favoured colour."""
    sites = _places(rng, count, side, REGIONS)[:, None, None]  # (N, 1, 1, sites)
    here = np.arange(side)
    far = (here[:, None, None] - sites // side) ** 2 + (here[None, :, None] - sites % side) ** 2
    tags = far.argmin(3)  # (N, H, W)
    favoured = rng.integers(COLOURS, size=(count, REGIONS))
    own = np.take_along_axis(favoured, tags.reshape(count, -1), 1).reshape(tags.shape)  # (N, H, W)
    colours = rng.integers(COLOURS, size=tags.shape)
    return np.stack([tags, np.where(rng.random(tags.shape) < FAVOURED, own, colours)], 1)


def _solve_region(symbols: Symbols) -> Labels:
    tags, colours = symbols[:, 0], symbols[:, 1]  # (N, H, W) each
    pairs = (tags * COLOURS + colours)[..., None] == np.arange(REGIONS * COLOURS)
    counts = pairs.sum((1, 2)).reshape(-1, REGIONS, COLOURS)  # (N, regions, K)
    labels = np.take_along_axis(_unique_argmax(counts), tags.reshape(len(tags), -1), 1)  # (N, H·W)
    return labels.reshape(tags.shape)  # (N, H, W)


def _draw_relation(rng: np.random.Generator, count: int, side: int) -> Symbols:
    """Two different markers, in different rows and different columns."""
    rows, columns = (rng.random((count, side)).argsort(1)[:, :2] for _ in range(2))
    return _placed(rows * side + columns, np.array([[1, 2]]), side)[:, None]


def _solve_relation(symbols: Symbols) -> Labels:
    field, side = symbols[:, 0], symbols.shape[-1]
    flat = field.reshape(len(field), -1)  # (N, H·W)
    (y1, x1), (y2, x2) = (np.divmod((flat == one).argmax(1), side) for one in (1, 2))  # (N,) each
    labels = _everywhere(2 * (y2 > y1) + (x2 > x1), side)
    return np.where(field > 0, IGNORE, labels)


PLAIN, MARKED = (COLOURS,), (1 + COLOURS,)
"""Fields: a colour at each position, or a coloured marker or nothing."""
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "majority", "majority of the map", "The colour that most positions of the map have.",
            PLAIN, COLOURS, _draw_majority, _solve_majority, None,
        ),
        Task(
            "count", "count", "How many markers the map has, one to eight.",
            (2,), COLOURS, _draw_count, _solve_count,
            # one where there is no marker, eight where there is one
            lambda side: 1 / COLOURS + (1 - 1 / COLOURS) / side**2,
        ),
        Task(
            "region", "majority of one's region",
            "The colour that most positions with one's own tag have; a tag's positions lie together.",
            (REGIONS, COLOURS), COLOURS, _draw_region, _solve_region, None,
        ),
        Task(
            "key", "same key elsewhere", "The value at the one position that has one's own key and a value.",
            (COLOURS, 1 + COLOURS), COLOURS, _draw_key, _solve_key,
        ),
        Task(
            "row", "own row", "The colour of the one marker in one's own row.",
            MARKED, COLOURS, _draw_row, _solve_row,
        ),
        Task(
            "column", "own column", "The colour of the one marker in one's own column.",
            MARKED, COLOURS, _draw_column, _solve_column,
        ),
        Task(
            "two-hops", "two hops", "The colour of the marker in the column of the post in one's own row.",
            (2, 1 + COLOURS), COLOURS, _draw_two_hops, _solve_two_hops,
        ),
        Task(
            "offset", "fixed offset", f"The colour {UP} rows up and {RIGHT} columns to the right.",
            PLAIN, COLOURS, _draw_colours, _solve_offset,
        ),
        Task(
            "nearest", "nearest marker", f"The colour of the nearest of {MARKERS} markers.",
            MARKED, COLOURS, _draw_nearest, _solve_nearest,
        ),
        Task(
            "relation", "relation of two",
            "Whether the second of two markers stands above or below, left or right of the first.",
            (3,), 4, _draw_relation, _solve_relation, lambda side: 1 / 4,
        ),
    )
}  # fmt: skip
