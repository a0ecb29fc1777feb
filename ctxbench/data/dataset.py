"""What every data set for semantic segmentation offers.

In the shape comments: K is the number of classes, H and W are the height and width of an image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctxbench.data.reading import LabelRangeError, read_labels
from ctxbench.errors import UserError

IGNORE = 255
"""The label of a pixel that counts neither in training nor in evaluation."""

Colour = tuple[int, int, int]
Labels = NDArray[np.uint8]
ReadAs = Literal["either", "numbers", "colours"]

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
    ``also`` gives the label (a class or ``IGNORE``) of further values, ``rest`` that of all others, where
    they have one. ``read_as`` says what a mask in colours or with a palette is: "numbers" (of grey with three
    channels the grey, of a palette the index), "colours" (``palette`` and ``void_colours`` say which), or
    "either", where an index is a number and three channels are colours if they are among those.
    ``meaning`` says in words how that was decided, "" where the authors of the data set did.
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
    also: Mapping[int, int]
    rest: int | None
    read_as: ReadAs
    meaning: str
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
        also: Mapping[int, int] | None = None,
        rest: int | None = None,
        read_as: ReadAs = "either",
        meaning: str = "",
    ) -> None:
        if not 1 <= len(classes) <= IGNORE:
            raise UserError(f"{name}: 1 to {IGNORE} classes fit a mask, not {len(classes)}")
        self.name, self.split, self.classes = name, split, tuple(classes)
        self.codes = range(len(classes)) if codes is None else codes
        self.void, self.void_colours = void, void_colours
        self.also, self.rest, self.read_as, self.meaning = also or {}, rest, read_as, meaning
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

    def mask_values(self) -> list[str]:
        """What stands for each class in the mask files, and, last, for ignored pixels; "" where it varies."""
        if self.read_as == "colours":
            colours = ["{},{},{}".format(*colour) for colour in self.palette]
            return [*colours, " ".join("{},{},{}".format(*colour) for colour in self.void_colours)]
        further: dict[int, list[int]] = {label: [code] for label, code in enumerate(self.codes)}
        further[IGNORE] = list(self.void)
        for value, label in self.also.items():
            further[label].append(value)
        return [ranges(further[label]) for label in (*range(len(self.classes)), IGNORE)]

    def encode(self, labels: Labels) -> Image.Image:
        """A prediction (H×W: 0..K-1 or ``IGNORE``) in the layout of the authors' server or mask files.

        8 bits per pixel, or 16 where a class's value needs them.
        """
        wide = max(*self.codes, self.void[0]) > 255
        table = np.full(256, self.void[0], np.uint16 if wide else np.uint8)
        table[: len(self.codes)] = self.codes
        picture = Image.fromarray(table[labels])  # (H, W)
        if self.mode == "P" and not wide:
            colours = dict.fromkeys(self.void, self.void_colours[0])
            colours |= dict(zip(self.codes, self.palette, strict=True))
            picture.putpalette([part for code in range(256) for part in colours.get(code, (0, 0, 0))])
        return picture

    def decode(self, path: Path) -> Labels:
        """Read a mask or a prediction in the authors' layout, H×W: 0..K-1 or ``IGNORE``.

        Raises UserError naming the file where it is missing, unreadable, or holds what is no class.
        """
        return self.to_labels(read_labels(path, by_colour=self.read_as == "colours"), path)

    def to_labels(self, values: NDArray[Any], path: Path) -> Labels:
        """Turn the values (H×W) or colours (H×W×3) of the file at ``path`` into classes (H×W).

        Raises LabelRangeError naming the file and the value where one stands for no class.
        """
        grey = values.ndim == 3 and bool((values == values[..., :1]).all())
        if grey and self.read_as == "numbers":
            values = values[..., 0]  # (H, W)
        labels = self._from_colours(values) if values.ndim == 3 else self._by_value[values]  # (H, W)
        if grey and self.read_as == "either" and (labels < 0).any():
            values = values[..., 0]  # (H, W): a grey mask that was saved with three channels
            labels = self._by_value[values]
        if (stray := labels < 0).any():
            what = f"colour {values[stray][0].tolist()}" if values.ndim == 3 else f"label {values[stray][0]}"
            raise LabelRangeError(
                f"{path}: {what} stands for no class of {self.name}, which has {len(self.classes)}: "
                f"{self._accepted()}"
            )
        return labels.astype(np.uint8)

    def _accepted(self) -> str:
        if self.read_as == "colours":
            return "the colours of its class list"
        values = [*self.codes, *(value for value, label in self.also.items() if label != IGNORE)]
        void = sorted([*self.void, *(value for value, label in self.also.items() if label == IGNORE)])
        return f"{min(values)} to {max(values)}, and {void} ignored"

    @cached_property
    def _by_value(self) -> NDArray[np.int16]:
        """The label of each of the 65536 values a mask can hold, -1 where it stands for no class."""
        table = np.full(1 << 16, -1 if self.rest is None else self.rest, np.int16)
        table[list(self.also)] = list(self.also.values())
        table[list(self.void)] = IGNORE
        table[list(self.codes)] = range(len(self.classes))
        return table

    def _from_colours(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """The labels (H×W) of colours (H×W×3), -1 where one stands for no class."""
        colours = np.array([*self.void_colours, *self.palette]) @ _PACK  # a number for each colour
        targets = np.array([IGNORE] * len(self.void_colours) + [*range(len(self.classes))], np.int16)
        order = np.argsort(colours)
        packed = values @ _PACK  # (H, W)
        place = order[np.minimum(np.searchsorted(colours, packed, sorter=order), len(colours) - 1)]  # (H, W)
        other = np.int16(-1 if self.rest is None else self.rest)
        return np.where(colours[place] == packed, targets[place], other)


def ranges(values: Sequence[int]) -> str:
    """Whole numbers as a list writes them: "0, 4-7, 255"."""
    parts: list[list[int]] = []
    for value in sorted(set(values)):
        if parts and parts[-1][1] == value - 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


_PACK = np.array([1 << 16, 1 << 8, 1], np.int64)


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
            also=dataset.also,
            rest=dataset.rest,
            read_as=dataset.read_as,
            meaning=dataset.meaning,
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
