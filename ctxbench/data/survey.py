"""What the masks of a whole data set hold: values, colours, palettes, and which of them only lie along edges.

In the shape comments: H and W are the height and width of a mask.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxbench.data.dataset import Colour
from ctxbench.data.reading import PIXEL_LIMIT, BadSampleError, is_lossy, read_picture, values_of

TOO_MANY = 1024
"""Colours counted in one mask; more are no classes."""
OTHER = -1
"""Stands for the colours of a mask beyond ``TOO_MANY``."""
EDGE_NEIGHBOURS = 3
"""A pixel with fewer equal ones among its 8 neighbours lies on an edge."""
MANY = 128
"""More values than these are seldom classes, so that those along edges are blends whatever their share."""
EDGE_SHARE = 0.8
"""A value of whose pixels at least this share lie on edges is an edge value: a blend, or noise."""


def pack(colour: Colour) -> int:
    """A colour as one number."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def unpack(number: int) -> Colour:
    """The colour that ``pack`` made this number of."""
    return number >> 16, number >> 8 & 255, number & 255


@dataclass
class Tally:
    """Values (or packed colours) of masks: pixels of each, those of them on edges, and masks by their set."""

    pixels: Counter[int] = field(default_factory=Counter)
    on_edges: Counter[int] = field(default_factory=Counter)
    masks: Counter[frozenset[int]] = field(default_factory=Counter)

    def add(self, values: Tally) -> None:
        """Count other masks in."""
        self.pixels.update(values.pixels)
        self.on_edges.update(values.on_edges)
        self.masks.update(values.masks)

    def renamed(self, names: dict[int, int]) -> Tally:
        """The same with other names for the values; several may get one."""
        renamed = Tally()
        for old, new in ((self.pixels, renamed.pixels), (self.on_edges, renamed.on_edges)):
            for value, count in old.items():
                new[names[value]] += count
        for values, count in self.masks.items():
            renamed.masks[frozenset(names[value] for value in values)] += count
        return renamed

    def without(self, value: int) -> Tally:
        """The same without a value."""
        rest = Tally(self.pixels.copy(), self.on_edges.copy())
        rest.pixels.pop(value, None)
        for values, count in self.masks.items():
            rest.masks[values - {value}] += count
        return rest

    def share(self, *values: int) -> float:
        """The share of all pixels that ``values`` have together."""
        return sum(self.pixels[value] for value in values) / max(1, self.pixels.total())

    def edge_values(self, many: int = MANY) -> list[int]:
        """Values that lie along edges only, where they are a minority, or there are more than ``many``."""
        values = sorted(
            value for value, count in self.pixels.items() if self.on_edges[value] >= EDGE_SHARE * count
        )
        return values if self.share(*values) < 1 / 3 or len(self.pixels) > many else []

    def fitting(self, allowed: Iterable[int]) -> int:
        """How many masks hold nothing but ``allowed``."""
        allowed = frozenset(allowed)
        return sum(count for values, count in self.masks.items() if values <= allowed)


@dataclass
class Survey:
    """What the readable masks hold, read as numbers and read as colours.

    Masks with three channels that are not grey hold no numbers: ``coloured`` are the colours of these, and
    ``greys`` those of masks without a palette that hold numbers. Masks of 16 bits hold no colours.
    ``palettes`` has the colours that an index has in the palettes of all masks.
    """

    masks: int = 0
    numbers: Tally = field(default_factory=Tally)
    colours: Tally = field(default_factory=Tally)
    coloured: set[int] = field(default_factory=set)
    greys: set[int] = field(default_factory=set)
    palettes: dict[int, set[Colour]] = field(default_factory=lambda: defaultdict(set))


def survey(masks: Iterable[Path]) -> Survey:
    """Read all masks. Those that cannot be read are left out: reading them as samples names them."""
    return _survey(tuple((path, _stamp(path)) for path in masks), os.environ.get(PIXEL_LIMIT))


def lossy_masks(masks: Iterable[Path]) -> list[Path]:
    """Those of the readable ``masks`` whose compression changes values."""
    lossy = []
    for path in masks:
        try:
            if path.suffix != ".mat" and is_lossy(path):
                lossy.append(path)
        except BadSampleError:
            continue  # it is named when it is read as a sample
    return lossy


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=4)  # the splits of a set are opened one after the other, and share all masks
def _survey(masks: tuple[tuple[Path, tuple[int, int]], ...], limit: str | None) -> Survey:
    whole = Survey()
    with ThreadPoolExecutor() as pool:  # Pillow and NumPy work outside Python's lock
        for mask in pool.map(_look, (path for path, _ in masks)):
            if mask is None:
                continue
            whole.masks += mask.masks
            whole.coloured |= mask.coloured
            whole.greys |= mask.greys
            whole.numbers.add(mask.numbers)
            whole.colours.add(mask.colours)
            for index, colours in mask.palettes.items():
                whole.palettes[index] |= colours
    return whole


def _look(path: Path) -> Survey | None:
    try:
        picture = read_picture(path)
        values = values_of(picture, path)
    except BadSampleError:
        return None
    if values.ndim == 3 and (values != values[..., :1]).any():
        packed = values.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)  # (H, W)
        tally = _tally(packed)
        return Survey(1, colours=tally, coloured={*tally.pixels})
    numbers = _tally(values[..., 0] if values.ndim == 3 else values)
    if max(numbers.pixels, default=0) > 255:
        return Survey(1, numbers)
    greys = {value: pack((value, value, value)) for value in numbers.pixels}
    if picture.mode != "P":
        return Survey(1, numbers, numbers.renamed(greys), greys={*greys.values()})
    palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)  # (colours, 3)
    colour_of: dict[int, Colour] = {}
    for value in numbers.pixels:
        if value < len(palette):
            red, green, blue = map(int, palette[value])
            colour_of[value] = red, green, blue
    colours = numbers.renamed(greys | {value: pack(colour) for value, colour in colour_of.items()})
    return Survey(1, numbers, colours, palettes={value: {colour} for value, colour in colour_of.items()})


def _tally(values: NDArray[Any]) -> Tally:
    """Count the values of one mask (H×W)."""
    distinct, counts = np.unique(values, return_counts=True)
    on_edges: Counter[int] = Counter()
    if 2 < len(distinct) <= TOO_MANY:  # between two values there are no others
        edge, edge_counts = np.unique(values[_edges(values)], return_counts=True)
        on_edges.update(dict(zip(edge.tolist(), edge_counts.tolist(), strict=True)))
    pixels = Counter(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
    if len(pixels) > TOO_MANY:
        kept = pixels.most_common(TOO_MANY)
        pixels = Counter({**dict(kept), OTHER: values.size - sum(count for _, count in kept)})
    return Tally(pixels, on_edges, Counter([frozenset(pixels)]))


def _edges(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where fewer than ``EDGE_NEIGHBOURS`` of a pixel's 8 neighbours equal it (H×W)."""
    height, width = values.shape
    padded = np.pad(values, 1, mode="edge")  # (H + 2, W + 2): the border continues
    equal = np.zeros(values.shape, np.uint8)
    for row in range(3):
        for column in range(3):
            equal += padded[row : row + height, column : column + width] == values
    return equal - 1 < EDGE_NEIGHBOURS  # each pixel equals itself
