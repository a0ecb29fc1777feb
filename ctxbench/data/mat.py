"""The labels in a MATLAB file of level 5 (what MATLAB's -v6 and -v7 save), read within the file's bounds.

scipy.io.loadmat believes the sizes that a file states. Of 5,000 files with a few damaged bytes, 25 ended its
process with a segmentation fault, which no exception handler sees, and some took seconds or did not end; in a
worker that loads training samples this is a crash without a name. Here every size is held against the bytes
that are there.

The format (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements. An element is a tag (type and
size in bytes, 8 bytes), then its data, padded to a multiple of 8; up to 4 bytes of data may stand in the tag
itself. A matrix is an element of elements: class, dimensions, name, then what the class needs.

In the shape comments: H and W are the height and width of an image.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of stored numbers, as NumPy names them without the byte order."""
MATRIX, COMPRESSED = 14, 15
STRUCT, NUMERIC = 2, range(6, 16)
"""Classes of matrices; the ones left out are cells, objects, texts and sparse ones."""
COMPLEX = 0x800
LARGEST = 1 << 30
"""Bytes a compressed element may expand to: 1 GiB, some 30,000 x 30,000 labels."""


class MatError(ValueError):
    """A file that is no MATLAB file of level 5, or whose sizes contradict it."""


class Matrix(NamedTuple):
    """A variable: its class, its dimensions, and its remaining elements, not taken apart yet."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    rest: Reader


class Reader:
    """Elements one after the other in ``data``, each within its bounds."""

    def __init__(self, data: bytes | memoryview, order: str, start: int = 0) -> None:
        self.data, self.order, self.position = memoryview(data), order, start

    def __bool__(self) -> bool:
        return len(self.data) - self.position >= 8

    def next(self) -> tuple[int, memoryview]:
        """Type and data of the next element. Raises MatError where it would reach beyond the end."""
        if not self:
            raise MatError("it ends within an element")
        (first,) = struct.unpack_from(self.order + "I", self.data, self.position)
        if first >> 16:  # up to 4 bytes of data, in the tag
            kind, size, start, end = first & 0xFFFF, first >> 16, self.position + 4, self.position + 8
        else:
            (size,) = struct.unpack_from(self.order + "I", self.data, self.position + 4)
            kind, start = first, self.position + 8
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > min(len(self.data), end):
            raise MatError(f"an element of {size} bytes does not fit into it")
        self.position = min(end, len(self.data))
        return kind, self.data[start : start + size]

    def numbers(self) -> NDArray[Any]:
        """The next element as a row of numbers. Raises MatError where it is none."""
        kind, data = self.next()
        if kind not in NUMBERS:
            raise MatError(f"an element of type {kind} stands where numbers should")
        dtype = np.dtype(self.order + NUMBERS[kind])
        if len(data) % dtype.itemsize:
            raise MatError(f"{len(data)} bytes are no whole numbers of {dtype.itemsize}")
        return np.frombuffer(data, dtype)

    def matrix(self) -> tuple[str, Matrix] | None:
        """The next element as a variable and its name; None where it is something else."""
        kind, data = self.next()
        if kind == COMPRESSED:
            inner = Reader(_expanded(data), self.order)
            return inner.matrix() if inner else None
        if kind != MATRIX or not data:
            return None
        parts = Reader(data, self.order)
        flags, shape = parts.numbers(), parts.numbers()
        name = bytes(parts.next()[1]).decode("latin1")
        if not len(flags) or shape.dtype.kind not in "iu" or (shape < 0).any():
            raise MatError(f"the variable {name!r} has no class or no dimensions")
        return name, Matrix(int(flags[0]) & 0xFF, int(flags[0]), tuple(map(int, shape)), parts)


def read_mat(data: bytes, names: Collection[str]) -> tuple[str, Matrix] | None:
    """The first variable of a file with one of ``names``, and its name; None where it has none of them.

    Raises MatError where the content is no MATLAB file of level 5, or damaged.
    """
    for name, matrix in _variables(data):
        if name in names:
            return name, matrix
    return None


def field(matrix: Matrix, name: str) -> Matrix | None:
    """A field of a structure of one element; None where it is no such, or has no such field."""
    if matrix.kind != STRUCT or prod(matrix.shape) != 1:
        return None
    parts = matrix.rest
    (length,) = parts.numbers()[:1].tolist() or [0]
    text = bytes(parts.next()[1])
    if length < 1:
        raise MatError("a structure has no names for its fields")
    for start in range(0, len(text), length):
        value = parts.matrix()
        if text[start : start + length].split(b"\0")[0].decode("latin1") == name:
            return value[1] if value else None
    return None


def array(matrix: Matrix) -> NDArray[Any] | None:
    """The real numbers of a matrix, in its shape; None where it holds something else.

    Raises MatError where they are fewer or more than its dimensions say.
    """
    if matrix.kind not in NUMERIC or matrix.flags & COMPLEX:
        return None
    values = matrix.rest.numbers()
    if len(values) != prod(matrix.shape):
        raise MatError(f"{len(values)} numbers do not fill {'x'.join(map(str, matrix.shape))}")
    return values.reshape(matrix.shape, order="F")  # (H, W) for labels: MATLAB goes down the columns


def _variables(data: bytes) -> Iterator[tuple[str, Matrix]]:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or data[:4] == b"\x89HDF":
        raise MatError("it is no MATLAB file of level 5; in MATLAB, save it with -v7")
    reader = Reader(data, order, 128)
    while reader:
        variable = reader.matrix()
        if variable is not None:
            yield variable


def _expanded(data: memoryview) -> bytes:
    stream = zlib.decompressobj()
    try:
        expanded = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise MatError(f"it is damaged: {error}") from error
    if not stream.eof:
        raise MatError("compressed data are cut short, or expand to more than 1 GiB")
    return expanded
