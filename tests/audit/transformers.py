"""Networks of transformers in a few lines, as papers and their counters have them. Maps are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from audit.networks import Attention, conv
from torch import Tensor, nn
from torch.nn import functional

from ctxbench_modules.pvt import SpatialReductionAttention
from ctxbench_modules.swin import WindowAttention


class Last(nn.Sequential):
    """Layers of a map whose channels they take last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)  # (N, C', H, W)


def norm(channels: int) -> nn.Module:
    return Last(nn.LayerNorm(channels))


def mlp(channels: int, ratio: int) -> nn.Module:
    return Last(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))


class Layer(nn.Module):
    """What mixes positions, then an MLP, each after a layer norm and with a skip."""

    def __init__(self, channels: int, mix: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mix, self.mlp = norm(channels), norm(channels), mix, mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm1(x))
        return x + self.mlp(self.norm2(x))


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
            return nn.Sequential(nn.Conv2d(3, width, 4, 4), norm(width))
        merged = Last(nn.LayerNorm(4 * before), nn.Linear(4 * before, width, bias=False))
        return nn.Sequential(nn.PixelUnshuffle(2), merged)

    def layer(stage: int, width: int, place: int) -> nn.Module:
        return Layer(width, WindowAttention(width, shifted=bool(place % 2)), mlp(width, 4))

    return stages((96, 192, 384, 768), (2, 2, 6, 2), shrink, layer)


def swin_tiny() -> nn.Module:
    """Liu et al., ICCV 2021."""
    return classifier(swin_tiny_body(), 768, norm(768))


def conv_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(*conv(inputs, outputs, kernel), nn.ReLU())


class UPerNet(nn.Module):
    """Xiao et al., ECCV 2018, as in mmsegmentation, with the auxiliary head that evaluation leaves out."""

    def __init__(self, body: nn.Sequential, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.body = body
        self.norms = nn.ModuleList(map(norm, widths))
        self.sides = nn.ModuleList(conv_relu(width, 512, 1) for width in widths[:-1])
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), conv_relu(widths[-1], 512, 1)) for side in (1, 2, 3, 6)
        )
        self.top = conv_relu(widths[-1] + 4 * 512, 512, 3)
        self.smooth = nn.ModuleList(conv_relu(512, 512, 3) for _ in widths[:-1])
        self.fuse, self.classify = conv_relu(4 * 512, 512, 3), nn.Conv2d(512, classes, 1)
        self.auxiliary = nn.Sequential(conv_relu(widths[-2], 256, 3), nn.Conv2d(256, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        maps, y = [], x
        for stage, normed in zip(self.body, self.norms, strict=True):
            y = stage(y)
            maps.append(normed(y))
        pooled = [_resized(pool(maps[-1]), maps[-1]) for pool in self.pools]
        sides = [side(y) for side, y in zip(self.sides, maps, strict=False)]
        sides.append(self.top(torch.cat((maps[-1], *pooled), 1)))
        for i in (2, 1, 0):
            sides[i] = sides[i] + _resized(sides[i + 1], sides[i])
        out = [*(smooth(y) for smooth, y in zip(self.smooth, sides, strict=False)), sides[-1]]
        fused = self.fuse(torch.cat([_resized(y, out[0]) for y in out], 1))
        return _resized(self.classify(fused), x)  # (N, K, H, W)


def _resized(y: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(y, like.shape[2:], mode="bilinear")  # (N, C, *like)


def upernet_swin_tiny() -> nn.Module:
    return UPerNet(swin_tiny_body(), (96, 192, 384, 768), 150)


def pvt_v2_b2() -> nn.Module:
    """Wang et al., Computational Visual Media 2022."""

    def shrink(before: int, width: int) -> nn.Module:
        kernel, stride = (7, 4) if before == 3 else (3, 2)
        return nn.Sequential(nn.Conv2d(before, width, kernel, stride, kernel // 2), norm(width))

    def layer(stage: int, width: int, place: int) -> nn.Module:
        mix = SpatialReductionAttention(width, reduction=8 >> stage)
        wide = (8, 8, 4, 4)[stage] * width
        near = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        mlp = nn.Sequential(Last(nn.Linear(width, wide)), near, nn.GELU(), Last(nn.Linear(wide, width)))
        return Layer(width, mix, mlp)

    return classifier(stages((64, 128, 320, 512), (3, 4, 6, 3), shrink, layer, norm), 512)


def conv_silu(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv(inputs, outputs, kernel, stride, groups), nn.SiLU())


def inverted(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    width = 4 * inputs
    return nn.Sequential(
        conv_silu(inputs, width, 1), conv_silu(width, width, 3, stride, width), conv(width, outputs, 1)
    )


class Encoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mix = Attention(channels, 4)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm1(x))
        return x + self.mlp(self.norm2(x))


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
        y = _resized(sets.reshape(y.shape), x)  # (N, C', H, W)
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
