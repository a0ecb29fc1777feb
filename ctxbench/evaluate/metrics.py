"""Scores of a segmentation, all from one confusion matrix: rows are the truth, columns the prediction."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


def confusion_matrix(truth: Tensor, prediction: Tensor, classes: int) -> Tensor:
    """Count pixels by true and predicted class: int64, (classes, classes).

    ``truth`` and ``prediction`` are int64 of one shape. Where the truth is no class, so 255, the ignore
    label, nothing is counted; elsewhere both must be in 0..classes-1.
    """
    rows = truth.clamp(max=classes)  # what is ignored becomes a row below the matrix, which is cut off
    pairs = (rows * classes + prediction).flatten()
    counts = torch.bincount(pairs, minlength=classes * classes)
    return counts[: classes * classes].view(classes, classes)


def iou(confusion: Counts) -> Scores:
    """Intersection over union of each class in %; NaN for a class in neither truth nor prediction."""
    hits = np.diag(confusion)
    return _percent(hits, confusion.sum(0) + confusion.sum(1) - hits)


def class_accuracy(confusion: Counts) -> Scores:
    """Share of each class's pixels that were recognised, in %; NaN for a class without any."""
    return _percent(np.diag(confusion), confusion.sum(1))


def miou(confusion: Counts) -> float:
    """Mean IoU in % over the classes that occur in truth or prediction; NaN where nothing was counted."""
    scores = iou(confusion)
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if len(scores) else float("nan")


def pixel_accuracy(confusion: Counts) -> float:
    """Share of all counted pixels that were recognised, in %; NaN where nothing was counted."""
    return float(_percent(np.trace(confusion), confusion.sum()))


def _percent(part: Counts, whole: Counts) -> Scores:
    share: Scores = np.divide(100.0 * part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share
