"""Reading the images and masks of data sets, and the errors of those that are bad.

In the shape comments: H and W are the height and width of a picture as it is to be looked at, after the
orientation that its EXIF data state.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ctxbench.data.mat import MatError, array, field, read_mat
from ctxbench.data.paths import existing
from ctxbench.errors import UserError, in_one_line

Values = NDArray[np.uint8 | np.uint16]

PIXEL_LIMIT = "CTXBENCH_MAX_PIXELS"
"""Environment variable: the pixels an image may have. It reaches the processes that load samples, too."""


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


def open_picture(path: Path) -> Image.Image:
    """Open an image file without decoding it.

    Raises BadSampleError where it is missing, no image, or larger than Pillow's guard against small files
    that expand to huge images; the message says how to allow it.
    """
    if limit := os.environ.get(PIXEL_LIMIT):
        if not limit.isdecimal() or not int(limit):
            raise UserError(f"{PIXEL_LIMIT} is {limit!r}: set it to a number of pixels")
        Image.MAX_IMAGE_PIXELS = int(limit)
    try:
        return Image.open(existing(path))
    except FileNotFoundError:
        raise MissingFileError(f"{path} is missing") from None
    except Image.DecompressionBombError as error:
        hint = f"set {PIXEL_LIMIT} to as many (`data check --max-pixels`) if the file is trusted"
        raise UnreadableFileError(f"{path} is too large: {in_one_line(error)}; {hint}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error


def loaded(picture: Image.Image, path: Path) -> Image.Image:
    """Decode an open image. Raises UnreadableFileError where the file is cut short or damaged."""
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error
    return picture


def orientation(path: Path) -> int:
    """The EXIF orientation of an image file: 1 as stored, 2 to 8 mirrored or turned; 1 where it states none.

    Raises BadSampleError as ``open_picture``.
    """
    with open_picture(path) as picture:
        # data that follow a PNG's pixels are only seen when these are decoded: do that if there are such
        if picture.format == "PNG" and not _MAY_TURN.search(existing(path).read_bytes()):
            return 1
        return _orientation(picture)


_MAY_TURN = re.compile(rb"eXIf|XML:com\.adobe\.xmp")


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF data raise whatever they lead to, and the pixels are whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of an image file once turned upright. Raises BadSampleError as ``open_picture``."""
    with open_picture(path) as picture:
        width, height = picture.size
        by_pillow = picture.format == "TIFF"  # these it turns itself, some versions when they are decoded
    if orientation(path) < 5:  # 5 to 8 exchange the two
        return height, width
    return read_picture(path).size[::-1] if by_pillow else (width, height)


def read_picture(path: Path) -> Image.Image:
    """An image file decoded and turned upright, in the mode it has. Raises BadSampleError."""
    with open_picture(path) as file:
        picture = loaded(file, path)
        if file.format == "GIF" and picture.mode == "P":
            picture = _grey_again(picture)
        return picture if _orientation(file) == 1 else ImageOps.exif_transpose(picture)


def _grey_again(picture: Image.Image) -> Image.Image:
    """A picture with a palette, or a grey one if the palette has greys alone.

    A GIF always has a palette, and whoever saves a grey picture as one does not choose the indices.
    """
    colours = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)  # (colours, 3)
    return picture.convert("L") if (colours == colours[:, :1]).all() else picture


def read_image(path: Path) -> Image.Image:
    """An image file as RGB, 8 bits a channel, turned as its EXIF data say; of 16 bits grey the upper 8.

    Raises BadSampleError where it is missing, unreadable, or of 32 bits, whose black and white are not known.
    """
    picture = read_picture(path)
    if picture.mode in ("I", "F"):
        raise UnreadableFileError(f"{path} has 32 bits per pixel: save it with 8 or 16")
    if picture.mode.startswith("I;16"):  # Pillow would clip each value at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGB")


def is_lossy(path: Path) -> bool:
    """Whether the compression of an image file changes values: JPEG by its content, or WebP's lossy kind.

    Raises BadSampleError as ``open_picture``.
    """
    with open_picture(path) as picture:
        if picture.format != "WEBP":
            return picture.format in ("JPEG", "MPO", "JPEG2000")
    data = existing(path).read_bytes()
    position = 12  # after "RIFF", the size, "WEBP": chunks of a name, a size, and data of even length
    while position + 8 <= len(data):
        if data[position : position + 4] == b"VP8L":  # the chunk of lossless pixels
            return False
        position += 8 + (int.from_bytes(data[position + 4 : position + 8], "little") + 1 & ~1)
    return True


_MAT_KEYS = ("S", "LabelMap", "GTcls")
"""Where SIFT-Flow and COCO-Stuff 10k, PASCAL-Context, and SBD keep the labels in their .mat files."""


def read_labels(path: Path, *, by_colour: bool = False) -> Values:
    """The values of a label file as they are: H×W, or H×W×3 for a mask in colours.

    Of a mask with a palette, the indices; ``by_colour``, the palette's colours (and of a grey one too).
    Raises BadSampleError where it cannot be read or holds no labels.
    """
    if path.suffix == ".mat":
        return _read_mat(path)
    picture = read_picture(path)
    return values_of(picture, path, by_colour=by_colour)


def values_of(picture: Image.Image, path: Path, *, by_colour: bool = False) -> Values:
    """The values of a decoded mask; ``path`` is for the message. As ``read_labels``."""
    if by_colour and picture.mode in ("P", "PA", "L", "LA", "1"):
        picture = picture.convert("RGB")
    values: NDArray[Any] = np.asarray(picture)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., 0]  # without alpha: H×W×3 or H×W
    return values if values.ndim == 3 else _whole_numbers(values, path)


def _read_mat(path: Path) -> Values:
    path = existing(path)
    try:
        variable = read_mat(path.read_bytes(), _MAT_KEYS)
        if variable is None:
            raise UnreadableFileError(f"{path} holds no labels: it has none of {', '.join(_MAT_KEYS)}")
        name, matrix = variable
        inner = field(matrix, "Segmentation") if name == "GTcls" else matrix  # SBD's masks, in a structure
        values = array(inner) if inner else None
    except FileNotFoundError:
        raise MissingFileError(f"{path} is missing") from None
    except (OSError, MatError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {in_one_line(error)}") from error
    return _whole_numbers(values, path)


def _whole_numbers(values: Any, path: Path) -> Values:
    """``values`` (H×W) as uint8 or uint16, unchanged. Raises UnreadableFileError where they are no labels."""
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "buif":
        raise UnreadableFileError(f"{path} holds no labels: it has no table of real numbers, H x W")
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        return cast(Values, values)
    with np.errstate(invalid="ignore"):  # what is not finite differs from what it is cast to
        labels: Values = values.astype(np.uint8 if values.dtype == bool else np.uint16)
    if (labels != values).any():
        raise UnreadableFileError(f"{path} holds no labels: its values are not whole numbers of 0..65535")
    return labels
