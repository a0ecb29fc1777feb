"""How images become labels: scales, flip and windows against their definitions, padding, and bad settings."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, softmax

from ctxbench.errors import UserError
from ctxbench.evaluate.predict import SMALLEST, Setting, predict

CLASSES = 4


class Network(nn.Module):
    """A convolution that sees left and right differently, and keeps the sizes it was given."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, CLASSES, 5, padding=2)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape[2:]))
        logits: Tensor = self.convolution(images)
        return 5 * logits


@pytest.fixture
def network() -> Network:
    return Network().eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(maps, size, mode="bilinear", align_corners=True)


@torch.no_grad()
def test_a_single_scale_is_the_greatest_logit(network: Network) -> None:
    images = noise(2, 3, 70, 81)
    assert torch.equal(predict(network, images), network(images).argmax(1))


def test_the_first_of_equal_logits_is_taken_and_none_is_changed(network: Network) -> None:
    logits = torch.randint(0, 3, (2, CLASSES, 200, 300), generator=torch.Generator().manual_seed(2)).float()
    before = logits.clone()
    network.forward = lambda _: logits  # type: ignore[method-assign]
    labels = predict(network, noise(2, 3, 200, 300))
    assert np.array_equal(labels.numpy(), before.numpy().argmax(1))
    assert torch.equal(logits, before)


@pytest.mark.parametrize("setting", [Setting(), Setting(flip=True), Setting(sliding=65)])
def test_scores_that_are_no_numbers_are_no_class(network: Network, setting: Setting) -> None:
    assert network.convolution.bias is not None
    network.convolution.bias.data[1] = float("nan")
    with pytest.raises(UserError, match="scores are no numbers"):
        predict(network, noise(1, 3, 70, 81), setting)


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
def test_scales_and_flip_are_a_mean_of_probabilities(network: Network, flip: bool) -> None:
    images, scales = noise(2, 3, 90, 101), (0.75, 1.0, 2.0)
    maps = []
    for size in ((68, 76), (90, 101), (180, 202)):
        scaled = resized(images, size)
        maps.append(resized(softmax(network(scaled), 1), (90, 101)))
        if flip:
            maps.append(resized(softmax(network(scaled.flip(3)), 1).flip(3), (90, 101)))
    mean = torch.stack(maps).mean(0)
    labels = predict(network, images, Setting(scales, flip))
    assert torch.equal(labels, mean.argmax(1))
    assert not torch.equal(labels, network(images).argmax(1))  # so that the test can fail


@torch.no_grad()
def test_windows_are_averaged_where_they_overlap(network: Network) -> None:
    images, side = noise(1, 3, 70, 150), 66
    windows = [(top, left) for top in (0, 4) for left in (0, 44, 84)]  # 44 apart; the last at the border
    scores = {
        (top, left): softmax(network(images[..., top : top + side, left : left + side]), 1)[0]
        for top, left in windows
    }
    labels = predict(network, images, Setting(sliding=side))[0]
    for y in range(0, 70, 3):
        for x in range(0, 150, 7):
            here = [
                window[:, y - top, x - left]
                for (top, left), window in scores.items()
                if 0 <= y - top < side and 0 <= x - left < side
            ]
            assert here
            assert labels[y, x] == torch.stack(here).mean(0).argmax()


@torch.no_grad()
def test_a_window_as_large_as_the_image_is_the_image(network: Network) -> None:
    images = noise(1, 3, 70, 70)
    assert torch.equal(predict(network, images, Setting(sliding=70)), predict(network, images))


@torch.no_grad()
@pytest.mark.parametrize("setting", [Setting(), Setting((0.5, 1.0), flip=True), Setting(sliding=80)])
def test_a_small_image_is_padded_with_the_mean_and_cut_back(network: Network, setting: Setting) -> None:
    images = noise(1, 3, 40, 130)
    labels = predict(network, images, setting)
    assert labels.shape == (1, 40, 130)
    assert min(min(size) for size in network.seen) >= (setting.sliding or SMALLEST)
    if setting == Setting():
        assert network.seen == [(65, 130)]
        assert torch.equal(labels, network(pad(images, (0, 0, 0, 25))).argmax(1)[:, :40])


def test_half_precision_runs_the_network_in_it(network: Network) -> None:
    kinds = []
    network.convolution.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    images = noise(1, 3, 65, 65)
    labels = predict(network, images, Setting((1.0,), flip=True, precision="bf16-mixed"))
    assert kinds == [torch.bfloat16] * 2
    agreeing = (labels == predict(network, images, Setting((1.0,), flip=True))).float().mean()
    assert agreeing > 0.95


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scales": ()}, "one at least"),
        ({"scales": (1.0, 0.0)}, "positive"),
        ({"scales": (float("nan"),)}, "positive"),
        ({"sliding": 64}, "65 pixels"),
        ({"precision": "8-bit"}, "no precision '8-bit'; one of 32-true"),
    ],
)
def test_a_setting_without_sense_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Setting(**changes)  # type: ignore[arg-type]
