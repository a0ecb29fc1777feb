"""The losses of a training: of the logits, and of what else a head returns for training.

N crops of a batch, K classes, S the crop's side.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ctxbench.data.dataset import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of logits (N, K, S, S) with labels (N, S, S) over pixels not ignored.

    It is 0 where all are ignored.
    """
    counted = (labels != IGNORE).sum().clamp(min=1)  # ()
    # summed here, for a sum within cross_entropy differs from run to run on a GPU
    by_pixel = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")  # (N, S, S)
    return by_pixel.sum() / counted


def presence(labels: Tensor, classes: int) -> Tensor:
    """Labels (N, S, S) to (N, ``classes``): 1 where some pixel of the image is of the class, else 0."""
    counted = labels.clamp(max=classes)  # (N, S, S), IGNORE as a class of its own
    found = torch.zeros(len(labels), classes + 1, device=labels.device)  # (N, K + 1)
    found.scatter_(1, counted.flatten(1), 1.0)  # (N, S·S) of places in (N, K + 1)
    return found[:, :classes]


def presence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy of logits (N, K) with which classes the labels (N, S, S) have a pixel of.

    The semantic encoding loss of EncNet (CVPR 2018, section 3.2), over N·K.
    """
    wanted = presence(labels, logits.shape[1]).to(logits.dtype)  # (N, K)
    return functional.binary_cross_entropy_with_logits(logits, wanted)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"presence": presence_loss}
"""By the name of the output that they are of: of it and the labels (N, S, S)."""
