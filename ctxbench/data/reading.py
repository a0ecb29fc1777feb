"""Reading the files of data sets: pictures, masks, lists; and what becomes of those that are bad."""

from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctxbench.errors import UserError, in_one_line

Values = NDArray[np.uint8 | np.uint16]


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


def read_image(path: Path) -> Image.Image:
    """An image file as RGB, 8 bits a channel; of 16 bits grey the upper 8.

    Raises BadSampleError where it is missing, unreadable, or of 32 bits, whose black and white are not known.
    """
    with open_picture(path) as file:
        picture = loaded(file, path)
    if picture.mode in ("I", "F"):
        raise UnreadableFileError(f"{path} has 32 bits per pixel: save it with 8 or 16")
    if picture.mode.startswith("I;16"):  # Pillow would clip each value at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGB")


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
    if key == "GTcls" and values.dtype.names and "Segmentation" in values.dtype.names and values.size == 1:
        values = values["Segmentation"].item()
    return _whole_numbers(values, path)


def _whole_numbers(values: Any, path: Path) -> Values:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "buif":
        raise UnreadableFileError(f"{path} holds no labels: it has no table of real numbers, H x W")
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        return cast(Values, values)
    with np.errstate(invalid="ignore"):  # what is not finite differs from what it is cast to
        labels: Values = values.astype(np.uint8 if values.dtype == bool else np.uint16)
    if (labels != values).any():
        raise UnreadableFileError(f"{path} holds no labels: its values are not whole numbers of 0..65535")
    return labels
