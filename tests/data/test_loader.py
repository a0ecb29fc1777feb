import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ctxbench.data.augment import Augment, normalise
from ctxbench.data.dataset import Colour, Labels, SegmentationSet
from ctxbench.data.loader import eval_loader, train_loader
from ctxbench.errors import UserError

AUGMENT = Augment(24)


class Numbered(SegmentationSet):
    """``length`` images of odd sizes, each with its own label throughout; ``bad`` ones cannot be read."""

    def __init__(self, length: int = 10, bad: int | None = None) -> None:
        grey: list[Colour] = [(i, i, i) for i in range(length)]
        super().__init__("numbered", "train", [f"class {i}" for i in range(length)] or ["none"],
                         palette=grey or [(0, 0, 0)])  # fmt: skip
        self.length, self.bad = length, bad

    def __len__(self) -> int:
        return self.length

    def stem(self, index: int) -> str:
        return f"{index:02}"

    def image(self, index: int) -> Image.Image:
        if index == self.bad:
            raise UserError(f"{Path('images') / self.stem(index)}.jpg is cut short")
        pixels = np.random.default_rng(index).integers(0, 256, (31 + index, 40 - index, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def mask(self, index: int) -> Labels:
        return np.full((31 + index, 40 - index), index, np.uint8)


def stream(length: int = 10, **options: Any) -> list[tuple[Tensor, Tensor]]:
    chosen = {"batch": 4, "seed": 7, "start": 0, "count": 6} | options
    return list(train_loader(Numbered(length), AUGMENT, **chosen))


def same(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(one, other, strict=True)
    )


def indices(batches: list[tuple[Tensor, Tensor]]) -> list[int]:
    return [int(mask[0, 0]) for _, masks in batches for mask in masks]


def test_a_batch_has_the_augmented_samples_stacked() -> None:
    batches = stream(count=2)
    assert len(batches) == 2
    for images, masks in batches:
        assert (images.shape, images.dtype) == ((4, 3, 24, 24), torch.float32)
        assert (masks.shape, masks.dtype) == ((4, 24, 24), torch.int64)


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    drawn = indices(stream(count=10))
    epochs = [drawn[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_may_be_longer_than_the_data_set() -> None:
    assert Counter(indices(stream(3, batch=7, count=3))) == {0: 7, 1: 7, 2: 7}


def test_the_stream_can_be_entered_in_the_middle_of_an_epoch() -> None:
    whole = stream(count=6)
    assert same(whole[4:], stream(start=4, count=2))
    assert not same(whole[:2], stream(start=4, count=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    assert same(stream(), stream(workers=workers))


def test_two_processes_share_the_stream_of_one_with_twice_the_batch() -> None:
    one = stream(batch=4, start=1, count=5)
    ranks = [stream(batch=2, start=1, count=5, rank=rank, world=2) for rank in (0, 1)]
    together = [
        (torch.cat([images, more]), torch.cat([masks, more_masks]))
        for (images, masks), (more, more_masks) in zip(*ranks, strict=True)
    ]
    assert same(one, together)


def test_an_images_augmentation_differs_between_epochs_and_seeds() -> None:
    first, second = (
        [image for images, _ in stream(1, batch=1, count=2, seed=s) for image in images] for s in (0, 1)
    )
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])
    assert indices(stream(seed=1)) != indices(stream(seed=2))


@pytest.mark.parametrize("workers", [0, 1])
def test_no_random_number_is_taken_from_the_training(workers: int) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    stream(count=1, workers=workers)
    list(eval_loader(Numbered(2), workers=workers))
    drawn = torch.rand(1).item(), np.random.random()
    torch.manual_seed(0)
    np.random.seed(0)
    assert drawn == (torch.rand(1).item(), np.random.random())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_error_arrives_as_it_was_raised(workers: int) -> None:
    loaders = (
        train_loader(Numbered(bad=3), AUGMENT, batch=5, seed=0, start=0, count=2, workers=workers),
        eval_loader(Numbered(bad=3), workers=workers),
    )
    for loader in loaders:
        with pytest.raises(UserError) as caught:
            list(loader)
        assert str(caught.value) == f"{Path('images/03.jpg')} is cut short"


def test_a_loader_that_is_left_early_ends_its_workers() -> None:
    loader = eval_loader(Numbered(), workers=1)
    assert next(loader)[0] == 0
    assert len(multiprocessing.active_children()) == 1
    del loader
    assert multiprocessing.active_children() == []


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(UserError, match="numbered has no images in its split train"):
        stream(0)


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_sees_whole_images_in_order(workers: int) -> None:
    dataset = Numbered()
    seen = list(eval_loader(dataset, workers=workers))
    assert [index for index, _, _ in seen] == list(range(10))
    for index, image, mask in seen:
        assert torch.equal(image, normalise(dataset.image(index)))
        assert (mask.dtype, tuple(mask.shape)) == (torch.int64, (31 + index, 40 - index))
        assert (mask == index).all()


def test_processes_deal_out_the_images_of_an_evaluation() -> None:
    shares = [[index for index, _, _ in eval_loader(Numbered(), rank=rank, world=3)] for rank in range(3)]
    assert shares == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
