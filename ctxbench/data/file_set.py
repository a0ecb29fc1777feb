"""Data sets whose samples are an image file and a mask file each, and the lists of the authors' classes.

In the shape comments: K is the number of classes, H and W are the height and width of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ctxbench.data.dataset import IGNORE, Labels, SegmentationSet
from ctxbench.data.reading import SizesDifferError, open_picture, orientation, read_image, size_of


@dataclass(frozen=True)
class Pair:
    """A sample's files; ``mask`` is None where the authors keep the truth to themselves."""

    stem: str
    image: Path
    mask: Path | None


class FileSet(SegmentationSet):
    """A data set whose samples are an image file and a mask file each."""

    def __init__(
        self, name: str, split: str, pairs: Sequence[Pair], classes: Sequence[str], **layout: Any
    ) -> None:
        super().__init__(name, split, classes, **layout)
        self.pairs = tuple(pairs)
        self.labelled = all(pair.mask is not None for pair in pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def stem(self, index: int) -> str:  # noqa: D102  as in the base class
        return self.pairs[index].stem

    def image(self, index: int) -> Image.Image:  # noqa: D102  as in the base class
        return read_image(self.pairs[index].image)

    def mask(self, index: int) -> Labels:  # noqa: D102  as in the base class
        pair = self.pairs[index]
        height, width = size_of(pair.image)
        if pair.mask is None:
            return np.full((height, width), IGNORE, np.uint8)
        labels = self.truth(index)
        if labels.shape != (height, width):
            raise SizesDifferError(
                f"{pair.mask} is {labels.shape[0]}x{labels.shape[1]} (H x W) "
                f"but its image {pair.image} is {height}x{width}{_unturned(pair.image, labels.shape)}"
            )
        return labels

    def truth(self, index: int) -> Labels:
        """The mask as its file has it, not yet compared with the image's size."""
        return self.decode(self.mask_path(index))

    def mask_path(self, index: int) -> Path:
        """Where a sample's mask lies. Raises ValueError where the authors keep it to themselves."""
        path = self.pairs[index].mask
        if path is None:
            raise ValueError(f"{self.name} {self.split} has no masks")
        return path


def _unturned(image: Path, shape: tuple[int, ...]) -> str:
    with open_picture(image) as picture:
        stored = picture.size[::-1]
    if orientation(image) == 1 or stored != shape:
        return ""
    return ", which its EXIF data turn, and the mask fits it unturned: turn the mask as well"


def class_list(name: str) -> tuple[list[int], list[str]]:
    """The numbers and names of the classes in ``classes/NAME.txt``, in order."""
    lines = (
        (Path(__file__).parent / "readers" / "classes" / f"{name}.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    numbers, names = zip(*(line.split(" ", 1) for line in lines), strict=True)
    return [int(number) for number in numbers], list(names)
