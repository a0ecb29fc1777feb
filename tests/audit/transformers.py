"""Networks of transformers in a few lines, those that the package does not have. Maps are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.audit.networks import mixers, segmenters
from ctxbench.audit.networks.mixers import Last
from ctxbench.audit.networks.pyramids import Body, Layer, layer_norm, mlp
from ctxbench.audit.networks.resnets import conv
from ctxbench.audit.networks.segmenters import Segmenter, UPerHead, resized
from ctxbench_modules.pvt import SpatialReductionAttention
from ctxbench_modules.swin import WindowAttention

SWIN_TINY = (96, 192, 384, 768)


def stages(
    widths: Sequence[int],
    depths: Sequence[int],
    shrink: Callable[[int, int], nn.Module],
    layer: Callable[[int, int, int], nn.Module],
    last: Callable[[int], nn.Module] = lambda width: nn.Identity(),
) -> nn.Sequential:
    """Of each stage what shrinks the map from one width to the next, its layers, and what comes ``last``."""
    made = []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        before = widths[stage - 1] if stage else 3
        layers = (layer(stage, width, place) for place in range(depth))
        made.append(nn.Sequential(shrink(before, width), *layers, last(width)))
    return nn.Sequential(*made)


def classifier(body: nn.Module, channels: int, *before: nn.Module) -> nn.Module:
    return nn.Sequential(body, *before, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def swin_tiny_body() -> nn.Sequential:
    def shrink(before: int, width: int) -> nn.Module:
        if before == 3:
            return nn.Sequential(nn.Conv2d(3, width, 4, 4), layer_norm(width))
        merged = Last(nn.LayerNorm(4 * before), nn.Linear(4 * before, width, bias=False))
        return nn.Sequential(nn.PixelUnshuffle(2), merged)

    def layer(stage: int, width: int, place: int) -> nn.Module:
        return Layer(width, WindowAttention(width, shifted=bool(place % 2)), mlp(width, 4))

    return stages(SWIN_TINY, (2, 2, 6, 2), shrink, layer)


def swin_tiny() -> nn.Module:
    """Liu et al., ICCV 2021."""
    return classifier(swin_tiny_body(), 768, layer_norm(768))


def upernet_swin_tiny() -> nn.Module:
    """As in mmsegmentation, with the auxiliary head that evaluation leaves out."""
    body = Body(SWIN_TINY, list(swin_tiny_body()), after=layer_norm)
    auxiliary = nn.Sequential(segmenters.conv(384, 256, 3), nn.Conv2d(256, segmenters.CLASSES, 1))
    return Segmenter(body, UPerHead(SWIN_TINY), auxiliary)


def pvt_v2_b2() -> nn.Module:
    """Wang et al., Computational Visual Media 2022."""

    def shrink(before: int, width: int) -> nn.Module:
        kernel, stride = (7, 4) if before == 3 else (3, 2)
        return nn.Sequential(nn.Conv2d(before, width, kernel, stride, kernel // 2), layer_norm(width))

    def layer(stage: int, width: int, place: int) -> nn.Module:
        mix = SpatialReductionAttention(width, reduction=8 >> stage)
        wide = (8, 8, 4, 4)[stage] * width
        near = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        inner = nn.Sequential(Last(nn.Linear(width, wide)), near, nn.GELU(), Last(nn.Linear(wide, width)))
        return Layer(width, mix, inner)

    return classifier(stages((64, 128, 320, 512), (3, 4, 6, 3), shrink, layer, layer_norm), 512)


def conv_silu(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv(inputs, outputs, kernel, stride, groups), nn.SiLU())


def inverted(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    width = 4 * inputs
    return nn.Sequential(
        conv_silu(inputs, width, 1), conv_silu(width, width, 3, stride, width), conv(width, outputs, 1)
    )


class Encoder(mixers.Encoder):
    """With SiLU, and an MLP of twice the channels inside."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 4)
        wide = 2 * channels
        self.mlp = nn.Sequential(nn.Linear(channels, wide), nn.SiLU(), nn.Linear(wide, channels))


class MobileViT(nn.Module):
    """A block of it: the positions at the same place of their 2×2 attend to each other."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.near, self.widen = conv_silu(channels, channels, 3), nn.Conv2d(channels, width, 1, bias=False)
        self.encoders, self.norm = nn.Sequential(*(Encoder(width) for _ in range(depth))), nn.LayerNorm(width)
        self.narrow, self.fuse = conv_silu(width, channels, 1), conv_silu(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.widen(self.near(x))  # (N, C', H, W)
        sides = [side + side % 2 for side in x.shape[2:]]
        if sides != list(x.shape[2:]):
            y = functional.interpolate(y, sides, mode="bilinear")
        rows, columns = sides[0] // 2, sides[1] // 2
        sets = y.reshape(len(y), -1, rows, 2, columns, 2).permute(0, 3, 5, 2, 4, 1)  # (N, 2, 2, H/2, W/2, C')
        sets = self.norm(self.encoders(sets.reshape(4 * len(y), rows * columns, -1)))  # (4N, H·W/4, C')
        sets = sets.reshape(len(y), 2, 2, rows, columns, -1).permute(
            0, 5, 3, 1, 4, 2
        )  # (N, C', H/2, 2, W/2, 2)
        y = resized(sets.reshape(y.shape), x)  # (N, C', H, W)
        return self.fuse(torch.cat((x, self.narrow(y)), 1))  # (N, C, H, W)


def mobilevit_xs() -> nn.Module:
    """Mehta and Rastegari, ICLR 2022."""
    return nn.Sequential(
        conv_silu(3, 16, 3, 2), inverted(16, 32, 1),
        inverted(32, 48, 2), inverted(48, 48, 1), inverted(48, 48, 1),
        inverted(48, 64, 2), MobileViT(64, 96, 2),
        inverted(64, 80, 2), MobileViT(80, 120, 4),
        inverted(80, 96, 2), MobileViT(96, 144, 3),
        conv_silu(96, 384, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, 1000),
    )  # fmt: skip
