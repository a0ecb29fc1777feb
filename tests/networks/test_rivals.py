import pytest
import torch
from torch import Tensor, nn

from ctxbench.networks.network import head_class
from ctxbench.tracing import trace, views

RIVALS = ("pspnet", "deeplabv3plus", "danet", "psanet", "ccnet", "emanet")
CHANNELS = (6, 8, 12, 32)
PUBLISHED = (256, 512, 1024, 2048)
CLASSES = 21
UNIT = 512 * 512 * 64 * 64
"""Multiply–accumulates of a 1×1 convolution of 512 to 512 channels at 64×64."""


def features(n: int, height: int, width: int) -> list[Tensor]:
    """[C2 to C5] of an image whose C5 is ``height`` × ``width``; C2 has an odd size."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(2 * height - 1, 2 * width - 1), *[(height, width)] * 3]
    return [torch.randn(n, c, *size, generator=generator) for c, size in zip(CHANNELS, sizes, strict=True)]


@pytest.mark.parametrize("built_for", [None, (8, 8)], ids=["own size", "another size"])
@pytest.mark.parametrize("size", [(9, 9), (9, 12), (17, 5)], ids=str)
@pytest.mark.parametrize("name", RIVALS)
def test_shapes(name: str, size: tuple[int, int], built_for: tuple[int, int] | None) -> None:
    head = head_class(name)(CHANNELS, 5, channels=16, size=built_for or size).eval()
    maps = features(2, *size)
    at = 0 if name == "deeplabv3plus" else 3
    assert head(maps).shape == (2, 5, *maps[at].shape[2:])


@pytest.mark.parametrize("name", RIVALS)
def test_every_parameter_learns(name: str) -> None:
    """Apart from EMAU's first convolution, which its authors leave without gradient."""
    torch.manual_seed(0)
    head = head_class(name)(CHANNELS, 5, channels=16, size=(9, 7)).train()
    for key, parameter in head.named_parameters():
        if key.endswith("gamma"):
            nn.init.ones_(parameter)  # at zero, as it starts, what it scales gets no gradient
    head(features(2, 9, 7)).square().sum().backward()
    without = [key for key, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == (["context.conv1.weight", "context.conv1.bias"] if name == "emanet" else [])


class OnC5(nn.Module):
    """A head on a C5 that is given; the rest of the features are its own, and cost nothing."""

    def __init__(self, name: str, side: int) -> None:
        super().__init__()
        self.head = head_class(name)(PUBLISHED, CLASSES, size=(side, side))

    def forward(self, c5: Tensor) -> Tensor:
        side = 2 * c5.shape[2]
        return self.head([c5.new_zeros(len(c5), PUBLISHED[0], side, side), c5, c5, c5])


N = 64 * 64
CLASSIFIER = 512 * CLASSES * N
GRID = 32 * 32


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        # the pooled 1×1s meet 1 + 4 + 9 + 36 cells; the 3×3 takes 4096 channels to 512
        ("pspnet", 2048 * 512 * 50 + 72 * UNIT + CLASSIFIER),
        # ASPP: 1×1 and three 3×3 of 2048 to 256, the image's 1×1, 1280 to 256; the decoder has four times N
        (
            "deeplabv3plus",
            (2 + 3 * 18) * UNIT
            + 2048 * 256
            + 5 * 256 * 256 * N
            + (256 * 48 + 9 * (48 + 256) * 256 + 9 * 256 * 256 + 256 * CLASSES) * 4 * N,
        ),
        # two 3×3 of 2048 to 512, two of 512 to 512; q, k, v; both products of PAM, both of CAM
        ("danet", 90 * UNIT + (64 + 64 + 512) * 512 * N + (64 + 512) * N * N + 2 * UNIT + CLASSIFIER),
        # both branches: 2048 to 512, and on the grid 512 to 512, the map, the product; 1024 to 2048; the 3×3
        (
            "psanet",
            8 * UNIT
            + 2 * (512 * 512 + 512 * 63 * 63 + 512 * GRID) * GRID
            + 1024 * 2048 * GRID
            + 72 * UNIT
            + CLASSIFIER,
        ),
        # the 3×3s; q, k, v and both products, twice (64 + 64 positions in row and column); 2560 to 512
        (
            "ccnet",
            (36 + 9 + 45) * UNIT + 2 * ((64 + 64 + 512) * 512 + (64 + 512) * 128) * N + CLASSIFIER,
        ),
        # the 3×3; three iterations on 64 bases with the first 1×1 taken to them; re-estimation; the last 1×1
        (
            "emanet",
            36 * UNIT + 3 * 64 * (2 * 512 * 512 + 512) + 7 * 512 * 64 * N + UNIT + CLASSIFIER,
        ),
    ],
)
def test_multiplications_at_512_by_512(name: str, macs: int) -> None:
    recorded = trace(lambda: OnC5(name, 64), (1, 2048, 64, 64))
    assert not recorded.unknown_ops
    assert views.macs(recorded) == macs
