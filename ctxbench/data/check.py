"""Look at every image and mask of a data set before they are trained on.

In the shape comments: H and W are the height and width of a sample, K is the number of classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctxbench.data import DATASETS
from ctxbench.data.dataset import IGNORE, SegmentationSet, Subset
from ctxbench.data.file_set import FileSet
from ctxbench.data.reading import BadSampleError, open_picture, orientation, read_picture
from ctxbench.data.survey import lossy_masks
from ctxbench.errors import UserError
from ctxbench.files import written_whole
from ctxbench.table.column import Column, frame, raw

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

OnSample = Callable[[int, int], None]
"""Called with the number of samples seen and the number there are."""

FEW_LEVELS = 128
"""An image of 16 bits with fewer levels than these, of 256, is darker than its format allows: warned of."""


@dataclass(frozen=True)
class Sample:
    """What was seen of one sample.

    ``pixels`` are those of each class, the ignored last; ``digest`` is of the image's pixels; ``levels`` are
    the grey levels in use where the image has 16 bits, else 0; ``turned`` says that EXIF data turn the image,
    and its mask has the right size either way.
    """

    pixels: NDArray[np.int64]
    digest: bytes
    levels: int
    turned: bool


@dataclass(frozen=True)
class ClassShare:
    """A class, by its name and its number, with its pixels and the ``total`` that they are a share of.

    What is ignored has no number and is a share of all pixels; a class is one of those that are not ignored.
    ``values`` are what stands for it in the mask files, empty where that varies.
    """

    name: str
    number: int | None
    pixels: int
    total: int
    values: str

    @property
    def share_pct(self) -> float | None:
        """In %; None where there is no pixel at all."""
        return 100 * self.pixels / self.total if self.total else None


def _share_in_words(row: ClassShare) -> str:
    whole = " of all" if row.number is None else ""
    return "" if row.share_pct is None else f"{row.share_pct:.2f}{whole}"


MASK_VALUES: Column[ClassShare] = Column("mask_values", "in the masks", lambda row: row.values, kind="text")
COLUMNS: tuple[Column[ClassShare], ...] = (
    Column("number", "", lambda row: row.number, kind="int", format=str),
    Column("class", "class", lambda row: row.name, kind="text"),
    Column("pixels", "pixels", lambda row: row.pixels, kind="int", format=str),
    Column("share", "share %", _share_in_words, format=str, in_frame=False),
    raw("share_pct", lambda row: row.share_pct),
    MASK_VALUES,
)


@dataclass(frozen=True)
class Check:
    """What was seen in a data set.

    ``problems`` holds the index and the error of each bad sample, ``samples`` the index of each good one and
    what was seen of it; ``expected`` is how many samples the authors' split has, None where that is not
    fixed; ``lossy`` the masks whose compression changes values.
    """

    dataset: SegmentationSet
    expected: int | None
    problems: tuple[tuple[int, BadSampleError], ...]
    samples: tuple[tuple[int, Sample], ...]
    lossy: tuple[Path, ...]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """The pixels of each class in the good samples, those that are ignored last: (K + 1,)."""
        none = np.zeros(len(self.dataset.classes) + 1, np.int64)
        return sum((sample.pixels for _, sample in self.samples), none)

    @property
    def good(self) -> Subset:
        """The data set without its bad samples."""
        return Subset(self.dataset, [index for index, _ in self.samples])

    @property
    def summary(self) -> str:
        """The counts in a line."""
        info = DATASETS.get(self.dataset.name)
        which = f"split of {info.edition}" if info and info.edition else "split"
        official = "" if self.expected is None else f" (the authors' {which} has {self.expected})"
        kinds = Counter(error.problem for _, error in self.problems)
        bad = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none bad"
        return f"{self.dataset.name} {self.dataset.split}: {len(self.dataset)} samples{official}, {bad}"

    @property
    def warnings(self) -> list[str]:
        """What is no fault, and may not be meant, a line each."""
        where = f"{self.dataset.name} {self.dataset.split}"
        lines = []
        pixels = self.pixels
        empty = [name for name, count in zip(self.dataset.classes, pixels, strict=False) if not count]
        if empty and self.samples and self.dataset.labelled:
            names = ", ".join(empty[:10]) + (f" and {len(empty) - 10} more" if len(empty) > 10 else "")
            lines.append(f"{where}: no pixel of {names}")
        if self.lossy:
            lines.append(
                f"{where}: {len(self.lossy)} lossy masks (JPEG, or WebP's lossy kind), whose compression "
                f"changes labels along edges: {self.lossy[0]}"
            )
        levels = [sample.levels for _, sample in self.samples if sample.levels]
        if levels and max(levels) < FEW_LEVELS:
            lines.append(
                f"{where}: {len(levels)} images of 16 bits use {max(levels)} of 256 grey levels (12 bits in "
                "16?): they are read very dark; scale their values to 0..65535, or save 8 bits"
            )
        if turned := [index for index, sample in self.samples if sample.turned]:
            lines.append(
                f"{where}: EXIF data turn {len(turned)} images whose masks would fit unturned too, such as "
                f"{self.dataset.stem(turned[0])}: see in --picture that they match"
            )
        return lines

    @property
    def shares(self) -> list[ClassShare]:
        """Each class, and, last, what is ignored."""
        pixels = self.pixels.tolist()
        names, values = [*self.dataset.classes, "ignored"], self.dataset.mask_values()
        labelled, everything = sum(pixels[:-1]), sum(pixels)
        return [
            ClassShare(name, label, count, labelled, value)
            if label < len(self.dataset.classes)
            else ClassShare(name, None, count, everything, value)
            for label, (name, count, value) in enumerate(zip(names, pixels, values, strict=True))
        ]

    def table(self) -> Table:
        """Each class's share of the pixels that are not ignored, the share of these, and their values."""
        from rich.table import Table

        shares, table = self.shares, Table()
        shown = [column for column in COLUMNS if column.in_grid]
        if not any(row.values for row in shares):
            shown.remove(MASK_VALUES)  # in files of polygons, say, no value stands for a class
        for column in shown:
            table.add_column(column.header, justify="left" if column.kind == "text" else "right")
        for row in shares:
            table.add_row(*(column.text(row) or "" for column in shown))
        return table

    def to_frame(self) -> pd.DataFrame:
        """A row per class, then one of what is ignored: pixels as integers, shares in %."""
        return frame(COLUMNS, self.shares)


def check_dataset(dataset: SegmentationSet, progress: OnSample | None = None) -> Check:
    """Read every image and mask; what is wrong is in the result, not raised."""
    problems, samples = [], []
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for index, seen in enumerate(pool.map(partial(_look, dataset), range(len(dataset)))):
            if isinstance(seen, BadSampleError):
                problems.append((index, seen))
            else:
                samples.append((index, seen))
            if progress:
                progress(index + 1, len(dataset))
    info = DATASETS.get(dataset.name)
    expected = info.counts.get(dataset.split) if info else None
    masks = [pair.mask for pair in dataset.pairs if pair.mask] if isinstance(dataset, FileSet) else []
    return Check(dataset, expected, tuple(problems), tuple(samples), tuple(lossy_masks(masks)))


def shared_samples(checks: Sequence[Check]) -> list[str]:
    """A line for every two splits that have images in common: of the same pixels, whatever their files."""
    lines = []
    for first, second in combinations(checks, 2):
        stems = {sample.digest: first.dataset.stem(index) for index, sample in first.samples}
        both = [(index, stems[sample.digest]) for index, sample in second.samples if sample.digest in stems]
        if both:
            index, stem = both[0]
            lines.append(
                f"{second.dataset.name}: {len(both)} images of {second.dataset.split} are in "
                f"{first.dataset.split} too: {second.dataset.stem(index)} is {stem}"
            )
    return lines


def readable(dataset: SegmentationSet, progress: OnSample | None = None) -> tuple[SegmentationSet, list[str]]:
    """The data set without its bad samples, and the stems of those. Raises UserError where all are bad."""
    check = check_dataset(dataset, progress)
    if len(check.problems) == len(dataset):
        raise UserError(f"{check.summary}, so nothing is left; the first: {check.problems[0][1]}")
    return check.good, [dataset.stem(index) for index, _ in check.problems]


def _look(dataset: SegmentationSet, index: int) -> Sample | BadSampleError:
    try:
        image, mask = dataset.image(index), dataset.mask(index)
        levels, turned = _of_file(dataset, index) if isinstance(dataset, FileSet) else (0, False)
    except BadSampleError as error:
        return error
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)  # (H·W,) to (256,)
    pixels = np.append(counts[: len(dataset.classes)], counts[IGNORE])  # (K + 1,)
    digest = blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
    return Sample(pixels, digest, levels, turned)


def _of_file(dataset: FileSet, index: int) -> tuple[int, bool]:
    """The grey levels of an image of 16 bits, else 0; whether EXIF turns it and its mask fits either way."""
    pair = dataset.pairs[index]
    with open_picture(pair.image) as picture:
        deep, size = picture.mode.startswith("I;16"), picture.size
    levels = (int(np.asarray(read_picture(pair.image)).max(initial=0)) >> 8) + 1 if deep else 0
    if orientation(pair.image) == 1 or pair.mask is None or pair.mask.suffix in (".mat", ".json"):
        return levels, False
    with open_picture(pair.mask) as mask:
        as_stored = mask.size == size  # and mask() has found that it fits the turned one
    return levels, as_stored and orientation(pair.mask) == 1


def sample_picture(dataset: SegmentationSet, path: Path, n: int = 4) -> None:
    """Draw ``n`` samples, evenly spaced: image, and image under the colours of its classes, with their names.

    A PNG; the colours are the data set's palette.

    Raises UserError where there is none, one is bad, or ``path`` cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if not len(dataset):
        raise UserError(f"{dataset.name} {dataset.split} has no sample to draw")
    chosen = np.unique(np.linspace(0, len(dataset) - 1, n).round().astype(int)).tolist()
    figure = Figure(figsize=(11, 3.2 * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), 2, squeeze=False)
    colours = np.zeros((IGNORE + 1, 3), np.uint8)
    colours[: len(dataset.palette)] = dataset.palette
    colours[IGNORE] = dataset.void_colours[0]
    for (left, right), index in zip(axes, chosen, strict=True):
        image, mask = dataset.image(index), dataset.mask(index)
        left.imshow(image)
        left.set_title(dataset.stem(index), fontsize=9)
        right.imshow((0.35 * np.asarray(image) + 0.65 * colours[mask]).astype(np.uint8))
        names = [*dataset.classes, *[""] * (IGNORE - len(dataset.classes)), "ignored"]
        patches = [Patch(color=colours[label] / 255, label=names[label]) for label in np.unique(mask)]
        right.legend(handles=patches, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
        for axis in (left, right):
            axis.set_axis_off()
    with written_whole(path) as new:
        figure.savefig(new, format="png", dpi=100)
