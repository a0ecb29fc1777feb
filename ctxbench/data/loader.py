"""Batches for training, from a stream that can be entered anywhere, and whole images for evaluation.

In the shape comments: B is the batch of one process, crop the side of the augmented square, H and W are the
height and width of a whole image.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ctxbench.data.augment import Augment, normalise
from ctxbench.data.dataset import SegmentationSet
from ctxbench.errors import UserError

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Items(Dataset[Item | UserError], Generic[Key, Item]):
    """The data set as DataLoader wants it: ``make`` of any key.

    A UserError is returned, not raised: DataLoader would put the worker's traceback into its message.
    """

    make: Callable[[Key], Item]

    def __getitem__(self, key: Key) -> Item | UserError:
        try:
            return self.make(key)
        except UserError as error:
            return error


def _unchanged(item: Any) -> Any:
    return item


def _load(make: Callable[[Key], Item], keys: Iterable[Key], workers: int) -> Iterator[Item]:
    """``make`` of each key, in order, in ``workers`` processes (0: in this one)."""
    loader: DataLoader[Any] = DataLoader(
        _Items(make),
        batch_size=None,  # a key is a whole batch already
        sampler=keys,
        num_workers=workers,
        collate_fn=_unchanged,
        generator=torch.Generator(),  # the global one is the training's own: dropout must not depend on this
    )
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def _keys(length: int, batch: int, seed: int, batches: Iterable[int]) -> Iterator[list[tuple[int, int]]]:
    """(epoch, index) of every sample of the batches, which are given by their number in the whole stream."""
    order_epoch, order = -1, np.empty(0, np.int64)  # (length,)
    for number in batches:
        keys = []
        for sample in range(number * batch, (number + 1) * batch):
            epoch, position = divmod(sample, length)
            if epoch != order_epoch:
                order_epoch, order = epoch, np.random.default_rng((seed, epoch)).permutation(length)
            keys.append((epoch, int(order[position])))
        yield keys


def _train_batch(
    dataset: SegmentationSet, augment: Augment, seed: int, keys: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    samples = [
        # index + 1, because NumPy takes (seed, epoch, 0) and (seed, epoch), the permutation's, for one seed
        augment(dataset.image(index), dataset.mask(index), np.random.default_rng((seed, epoch, index + 1)))
        for epoch, index in keys
    ]
    images, masks = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(masks)  # (B, 3, crop, crop), (B, crop, crop)


def train_loader(
    dataset: SegmentationSet,
    augment: Augment,
    *,
    batch: int,
    seed: int,
    start: int,
    count: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """``count`` batches of an endless stream of samples, from its batch ``start`` on.

    The stream depends on ``seed`` alone: each epoch is a permutation of the data set, and a sample's
    augmentation follows from seed, epoch and index. It is dealt in turns to ``world`` processes, ``batch``
    samples each. So it is the same, bit for bit, for any number of workers, wherever it is entered, and for
    two processes as for one with twice the batch. No random number is taken from torch's or NumPy's global
    state.

    Yields:
        Images (B, 3, crop, crop), float32, and labels (B, crop, crop), int64.

    Raises:
        UserError: the data set is empty; or whatever the data set raised, unchanged, also from a worker.

    """
    if not len(dataset):
        raise UserError(f"{dataset.name} has no images in its split {dataset.split}")
    batches = range(start * world + rank, (start + count) * world + rank, world)
    make = partial(_train_batch, dataset, augment, seed)
    return _load(make, _keys(len(dataset), batch, seed, batches), workers)


def _whole(dataset: SegmentationSet, index: int) -> tuple[int, Tensor, Tensor]:
    image, labels = normalise(dataset.image(index)), torch.from_numpy(dataset.mask(index))
    return index, image, labels.long()  # (3, H, W), (H, W)


def eval_loader(
    dataset: SegmentationSet, *, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Every ``world``-th image of a data set, whole and in order, from image ``rank`` on.

    Yields:
        The image's index, its pixels (3, H, W), float32, and its labels (H, W), int64.

    Raises:
        UserError: whatever the data set raised, unchanged, also from a worker.

    """
    return _load(partial(_whole, dataset), range(rank, len(dataset), world), workers)
