"""Scores against torchmetrics, against scikit-learn's definition written out, and in corners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor
from torchmetrics import Accuracy, JaccardIndex

from ctxbench.data.dataset import IGNORE
from ctxbench.evaluate.metrics import class_accuracy, confusion_matrix, iou, miou, pixel_accuracy

CLASSES = 5


@st.composite
def maps(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Truth with ignored pixels, and a prediction that holds anything where the truth is ignored."""
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=6))
    truth = draw(arrays(np.int64, shape, elements=st.sampled_from([*range(CLASSES), IGNORE])))
    guess = draw(arrays(np.int64, shape, elements=st.integers(0, CLASSES - 1)))
    beyond = draw(arrays(np.int64, shape, elements=st.integers(0, IGNORE)))
    return torch.from_numpy(truth), torch.from_numpy(np.where(truth == IGNORE, beyond, guess))


@given(maps())
@settings(max_examples=60)
def test_scores_are_those_of_sets_of_pixels(pair: tuple[Tensor, Tensor]) -> None:
    truth, prediction = pair
    confusion = confusion_matrix(truth, prediction, CLASSES).numpy()
    counted = [
        (t, p)
        for t, p in zip(truth.flatten().tolist(), prediction.flatten().tolist(), strict=True)
        if t != IGNORE
    ]
    assert confusion.sum() == len(counted)
    present = []
    for k in range(CLASSES):
        true = {i for i, (t, _) in enumerate(counted) if t == k}
        said = {i for i, (_, p) in enumerate(counted) if p == k}
        if not true | said:
            assert math.isnan(iou(confusion)[k])
            continue
        present.append(100 * len(true & said) / len(true | said))
        assert iou(confusion)[k] == pytest.approx(present[-1])
        if true:
            assert class_accuracy(confusion)[k] == pytest.approx(100 * len(true & said) / len(true))
    if not counted:
        assert math.isnan(miou(confusion))
        assert math.isnan(pixel_accuracy(confusion))
        return
    assert miou(confusion) == pytest.approx(sum(present) / len(present))
    assert pixel_accuracy(confusion) == pytest.approx(100 * sum(t == p for t, p in counted) / len(counted))


@given(maps())
@settings(max_examples=40)
def test_scores_are_those_of_torchmetrics(pair: tuple[Tensor, Tensor]) -> None:
    truth, prediction = pair
    confusion = confusion_matrix(truth, prediction, CLASSES).numpy()
    if not confusion.sum():
        return
    prediction = prediction.clamp(max=CLASSES - 1)  # torchmetrics wants a class in ignored pixels as well
    jaccard = JaccardIndex("multiclass", num_classes=CLASSES, ignore_index=IGNORE)
    accuracy = Accuracy("multiclass", num_classes=CLASSES, ignore_index=IGNORE, average="micro")
    assert miou(confusion) == pytest.approx(100 * float(jaccard(prediction, truth)), abs=1e-4)
    assert pixel_accuracy(confusion) == pytest.approx(100 * float(accuracy(prediction, truth)), abs=1e-4)


def test_a_class_found_nowhere_does_not_enter_the_mean() -> None:
    confusion = confusion_matrix(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]), CLASSES).numpy()
    assert miou(confusion) == 100
    assert np.isnan(iou(confusion)).sum() == CLASSES - 2


def test_a_class_only_predicted_enters_the_mean_with_nothing() -> None:
    confusion = confusion_matrix(torch.tensor([0, 0]), torch.tensor([0, 3]), CLASSES).numpy()
    assert miou(confusion) == pytest.approx((50 + 0) / 2)


def test_255_classes_leave_room_for_the_ignore_label() -> None:
    labels = torch.arange(256)
    confusion = confusion_matrix(labels, labels, 255)
    assert torch.equal(confusion, torch.eye(255, dtype=torch.int64))
