"""The dilated ResNet: torchvision's names, the strides, and dilation that leaves trained weights valid."""

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, StrideIn, feature_size

LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names(layers: tuple[int, ...]) -> set[str]:
    """The keys of torchvision's ResNet with bottlenecks, without its classifier."""
    convolutions, norms = ["conv1"], ["bn1"]
    for layer, blocks in enumerate(layers, start=1):
        for block in range(blocks):
            path = f"layer{layer}.{block}"
            convolutions += [f"{path}.conv{i}" for i in (1, 2, 3)]
            norms += [f"{path}.bn{i}" for i in (1, 2, 3)]
        convolutions.append(f"layer{layer}.0.downsample.0")
        norms.append(f"layer{layer}.0.downsample.1")
    return {f"{name}.weight" for name in convolutions} | {
        f"{name}.{leaf}" for name in norms for leaf in LEAVES
    }


def settled(network: ResNet) -> ResNet:
    """In eval mode, with batch norms that do something."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return network.eval()


@pytest.mark.parametrize(("name", "layers"), [("resnet50", (3, 4, 6, 3)), ("resnet101", (3, 4, 23, 3))])
def test_names_are_torchvisions(name: str, layers: tuple[int, ...]) -> None:
    with torch.device("meta"):
        plain, deep = BACKBONES[name](stem="plain"), BACKBONES[name](stem="deep")
    assert set(plain.state_dict()) == torchvision_names(layers)
    stem = {f"conv1.{i}.weight" for i in (0, 3, 6)} | {f"conv1.{i}.{leaf}" for i in (1, 4) for leaf in LEAVES}
    assert set(deep.state_dict()) == torchvision_names(layers) - {"conv1.weight"} | stem


@pytest.mark.parametrize("stem", get_args(Stem))
@pytest.mark.parametrize(("height", "width"), [(65, 96), (70, 67)])
def test_sizes_and_channels(stem: Stem, height: int, width: int) -> None:
    network = ResNet((1, 1, 1, 1), width=4, stem=stem).eval()
    features = network(torch.randn(2, 3, height, width))
    assert network.channels == tuple(feature.shape[1] for feature in features) == (16, 32, 64, 128)
    quarter, eighth = ((-(-height // s), -(-width // s)) for s in (4, 8))
    assert [tuple(feature.shape[2:]) for feature in features] == [quarter, eighth, eighth, eighth]
    assert eighth == (feature_size(height), feature_size(width))


@pytest.mark.parametrize(("stem", "widths"), [("deep", (64, 64, 128)), ("deep-narrow", (32, 32, 64))])
def test_widths_of_the_deep_stem(stem: Stem, widths: tuple[int, ...]) -> None:
    with torch.device("meta"):
        conv1 = BACKBONES["resnet50"](stem=stem).conv1
    assert tuple(part.out_channels for part in conv1.modules() if isinstance(part, nn.Conv2d)) == widths


def test_the_blocks_of_res5_may_be_dilated_otherwise() -> None:
    with torch.device("meta"):
        own, given = BACKBONES["resnet50"](), BACKBONES["resnet50"](dilations=(2, 8, 16))
    assert (own.dilations, given.dilations) == ((2, 4, 4), (2, 8, 16))
    assert [block.conv2.dilation for block in given.layer4] == [(2, 2), (8, 8), (16, 16)]
    assert [block.conv2.padding for block in given.layer4] == [(2, 2), (8, 8), (16, 16)]
    assert [block.conv2.dilation for block in own.layer4] == [(2, 2), (4, 4), (4, 4)]
    assert [block.conv2.dilation for block in BACKBONES["resnet-tiny"](stride_in="1x1").layer4] == [(4, 4)]
    for bad in ((2, 4), (2, 4, 0), (2, 4, 4.0)):
        with pytest.raises(UserError, match=r"each block of Res-5, such as \[2, 4, 4\], not \[2, 4"):
            ResNet((1, 1, 1, 3), width=2, dilations=bad)


@pytest.mark.parametrize("stride_in", get_args(StrideIn))
def test_dilation_computes_what_the_strided_network_would(stride_in: StrideIn) -> None:
    """Every second position of C4 and every fourth of C5 is that of output stride 16 and 32."""
    torch.manual_seed(0)
    dilated = settled(ResNet((1, 2, 2, 2), width=4, stem="plain", stride_in=stride_in)).double()
    strided = copy.deepcopy(dilated)
    for layer in (strided.layer3, strided.layer4):
        for block in layer:
            block.conv2.dilation = block.conv2.padding = (1, 1)
        first = layer[0]
        for moving in (first.conv2 if stride_in == "3x3" else first.conv1, first.downsample[0]):
            moving.stride = (2, 2)
    x = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    fine, coarse = dilated(x), strided(x)
    torch.testing.assert_close(fine[1], coarse[1])
    torch.testing.assert_close(fine[2][..., ::2, ::2], coarse[2])
    torch.testing.assert_close(fine[3][..., ::4, ::4], coarse[3])
    assert fine[3].std() > 0


def test_where_the_stride_is_matters() -> None:
    torch.manual_seed(0)
    torchvision = settled(ResNet((1, 1, 1, 1), width=4, stride_in="3x3"))
    caffe = ResNet((1, 1, 1, 1), width=4, stride_in="1x1").eval()
    caffe.load_state_dict(torchvision.state_dict())
    x = torch.randn(1, 3, 65, 65)
    first, second = torchvision(x), caffe(x)
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])


def test_convolutions_start_with_the_variance_of_kaiming() -> None:
    weight: Tensor = BACKBONES["resnet-tiny"]().layer4[0].conv2.weight
    assert weight.var().item() == pytest.approx(2 / (weight.shape[1] * 9), rel=0.05)


@pytest.mark.parametrize("wrong", [{"stem": "deeper"}, {"stride_in": "5x5"}])
def test_unknown_forms_are_named(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong.values()))):
        BACKBONES["resnet-tiny"](**wrong)
