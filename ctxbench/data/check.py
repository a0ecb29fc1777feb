"""Look at every image and mask of a data set before they are trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctxbench.data import DATASETS
from ctxbench.data.dataset import IGNORE, SegmentationSet, Subset
from ctxbench.data.reading import BadSampleError
from ctxbench.errors import UserError
from ctxbench.files import written_whole

if TYPE_CHECKING:
    from rich.table import Table

Progress = Callable[[int, int], None]
"""Called with the number of samples seen and the number there are."""


@dataclass(frozen=True)
class Check:
    """What was found in a data set.

    ``problems`` holds the index and the error of each bad sample; ``pixels`` the pixels of each class in the
    good ones, those that are ignored last; ``expected`` how many samples the authors' split has, None where
    that is not fixed.
    """

    dataset: SegmentationSet
    expected: int | None
    problems: tuple[tuple[int, BadSampleError], ...]
    pixels: NDArray[np.int64]

    @property
    def good(self) -> Subset:
        """The data set without its bad samples."""
        bad = {index for index, _ in self.problems}
        return Subset(self.dataset, [index for index in range(len(self.dataset)) if index not in bad])

    @property
    def summary(self) -> str:
        """The counts in a line."""
        info = DATASETS.get(self.dataset.name)
        which = f"split of {info.edition}" if info and info.edition else "split"
        official = "" if self.expected is None else f" (the authors' {which} has {self.expected})"
        kinds = Counter(error.problem for _, error in self.problems)
        bad = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none bad"
        return f"{self.dataset.name} {self.dataset.split}: {len(self.dataset)} samples{official}, {bad}"

    def table(self) -> Table:
        """The share of each class in the pixels that are not ignored, and of those that are in all."""
        from rich.table import Table

        table = Table("", "class", "pixels", "share %")
        for column in (table.columns[0], *table.columns[2:]):
            column.justify = "right"
        labelled = self.pixels[:-1].sum()
        for label, (name, pixels) in enumerate(zip(self.dataset.classes, self.pixels, strict=False)):
            table.add_row(str(label), name, str(pixels), f"{100 * pixels / labelled:.2f}" if labelled else "")
        everything = self.pixels.sum()
        ignored = f"{100 * self.pixels[-1] / everything:.2f} of all" if everything else ""
        table.add_row("", "ignored", str(self.pixels[-1]), ignored)
        return table


def check(dataset: SegmentationSet, progress: Progress | None = None) -> Check:
    """Read every image and mask; what is wrong is in the result, not raised."""
    pixels = np.zeros(len(dataset.classes) + 1, np.int64)
    problems = []
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for index, found in enumerate(pool.map(partial(_look, dataset), range(len(dataset)))):
            if isinstance(found, BadSampleError):
                problems.append((index, found))
            else:
                pixels += found
            if progress:
                progress(index + 1, len(dataset))
    info = DATASETS.get(dataset.name)
    return Check(dataset, info.counts.get(dataset.split) if info else None, tuple(problems), pixels)


def readable(dataset: SegmentationSet, progress: Progress | None = None) -> tuple[SegmentationSet, list[str]]:
    """The data set without its bad samples, and the stems of those. Raises UserError where all are bad."""
    found = check(dataset, progress)
    if len(found.problems) == len(dataset):
        raise UserError(f"{found.summary}, so nothing is left; the first: {found.problems[0][1]}")
    return found.good, [dataset.stem(index) for index, _ in found.problems]


def _look(dataset: SegmentationSet, index: int) -> NDArray[np.int64] | BadSampleError:
    try:
        dataset.image(index)
        counts = np.bincount(dataset.mask(index).ravel(), minlength=IGNORE + 1)
    except BadSampleError as error:
        return error
    return np.append(counts[: len(dataset.classes)], counts[IGNORE])


def sample_picture(dataset: SegmentationSet, path: Path, n: int = 4) -> None:
    """Draw ``n`` samples, evenly spaced: image, and image under the colours of its classes, with their names.

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
