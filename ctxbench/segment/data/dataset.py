"""What every data set for semantic segmentation offers, and what is common to those that lie in files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctxbench.errors import UserError, in_one_line

IGNORE = 255
"""The label of a pixel that counts neither in training nor in evaluation."""

Colour = tuple[int, int, int]
Labels = NDArray[np.uint8]
Values = NDArray[np.uint8 | np.uint16]

VOID_COLOUR: Colour = (224, 224, 192)
"""The colour of the ignored borders in PASCAL VOC's masks."""


class BadSampleError(UserError):
    """One image or mask that cannot be used; ``--skip-bad`` leaves it out."""

    problem: ClassVar[str] = "bad"


class MissingFileError(BadSampleError):
    """An image without a mask, or the reverse."""

    problem = "missing"


class UnreadableFileError(BadSampleError):
    """A file that is not what its name says, or is cut short."""

    problem = "unreadable"


class SizesDifferError(BadSampleError):
    """An image and a mask of different height or width."""

    problem = "sizes differ"


class LabelRangeError(BadSampleError):
    """A mask with a value that stands for no class."""

    problem = "label out of range"


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
                f"{path}: {what} stands for no class of {self.name}: "
                f"{min(self.codes)}..{max(self.codes)} are classes, {sorted(self.void)} is ignored"
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
        self.labelled = any(pair.mask is not None for pair in pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def stem(self, index: int) -> str:  # noqa: D102  as in the base class
        return self.pairs[index].stem

    def image(self, index: int) -> Image.Image:  # noqa: D102  as in the base class
        with open_picture(self.pairs[index].image) as picture:
            return loaded(picture, self.pairs[index].image).convert("RGB")

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
        path = self.pairs[index].mask
        if path is None:
            raise ValueError(f"{self.name} {self.split} has no masks")
        return self.decode(path)


IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


class NotFoundError(UserError):
    """A data set is not where it was said to be; the message says what was looked for."""


def first_of(*places: Path) -> Path:
    """The first of ``places`` that exists. Raises NotFoundError, naming them all."""
    for place in places:
        if place.exists():
            return place
    raise NotFoundError(f"looked for {' and '.join(map(str, places))}")


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises NotFoundError, or UserError where it is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"looked for {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {in_one_line(error)}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_list(path: Path) -> list[str]:
    """The samples that a split's file lists, a line each: a name, or an image's path."""
    return [stem_of(line) for line in lines_of(path)]


def stem_of(line: str) -> str:
    """The name of a sample without folders and without the suffix of an image; names may hold spaces."""
    line = line.replace("\\", "/")
    first = Path(line.split()[0])
    name = first if first.suffix.lower() in IMAGE_SUFFIXES else Path(line)
    return name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name


def open_picture(path: Path) -> Image.Image:
    """Open an image file without decoding it. Raises BadSampleError where it is missing or no image."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise MissingFileError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error


def loaded(picture: Image.Image, path: Path) -> Image.Image:
    """Decode an open image. Raises UnreadableFileError where the file is cut short or damaged."""
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error
    return picture


_MAT_KEYS = ("S", "LabelMap", "GTcls")
"""Where SIFT-Flow and COCO-Stuff 10k, PASCAL-Context, and SBD keep the labels in their .mat files."""


def read_labels(path: Path) -> Values:
    """The values of a label file as they are: H×W, or H×W×3 for a mask in colours.

    Raises BadSampleError where it cannot be read or holds no labels.
    """
    if path.suffix == ".mat":
        return _read_mat(path)
    with open_picture(path) as picture:
        values: NDArray[Any] = np.asarray(loaded(picture, path))
    if values.ndim == 3:
        return values[..., :3] if values.shape[2] >= 3 else values[..., 0]
    return _whole_numbers(values, path)


def _read_mat(path: Path) -> Values:
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=_MAT_KEYS)
    except FileNotFoundError:
        raise MissingFileError(f"{path} is missing") from None
    except Exception as error:  # scipy's reader raises whatever the damage led it to
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error
    key = next((key for key in _MAT_KEYS if key in found), None)
    if key is None:
        raise UnreadableFileError(f"{path} holds no labels: it has none of {', '.join(_MAT_KEYS)}")
    values = found[key]
    return _whole_numbers(values["Segmentation"][0, 0] if key == "GTcls" else values, path)


def _whole_numbers(values: NDArray[Any], path: Path) -> Values:
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        return cast(Values, values)
    labels: Values = values.astype(np.uint8 if values.dtype == bool else np.uint16)
    if (labels != values).any():
        raise UnreadableFileError(f"{path} holds no labels: its values are not whole numbers of 0..65535")
    return labels
