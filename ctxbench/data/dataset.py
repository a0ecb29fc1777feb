"""What every data set for semantic segmentation offers, and what is common to those that lie in files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctxbench.data.reading import LabelRangeError, SizesDifferError, open_picture, read_image, read_labels
from ctxbench.errors import UserError

IGNORE = 255
"""The label of a pixel that counts neither in training nor in evaluation."""

Colour = tuple[int, int, int]
Labels = NDArray[np.uint8]

VOID_COLOUR: Colour = (224, 224, 192)
"""The colour of the ignored borders in PASCAL VOC's masks."""


def colormap(count: int) -> tuple[Colour, ...]:
    """The first ``count`` colours of PASCAL VOC's map: an index's bits dealt out to red, green and blue."""

    def colour(index: int) -> Colour:
        red, green, blue = (
            sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
        )
        return red, green, blue

    return tuple(map(colour, range(count)))


class SegmentationSet(ABC):
    """Images with one class per pixel: K ``classes``, numbered 0..K-1, and pixels to ignore (``IGNORE``).

    ``palette`` holds a colour per class. ``codes`` are the values that stand for the classes in the authors'
    files, ``void`` those that stand for ignored pixels (the first of them is what is written for these);
    a mask in colours is read by ``palette`` and ``void_colours``.
    ``mode`` is that of the PNG a prediction is written to: "P", with the palette, or "L".
    ``labelled`` is False where the authors keep the truth to themselves; every pixel is ignored then.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    codes: Sequence[int]
    void: Sequence[int]
    void_colours: Sequence[Colour]
    mode: Literal["P", "L"] = "P"
    labelled: bool = True

    def __init__(
        self,
        name: str,
        split: str,
        classes: Sequence[str],
        *,
        palette: Sequence[Colour] | None = None,
        codes: Sequence[int] | None = None,
        void: Sequence[int] = (IGNORE,),
        void_colours: Sequence[Colour] = (VOID_COLOUR,),
    ) -> None:
        if not 1 <= len(classes) <= IGNORE:
            raise UserError(f"{name}: 1 to {IGNORE} classes fit a mask, not {len(classes)}")
        self.name, self.split, self.classes = name, split, tuple(classes)
        self.codes = range(len(classes)) if codes is None else codes
        self.void, self.void_colours = void, void_colours
        if palette is None:
            colours = colormap(256)
            palette = [colours[code % 256] for code in self.codes]
        self.palette = tuple(palette)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def stem(self, index: int) -> str:
        """The name of a sample, that of its image's file without the suffix."""

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """The image, RGB. Raises UserError naming a file that is missing or unreadable."""

    @abstractmethod
    def mask(self, index: int) -> Labels:
        """The mask, H×W: 0..K-1 or ``IGNORE``.

        Raises UserError naming a file that is missing, unreadable, of another size than its image (with both
        sizes), or holds a value that stands for no class (with the value).
        """

    def encode(self, labels: Labels) -> Image.Image:
        """A prediction (H×W: 0..K-1 or ``IGNORE``) in the layout of the authors' server or mask files."""
        table = np.full(256, self.void[0], np.uint8)
        table[: len(self.codes)] = self.codes
        picture = Image.fromarray(table[labels])
        if self.mode == "P":
            colours = dict.fromkeys(self.void, VOID_COLOUR) | dict(zip(self.codes, self.palette, strict=True))
            picture.putpalette([part for code in range(256) for part in colours.get(code, (0, 0, 0))])
        return picture

    def decode(self, path: Path) -> Labels:
        """Read a mask or a prediction in the authors' layout, H×W: 0..K-1 or ``IGNORE``.

        Raises UserError naming the file where it is missing, unreadable, or holds what is no class.
        """
        return self.to_labels(read_labels(path), path)

    def to_labels(self, values: NDArray[Any], path: Path) -> Labels:
        """Turn the values (H×W) or colours (H×W×3) of the file at ``path`` into classes.

        Raises LabelRangeError naming the file and the value where one stands for no class.
        """
        labels = self._from_colours(values) if values.ndim == 3 else self._by_value[values]
        if values.ndim == 3 and (labels < 0).any() and (values == values[..., :1]).all():
            values = values[..., 0]  # a grey mask that was saved with three channels
            labels = self._by_value[values]
        if (stray := labels < 0).any():
            what = f"colour {values[stray][0].tolist()}" if values.ndim == 3 else f"label {values[stray][0]}"
            raise LabelRangeError(
                f"{path}: {what} stands for no class of {self.name}, which has {len(self.classes)}: "
                f"{min(self.codes)} to {max(self.codes)}, and {sorted(self.void)} ignored"
            )
        return labels.astype(np.uint8)

    @cached_property
    def _by_value(self) -> NDArray[np.int16]:
        table = np.full(1 << 16, -1, np.int16)
        table[list(self.void)] = IGNORE
        table[list(self.codes)] = range(len(self.classes))
        return table

    def _from_colours(self, values: NDArray[Any]) -> NDArray[np.int16]:
        known = np.array([*self.void_colours, *self.palette]) @ _PACK
        targets = np.array([IGNORE] * len(self.void_colours) + [*range(len(self.classes))], np.int16)
        order = np.argsort(known)
        packed = values @ _PACK
        place = order[np.minimum(np.searchsorted(known, packed, sorter=order), len(known) - 1)]
        return np.where(known[place] == packed, targets[place], np.int16(-1))


_PACK = np.array([1 << 16, 1 << 8, 1], np.int64)


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
        with open_picture(pair.image) as picture:
            width, height = picture.size
        if pair.mask is None:
            return np.full((height, width), IGNORE, np.uint8)
        labels = self.truth(index)
        if labels.shape != (height, width):
            raise SizesDifferError(
                f"{pair.mask} is {labels.shape[0]}x{labels.shape[1]} (H x W) "
                f"but its image {pair.image} is {height}x{width}"
            )
        return labels

    def truth(self, index: int) -> Labels:
        """The mask as its file has it, not yet held against the image."""
        return self.decode(self.mask_path(index))

    def mask_path(self, index: int) -> Path:
        """Where a sample's mask lies. Raises ValueError where the authors keep it to themselves."""
        path = self.pairs[index].mask
        if path is None:
            raise ValueError(f"{self.name} {self.split} has no masks")
        return path


def class_list(name: str) -> tuple[list[int], list[str]]:
    """The numbers and names of the classes in ``classes/NAME.txt``, in order."""
    lines = (
        (Path(__file__).parent / "readers" / "classes" / f"{name}.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    numbers, names = zip(*(line.split(" ", 1) for line in lines), strict=True)
    return [int(number) for number in numbers], list(names)


class Subset(SegmentationSet):
    """Some samples of a data set, in the order of ``indices``."""

    def __init__(self, dataset: SegmentationSet, indices: Sequence[int]) -> None:
        vars(self).update(
            name=dataset.name,
            split=dataset.split,
            classes=dataset.classes,
            palette=dataset.palette,
            codes=dataset.codes,
            void=dataset.void,
            void_colours=dataset.void_colours,
            mode=dataset.mode,
            labelled=dataset.labelled,
        )
        self.dataset, self.indices = dataset, tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def stem(self, index: int) -> str:  # noqa: D102  as in the base class
        return self.dataset.stem(self.indices[index])

    def image(self, index: int) -> Image.Image:  # noqa: D102  as in the base class
        return self.dataset.image(self.indices[index])

    def mask(self, index: int) -> Labels:  # noqa: D102  as in the base class
        return self.dataset.mask(self.indices[index])
