"""Scores of a segmentation, all from one confusion matrix: rows are the truth, columns the prediction.

K classes, P pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


def confusion_matrix(truth: Tensor, prediction: Tensor, classes: int) -> Tensor:
    """Count pixels by true and predicted class: int64, (K, K), with K = ``classes``.

    ``truth`` and ``prediction`` are int64 of one shape, of P pixels. Where the truth is no class,
    so 255, the ignore label, nothing is counted; elsewhere both must be in 0..K-1.
    """
    # each pair of classes is a number, row by row of the matrix, so that one count of numbers fills it; what
    # is ignored becomes row K, below the matrix, and is cut off
    rows = truth.clamp(max=classes)
    pairs = (rows * classes + prediction).flatten()  # (P,)
    counts = torch.bincount(pairs, minlength=classes * classes)  # (K², and more where pixels are ignored)
    return counts[: classes * classes].view(classes, classes)  # (K, K)


def iou(confusion: Counts) -> Scores:
    """IoU of each class in %, (K, K) to (K,); NaN for a class in neither truth nor prediction."""
    hits = np.diag(confusion)  # (K,)
    return _percent(hits, confusion.sum(0) + confusion.sum(1) - hits)


def class_accuracy(confusion: Counts) -> Scores:
    """Share of each class's pixels recognised, in %, (K, K) to (K,); NaN for a class without any."""
    return _percent(np.diag(confusion), confusion.sum(1))


def miou(confusion: Counts) -> float:
    """Mean IoU in % over the classes that occur in truth or prediction; NaN where nothing was counted."""
    return mean(iou(confusion))


def mean(scores: Scores) -> float:
    """The mean of the scores (K,) that are defined; NaN where none is."""
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if len(defined) else float("nan")


def pixel_accuracy(confusion: Counts) -> float:
    """Share of all counted pixels that were recognised, in %; NaN where nothing was counted."""
    return float(_percent(np.trace(confusion), confusion.sum()))


def _percent(part: Counts, whole: Counts) -> Scores:
    share: Scores = np.divide(100.0 * part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share
