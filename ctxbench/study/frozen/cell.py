"""One cell of a study: a head with a block, trained from one seed on features, and evaluated on whole images.

N images, C channels of the features, h × w positions, K classes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.networks.resnet import conv_bn_relu, initialise
from ctxbench.study.accuracy.counts import packed, scores
from ctxbench.study.context import context_of
from ctxbench.study.fitting import NoNumbersError, fit
from ctxbench.study.frozen.spec import WIDTH, StudyCell
from ctxbench.study.frozen.store import Features

DECAY = 1e-4
AT_ONCE = 4
"""Images that are evaluated together."""


class Head(nn.Module):
    """3×3 to 128 channels with batch norm and ReLU, the block, both concatenated, a 1×1 classifier.

    ``block_channels`` are those of the block's map, C', 0 without a block.
    """

    def __init__(
        self, channels: int, classes: int, block: nn.Module | None, block_channels: int, seed: int
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)  # so that the 3×3 starts alike whatever the block has drawn
        self.reduce = nn.Sequential(*conv_bn_relu(channels, WIDTH, 3))
        initialise(self)
        self.block = block
        self.classify = nn.Conv2d(WIDTH + block_channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to logits (N, K, h, w)."""
        x = self.reduce(features)  # (N, 128, h, w)
        if self.block is not None:
            x = torch.cat([x, self.block(x)], 1)  # (N, 128 + C', h, w)
        logits: Tensor = self.classify(x)  # (N, K, h, w)
        return logits


class Trainer:
    """What a cell's process does for its parent."""

    def __init__(self, cell: StudyCell, progress: Callable[[], None] = lambda: None) -> None:
        """``progress`` is called after every step, and while images are evaluated."""
        self._cell, self._progress = cell, progress
        self._features = Features.open(Path(cell.features))

    def train(self) -> dict[str, Any]:
        """Train and evaluate: ``miou_pct``, ``accuracy_pct``, and ``counts`` of each image and class, packed.

        Raises UserError where the block cannot be built, or loss or scores are no numbers.
        """
        cell, features = self._cell, self._features
        block, block_channels = context_of(cell.case, cell.seed)
        head = Head(features.train.shape[1], len(features.classes), block, block_channels, cell.seed)
        fit(head, self._batches, rate=cell.rate, steps=cell.steps, decay=DECAY, progress=self._progress)
        counts = self._counts(head)
        miou, accuracy = scores(counts.sum(0))
        return {"miou_pct": float(miou), "accuracy_pct": float(accuracy), "counts": packed(counts)}

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (N, C, h, w) and labels (N, h, w) of every step: the same for every block of a seed."""
        cell, features = self._cell, self._features
        for rows in batches(len(features.train), cell.batch, cell.steps, cell.seed):
            maps = torch.from_numpy(features.train[rows].astype(np.float32))
            yield maps, torch.from_numpy(features.labels[rows].astype(np.int64))

    @torch.inference_mode()
    def _counts(self, head: Head) -> NDArray[np.int64]:
        """Of each image and class, pixels that are rightly, in all, and in truth of it: (M, 3, K)."""
        features, counts = self._features, []
        ends = np.cumsum([height * width for height, width in features.sizes])
        for start in range(0, len(features.test), AT_ONCE):
            maps = torch.from_numpy(features.test[start : start + AT_ONCE].astype(np.float32))
            for index, logits in enumerate(head(maps), start=start):
                height, width = (int(side) for side in features.sizes[index])
                truth = np.array(features.truth[ends[index] - height * width : ends[index]])
                counts.append(_of_image(logits, torch.from_numpy(truth).view(height, width)))  # (H, W)
            self._progress()
        return np.stack(counts)


def batches(images: int, batch: int, steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The rows of every step, sorted: each epoch takes every image once, in an order of its own."""
    per_epoch = max(1, images // batch)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((seed, epoch)).permutation(images)
        yield np.sort(order[place * batch : (place + 1) * batch])


def _of_image(logits: Tensor, truth: Tensor) -> NDArray[np.int64]:
    """Logits (K, h, w) at the truth's size (H, W), counted: (3, K)."""
    whole = functional.interpolate(logits[None], truth.shape, mode="bilinear", align_corners=True)[0]
    if not torch.isfinite(whole).all():
        raise NoNumbersError("the trained head's scores are no numbers")
    confusion = confusion_matrix(truth.long(), whole.argmax(0), len(logits))  # (K, K)
    array: NDArray[np.int64] = torch.stack([confusion.diag(), confusion.sum(0), confusion.sum(1)]).numpy()
    return array
