"""ADE20K in full, as released in 2016 to 2021: thousands of classes, coded in the colours of its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctxbench.data.dataset import IGNORE, Labels
from ctxbench.data.file_set import FileSet, Pair
from ctxbench.data.paths import NotFoundError, images_below
from ctxbench.data.readers.ade20k import FOLDERS
from ctxbench.data.reading import (
    BadSampleError,
    LabelRangeError,
    UnreadableFileError,
    read_labels,
)
from ctxbench.errors import UserError, in_one_line
from ctxbench.typed import json_value


class FullADE(FileSet):
    """A part of ADE20K whose classes fit a mask; ``numbers`` are those of the classes in ADE20K's index."""

    def __init__(self, split: str, pairs: Sequence[Pair], classes: Mapping[int, str]) -> None:
        super().__init__("ade20k_full", split, pairs, list(classes.values()))
        self.numbers = tuple(classes)

    def mask_values(self) -> list[str]:
        """The class numbers, which red and green code together."""
        return [*map(str, self.numbers), "0"]

    def truth(self, index: int) -> Labels:
        """The mask as its file has it (H×W). Raises LabelRangeError for a class that is none of the set's."""
        path = self.mask_path(index)
        values = class_numbers(path)
        if (stray := np.setdiff1d(values, (0, *self.numbers))).size:
            raise LabelRangeError(f"{path}: class {stray[0]} was in no mask when the set was opened")
        table = np.full(1 << 16, IGNORE, np.uint8)
        table[list(self.numbers)] = range(len(self.numbers))
        return table[values]  # (H, W)


def class_numbers(path: Path) -> NDArray[np.uint16]:
    """The class of each pixel of a ``_seg.png`` (H×W): 256 times a tenth of red, plus green; 0 is unlabeled.

    Blue numbers the objects. Raises BadSampleError where it is no picture in colours.
    """
    values = read_labels(path)
    if values.ndim != 3:
        raise UnreadableFileError(f"{path} is no mask of ADE20K: its classes are coded in colours")
    return values[..., 0] // np.uint16(10) * np.uint16(256) + values[..., 1]  # (H, W)


def open_ade20k_full(root: Path, split: str) -> FullADE:
    """Pictures of full ADE20K in folders "training" and "validation", each with its ``_seg.png``.

    Classes are those that occur below ``root``, in the order of ADE20K's index, with the names of the JSON
    files beside where there are such. Raises UserError where they are more than a mask can hold, as they are
    in the whole of it; its scene parsing benchmark (ade20k) has the 150 that are usually meant.
    """
    masks = [path for path in images_below(root) if path.name.endswith("_seg.png")]
    numbers: set[int] = set()
    names: dict[int, str] = {}
    for mask in masks:
        try:
            numbers.update(np.unique(class_numbers(mask)).tolist())
        except BadSampleError:
            continue  # it is named when it is read as a sample, and left out then with --skip-bad
        names.update(_names(mask))
        if len(numbers - {0}) > IGNORE:
            raise UserError(
                f"{root} has more than the {IGNORE} classes a mask can hold; use the benchmark, ade20k"
            )
    of_split = [mask for mask in masks if FOLDERS[split] in mask.relative_to(root).parts]
    if not of_split:
        raise NotFoundError(f"looked for *_seg.png below a folder {FOLDERS[split]!r}")
    images = [mask.with_name(mask.name.replace("_seg.png", ".jpg")) for mask in of_split]
    pairs = [Pair(image.stem, image, mask) for image, mask in zip(images, of_split, strict=True)]
    classes = {number: names.get(number, str(number)) for number in sorted(numbers - {0})}
    return FullADE(split, pairs, classes)


def _names(mask: Path) -> dict[int, str]:
    path = mask.with_name(mask.name.replace("_seg.png", ".json"))
    if not path.is_file():
        return {}
    try:
        objects = json_value(path.read_text(encoding="utf-8", errors="replace"))["annotation"]["object"]
        return {int(each["name_ndx"]): str(each["name"]).partition(",")[0] for each in objects}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not describe a picture of ADE20K: {in_one_line(error)}") from error
