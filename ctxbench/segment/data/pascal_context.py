"""PASCAL-Context: the scenes of VOC 2010 labelled whole, 59 classes with or without a background."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.segment.data.dataset import IGNORE, FileSet, Labels, Pair, class_list
from ctxbench.segment.data.reading import LabelRangeError, first_of, read_labels, read_list
from ctxbench.segment.data.voc import devkit

LABELS = 459
"""How many labels the authors' ``LabelMap`` has; all but 59 are rare, and background here."""


class ContextSet(FileSet):
    """PASCAL-Context. ``order`` maps the values of its mask files to classes 1..59; all others are 0.

    With 60 classes, 0 is the background; with 59 it is ignored, and classes are numbered from 0.
    """

    def __init__(self, name: str, *args: Any, order: Mapping[int, int], largest: int, **layout: Any) -> None:
        super().__init__(name, *args, **layout)
        self.order, self.largest = dict(order), largest

    def truth(self, index: int) -> Labels:
        """The mask as its file has it. Raises LabelRangeError for a value that is no label."""
        path = self.mask_path(index)
        values = read_labels(path)
        if values.ndim != 2 or values.max(initial=0) > self.largest:
            raise LabelRangeError(
                f"{path}: label {values.max()} is none of {self.name}, whose labels are 0 to {self.largest}"
            )
        table = np.zeros(self.largest + 1, np.uint8)
        table[list(self.order)] = list(self.order.values())
        with_background = table[values]
        if self.classes[0] == "background":
            return with_background
        return np.where(with_background == 0, np.uint8(IGNORE), with_background - np.uint8(1))


def open_pascal_context(root: Path, split: str, *, background: bool = True) -> ContextSet:
    """PASCAL-Context over VOC 2010: train 4998, val 5105 images; 59 classes and their background.

    Masks are the authors' ``trainval/*.mat`` (``LabelMap``, 459 labels), their ``59_context_labels/*.png``,
    or the ``SegmentationClassContext/*.png`` many tools make of them, numbered by alphabet. The splits are
    ImageSets/SegmentationContext/*.txt where there is one, else VOC 2010's own ImageSets/Main/*.txt.
    """
    home = devkit(root, "VOC2010")
    numbers, names = class_list("pascal_context")
    by_alphabet = {code: numbers.index(number) + 1 for code, number in enumerate(sorted(numbers), 1)}
    forms = {
        "trainval": (".mat", {number: label for label, number in enumerate(numbers, 1)}, LABELS),
        "SegmentationClassContext": (".png", by_alphabet, len(numbers)),
        "59_context_labels": (".png", {label: label for label in by_alphabet}, len(numbers)),
    }
    above = dict.fromkeys((root, *(home, *home.parents[:2]), root / "pascal-context"))
    masks = first_of(*(place / form for place in above for form in forms))
    suffix, order, largest = forms[masks.name]
    lists = home / "ImageSets"
    stems = read_list(
        first_of(lists / "SegmentationContext" / f"{split}.txt", lists / "Main" / f"{split}.txt")
    )
    pairs = [Pair(stem, home / "JPEGImages" / f"{stem}.jpg", masks / f"{stem}{suffix}") for stem in stems]
    return ContextSet(
        "pascal_context" if background else "pascal_context59",
        split,
        pairs,
        ["background", *names] if background else names,
        order=order,
        largest=largest,
        codes=range(60) if background else range(1, 60),
        void=(IGNORE,) if background else (0,),
    )


def open_pascal_context59(root: Path, split: str) -> ContextSet:
    """PASCAL-Context's 59 classes; the background is ignored. Files as for ``open_pascal_context``."""
    return open_pascal_context(root, split, background=False)
