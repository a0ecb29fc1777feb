"""PASCAL-Context: the scenes of VOC 2010 labelled whole, 59 classes with or without a background."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ctxbench.data.dataset import IGNORE, Labels
from ctxbench.data.file_set import FileSet, Pair, class_list
from ctxbench.data.paths import first_of, read_list
from ctxbench.data.readers.voc import devkit
from ctxbench.data.reading import LabelRangeError, read_labels

LABELS = 459
"""How many labels the authors' ``LabelMap`` has; all but 59 are rare, and background here."""


class ContextSet(FileSet):
    """PASCAL-Context. With 60 classes, 0 is the background; with 59 it is ignored, and they begin at 0."""

    def decode(self, path: Path) -> Labels:
        """Read a mask or a prediction (H×W); the authors' ``.mat`` files have their own 459 labels.

        Raises LabelRangeError for a value that is no label.
        """
        values = read_labels(path)
        if path.suffix != ".mat":
            return self.to_labels(values, path)
        if values.max(initial=0) > LABELS:
            raise LabelRangeError(
                f"{path}: label {values.max()} is none of {self.name}, whose labels are 0 to {LABELS}"
            )
        numbers, _ = class_list("pascal_context")
        background = self.classes[0] == "background"
        table = np.full(LABELS + 1, 0 if background else IGNORE, np.uint8)
        table[numbers] = np.arange(len(numbers)) + background
        return table[values]  # (H, W)

    def mask_values(self) -> list[str]:
        """The values of the PNGs, or nothing for .mat files."""
        mats = any(pair.mask and pair.mask.suffix == ".mat" for pair in self.pairs)
        return [""] * (len(self.classes) + 1) if mats else super().mask_values()


def open_pascal_context(root: Path, split: str, *, background: bool = True) -> ContextSet:
    """PASCAL-Context over VOC 2010: train 4998, val 5105 images; 59 classes and their background.

    Masks are the authors' ``trainval/*.mat`` (``LabelMap``, 459 labels), their ``59_context_labels/*.png``,
    or the ``SegmentationClassContext/*.png`` many tools make of them, numbered by alphabet. The splits are
    ImageSets/SegmentationContext/*.txt where there is one, else VOC 2010's own ImageSets/Main/*.txt.
    """
    home = devkit(root, "VOC2010")
    numbers, names = class_list("pascal_context")
    by_alphabet = [sorted(numbers).index(number) + 1 for number in numbers]
    plain = range(1, len(numbers) + 1)
    # where masks may lie: the suffix, and the values of the classes in predictions and in masks that are PNGs
    # (the .mat files have the authors' 459 labels, which decode maps to the 59)
    forms = {
        "trainval": (".mat", plain),
        "SegmentationClassContext": (".png", by_alphabet),
        "59_context_labels": (".png", plain),
    }
    above = dict.fromkeys((root, home, *home.parents[:2], root / "pascal-context"))
    masks = first_of(*(place / form for place in above for form in forms))
    suffix, codes = forms[masks.name]
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
        codes=[0, *codes] if background else codes,
        void=(IGNORE,) if background else (0,),
    )


def open_pascal_context59(root: Path, split: str) -> ContextSet:
    """PASCAL-Context's 59 classes; the background is ignored. Files as for ``open_pascal_context``."""
    return open_pascal_context(root, split, background=False)
