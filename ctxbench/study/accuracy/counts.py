"""Pixels that were counted, of each image and class, and the scores that follow from them. Imports no torch.

M images, K classes; the three counts are pixels that are rightly of a class, predicted as it, truly of it.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxbench.errors import UserError

Counts = NDArray[Any]
"""(…, 3, K)."""


def scores(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean IoU over the classes in truth or prediction, and pixel accuracy, in %: (…, 3, K) to two of (…)."""
    right, predicted, truth = np.moveaxis(counts, -2, 0)  # (…, K) each
    of_class = iou(counts)
    there = predicted + truth > 0
    miou = np.where(there, of_class, 0).sum(-1) / np.maximum(there.sum(-1), 1)
    return miou, 100 * right.sum(-1) / np.maximum(truth.sum(-1), 1)


def iou(counts: Counts) -> NDArray[np.float64]:
    """IoU of each class in %, (…, 3, K) to (…, K); NaN for one in neither truth nor prediction."""
    right, predicted, truth = np.moveaxis(counts, -2, 0)  # (…, K) each
    union = predicted + truth - right
    shares: NDArray[np.float64] = np.divide(
        100.0 * right, union, out=np.full(union.shape, np.nan), where=union > 0
    )
    return shares


def packed(counts: Counts) -> str:
    """Counts (M, 3, K) as text, for a line of JSON."""
    shape = ",".join(map(str, counts.shape))
    data = base64.b64encode(zlib.compress(counts.astype("<i4").tobytes(), 9)).decode()
    return f"{shape};{data}"


def unpacked(text: str) -> Counts:
    """Invert :func:`packed`. Raises UserError for a text that it did not write."""
    shape, _, data = text.partition(";")
    try:
        flat = np.frombuffer(zlib.decompress(base64.b64decode(data, validate=True)), "<i4")
        return flat.reshape([int(side) for side in shape.split(",")]).astype(np.int64)  # (M, 3, K)
    except (ValueError, zlib.error) as error:
        raise UserError(f"a cell is damaged, it holds no counts: {error}") from error
