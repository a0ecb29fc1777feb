"""Batches for training, of a stream that can be entered anywhere, and whole images for evaluation."""

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
class _Made(Dataset[Item | UserError], Generic[Key, Item]):
    """What the workers hold. A UserError is handed over: raised there, DataLoader would reword it."""

    make: Callable[[Key], Item]

    def __getitem__(self, key: Key) -> Item | UserError:
        try:
            return self.make(key)
        except UserError as error:
            return error


def _as_made(item: Any) -> Any:
    return item


def _load(make: Callable[[Key], Item], keys: Iterable[Key], workers: int) -> Iterator[Item]:
    """``make`` of each key, in order, made by ``workers`` processes (0: by this one)."""
    loader: DataLoader[Any] = DataLoader(
        _Made(make),
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        collate_fn=_as_made,
        generator=torch.Generator(),  # the global one is the training's own: dropout must not depend on this
    )
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def _keys(length: int, batch: int, seed: int, batches: Iterable[int]) -> Iterator[list[tuple[int, int]]]:
    """(epoch, index) of every sample of the batches, by their number in the whole stream."""
    known, order = -1, np.empty(0, np.int64)
    for number in batches:
        keys = []
        for sample in range(number * batch, (number + 1) * batch):
            epoch, position = divmod(sample, length)
            if epoch != known:
                known, order = epoch, np.random.default_rng((seed, epoch)).permutation(length)
            keys.append((epoch, int(order[position])))
        yield keys


def _train_batch(
    dataset: SegmentationSet, augment: Augment, seed: int, keys: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    samples = [
        # index + 1, for (seed, epoch, 0) is the same seed to NumPy as (seed, epoch), the permutation's
        augment(dataset.image(index), dataset.mask(index), np.random.default_rng((seed, epoch, index + 1)))
        for epoch, index in keys
    ]
    images, masks = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(masks)


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

    The stream depends on ``seed`` alone: each epoch is a permutation of the data set, and what becomes of a
    sample follows from seed, epoch and index. It is dealt in turns to ``world`` processes, ``batch`` samples
    each; so it is the same, bit for bit, for any number of workers, wherever it is entered, and for two
    processes as for one with twice the batch. No random number is taken from torch's or NumPy's global state.

    Yields:
        Images (batch, 3, crop, crop), float32, and labels (batch, crop, crop), int64.

    Raises:
        UserError: the data set is empty; or the data set's own, as it stands, whichever process met it.

    """
    if not len(dataset):
        raise UserError(f"{dataset.name} has no images in its split {dataset.split}")
    batches = range(start * world + rank, (start + count) * world + rank, world)
    make = partial(_train_batch, dataset, augment, seed)
    return _load(make, _keys(len(dataset), batch, seed, batches), workers)


def _whole(dataset: SegmentationSet, index: int) -> tuple[int, Tensor, Tensor]:
    return index, normalise(dataset.image(index)), torch.from_numpy(dataset.mask(index)).long()


def eval_loader(
    dataset: SegmentationSet, *, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Every ``world``-th image of a data set, whole and in order, from image ``rank`` on.

    Yields:
        The image's index, its pixels (3, H, W), float32, and its labels (H, W), int64.

    Raises:
        UserError: the data set's own, as it stands, whichever process met it.

    """
    return _load(partial(_whole, dataset), range(rank, len(dataset), world), workers)
