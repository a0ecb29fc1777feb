"""Sub-attention maps: whose they are, what they show, and which are chosen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.evaluate.attention import MOST, attention_module, heat_maps, random_ranks, write_attention
from ctxbench.subject import bind


class Stripes(nn.Module):
    """Somebody's own module: map i attends to the columns whose number ends in i."""

    rank = 3

    def sub_attention(self, x: Tensor, index: int) -> Tensor:
        columns = torch.arange(x.shape[3], device=x.device) % self.rank == index
        return columns.to(x.dtype).expand_as(x)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Pixels(nn.Module):
    """A network of stride 1 whose features are minus the image."""

    def __init__(self, context: nn.Module) -> None:
        super().__init__()
        self.context = context

    def forward(self, images: Tensor) -> Tensor:
        return self.context(-images)  # type: ignore[no-any-return]


WHITE = Image.new("RGB", (70, 66), (255, 255, 255))


def test_a_map_is_the_mean_of_the_activated_features() -> None:
    network = Pixels(Stripes())
    maps = heat_maps(network, WHITE, [1, 2])
    assert [each.shape for each in maps] == [(66, 70)] * 2
    value = np.mean([(1 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)])
    for index, heat in zip((1, 2), maps, strict=True):
        expected = np.where(np.arange(70) % 3 == index, value, 0)
        assert heat == pytest.approx(np.tile(expected, (66, 1)), abs=1e-4)
    assert not network.context._forward_pre_hooks


def test_a_small_image_has_maps_of_its_size() -> None:
    assert heat_maps(Pixels(Stripes()), WHITE.crop((0, 0, 30, 20)), [0])[0].shape == (20, 30)


def test_the_maps_of_the_papers_module_are_found_wherever_it_is() -> None:
    module = bind.build("reconet", 3, (9, 9), rank=5)
    network = nn.Sequential(nn.Conv2d(3, 3, 1), Pixels(module)).eval()
    assert attention_module(network) is module
    with torch.no_grad():
        features = -network[0](torch.zeros(1, 3, 66, 70))
        black = heat_maps(network, Image.new("RGB", (70, 66), (124, 116, 104)), [4])[0]
        expected = (module.sub_attention(features, 4) * features).abs().mean(1)[0]
    assert black == pytest.approx(expected.numpy(), abs=0.02)  # that colour is ImageNet's mean, rounded


def test_a_network_without_such_maps_is_refused() -> None:
    with pytest.raises(UserError, match="no module with sub-attention maps"):
        heat_maps(Pixels(nn.Identity()), WHITE, [0])


@pytest.mark.parametrize("rank", [-1, 3])
def test_a_map_that_is_not_there_is_refused(rank: int) -> None:
    with pytest.raises(UserError, match=f"no sub-attention map {rank}: the network has 0 to 2"):
        heat_maps(Pixels(Stripes()), WHITE, [0, rank])


def test_maps_are_chosen_at_random_but_always_the_same() -> None:
    assert random_ranks(64) == random_ranks(64)
    assert random_ranks(64) != random_ranks(64, seed=1)
    assert len(set(random_ranks(64))) == 4
    assert random_ranks(2) == (0, 1)


def test_a_picture_has_a_panel_for_each_map_and_the_truth(tmp_path: Path) -> None:
    maps = heat_maps(Pixels(Stripes()), WHITE, [0, 1])
    truth = np.zeros((66, 70, 3), np.uint8)
    bare = write_attention(tmp_path / "bare.png", WHITE, maps, [0, 1])
    full = write_attention(tmp_path / "full.png", WHITE, maps, [0, 1], truth)
    with Image.open(bare) as narrow, Image.open(full) as wide:
        assert (narrow.format, wide.format) == ("PNG", "PNG")
        assert wide.width > narrow.width


def test_more_maps_than_a_picture_holds_are_refused() -> None:
    with pytest.raises(UserError, match=f"at most {MOST} maps are drawn in one picture, not {MOST + 1}"):
        heat_maps(Pixels(Stripes()), WHITE, [0] * (MOST + 1))
