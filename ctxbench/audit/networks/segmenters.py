"""Backbones with the heads that papers print them with, as mmsegmentation has them: 150 classes, ADE20K's.

N images of H × W pixels, h × w the size of a map; the logits are resized to (N, K, H, W). An auxiliary head,
which only training calls, is there for its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.audit.networks.pyramids import Body, body
from ctxbench.networks.published import block
from ctxbench.networks.resnet import conv_bn_relu

CLASSES, POOLS = 150, (1, 2, 3, 6)
"""Classes of ADE20K, and the sides of the grids that UPerNet pools to."""


def conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution, batch norm and ReLU."""
    return nn.Sequential(*conv_bn_relu(inputs, outputs, kernel))


def group_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution, group norm of 32 groups and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.GroupNorm(32, outputs), nn.ReLU())


def resized(x: Tensor, like: Tensor) -> Tensor:
    """(N, C, …) to (N, C, h, w) of another map, bilinear."""
    return functional.interpolate(x, like.shape[2:], mode="bilinear")


class UPerHead(nn.Module):
    """Xiao et al., Unified Perceptual Parsing for Scene Understanding, ECCV 2018."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        channels = 512
        self.sides = nn.ModuleList(conv(width, channels, 1) for width in widths[:-1])
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), conv(widths[-1], channels, 1)) for side in POOLS
        )
        self.top = conv(widths[-1] + len(POOLS) * channels, channels, 3)
        self.smooth = nn.ModuleList(conv(channels, channels, 3) for _ in widths[:-1])
        self.fuse = conv(len(widths) * channels, channels, 3)
        self.classify = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of a 4th to a 32nd to (N, K, H/4, W/4)."""
        pooled = [resized(pool(maps[-1]), maps[-1]) for pool in self.pools]
        levels = [side(x) for side, x in zip(self.sides, maps, strict=False)]
        levels.append(self.top(torch.cat((maps[-1], *pooled), 1)))
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + resized(levels[i], levels[i - 1])
        smooth = [layer(x) for layer, x in zip(self.smooth, levels, strict=False)]
        fused = torch.cat([smooth[0], *(resized(x, levels[0]) for x in (*smooth[1:], levels[-1]))], 1)
        logits: Tensor = self.classify(self.fuse(fused))
        return logits


class SemanticFPN(nn.Module):
    """Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, with its pyramid of 256 channels."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        channels, inner = 256, 128
        self.sides = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)
        self.ups = nn.ModuleList()
        for level in range(len(widths)):
            layers: list[nn.Module] = []
            for step in range(max(1, level)):
                layers.append(conv(inner if step else channels, inner, 3))
                layers += [nn.Upsample(scale_factor=2, mode="bilinear")] if level else []
            self.ups.append(nn.Sequential(*layers))
        self.classify = nn.Conv2d(inner, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of a 4th to a 32nd to (N, K, H/4, W/4)."""
        levels = [side(x) for side, x in zip(self.sides, maps, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            size = levels[i - 1].shape[2:]
            levels[i - 1] = levels[i - 1] + functional.interpolate(levels[i], size)
        first, *others = (self.ups[i](self.smooth[i](x)) for i, x in enumerate(levels))
        up = [first, *(resized(x, first) for x in others)]  # to the size that they have
        logits: Tensor = self.classify(torch.stack(up).sum(0))
        return logits


def hamburger(channels: int, rank: int) -> nn.Module:
    """The block in between, as the authors' mmsegmentation evaluates it: in 7 steps, in their order."""
    options = {"cheese": False, "norm": "group", "groups": 32, "eval_steps": 7}
    return block("ham", channels, (64, 64), implementation="published", rank=rank, **options)


class LightHam(nn.Module):
    """The light head of HamNet's authors (Geng et al., ICLR 2021), of C3 to C5 at C3's size."""

    def __init__(self, widths: Sequence[int], channels: int, last: int, rank: int) -> None:
        super().__init__()
        self.reduce, self.context = group_conv(sum(widths[1:]), channels, 1), hamburger(channels, rank)
        self.align, self.classify = group_conv(channels, last, 1), nn.Conv2d(last, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of a 4th to a 32nd to (N, K, H/8, W/8)."""
        together = torch.cat([resized(x, maps[1]) for x in maps[1:]], 1)  # (N, ΣC, h, w)
        logits: Tensor = self.classify(self.align(self.context(self.reduce(together))))
        return logits


class Ham(nn.Module):
    """HamNet's head in mmsegmentation, of C5 at a stride of 8, which is concatenated to what comes of it."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        channels = 512
        self.reduce, self.context = group_conv(widths[-1], channels, 3), hamburger(channels, 64)
        self.align = group_conv(channels, channels, 3)
        self.fuse = group_conv(widths[-1] + channels, channels, 3)
        self.classify = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, the last of an 8th, to (N, K, H/8, W/8)."""
        restored = self.align(self.context(self.reduce(maps[-1])))  # (N, C, h, w)
        logits: Tensor = self.classify(self.fuse(torch.cat((maps[-1], restored), 1)))
        return logits


class SegFormerHead(nn.Module):
    """Xie et al., SegFormer, NeurIPS 2021: a 1×1 of each map, and one of all together at the first's size."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(conv(width, channels, 1) for width in widths)
        self.fuse = conv(len(widths) * channels, channels, 1)
        self.classify = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of a 4th to a 32nd to (N, K, H/4, W/4)."""
        levels = [resized(side(x), maps[0]) for side, x in zip(self.sides, maps, strict=True)]
        logits: Tensor = self.classify(self.fuse(torch.cat(levels, 1)))
        return logits


class Segmenter(nn.Module):
    """A backbone, a head, and the logits at the image's size: (N, 3, H, W) to (N, K, H, W)."""

    def __init__(self, backbone: Body, head: nn.Module, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        after: Callable[[int], nn.Module] = backbone.after or (lambda width: nn.Identity())
        self.body, self.head, self.auxiliary = backbone, head, auxiliary
        self.after = nn.ModuleList(map(after, backbone.widths))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, H, W)."""
        maps = [norm(y) for norm, y in zip(self.after, self.body(x), strict=True)]
        return resized(self.head(maps), x)


def _auxiliary(widths: Sequence[int], convolution: Callable[[int, int, int], nn.Module]) -> nn.Module:
    """The FCN head of C4, which evaluation leaves out."""
    return nn.Sequential(convolution(widths[2], 256, 3), nn.Conv2d(256, CLASSES, 1))


def upernet(name: str) -> nn.Module:
    """A backbone by name, UPerNet's head and the auxiliary one."""
    backbone = body(name)
    return Segmenter(backbone, UPerHead(backbone.widths), _auxiliary(backbone.widths, conv))


def semantic_fpn(name: str) -> nn.Module:
    """A backbone by name and Semantic FPN's head."""
    backbone = body(name)
    return Segmenter(backbone, SemanticFPN(backbone.widths))


def light_ham(name: str, channels: int = 512, *, last: int = 512, rank: int = 64) -> nn.Module:
    """A backbone by name and HamNet's light head.

    ``channels`` and ``rank`` are its Hamburger's, ``last`` the channels that are classified.
    """
    backbone = body(name)
    return Segmenter(backbone, LightHam(backbone.widths, channels, last, rank))


def hamnet(name: str) -> nn.Module:
    """A backbone by name at a stride of 8, HamNet's head and the auxiliary one."""
    backbone = body(name, (4, 2, 1, 1))
    return Segmenter(backbone, Ham(backbone.widths), _auxiliary(backbone.widths, group_conv))


def segformer(name: str) -> nn.Module:
    """A backbone by name and SegFormer's head of 768 channels, as it has from its B2 on."""
    backbone = body(name)
    return Segmenter(backbone, SegFormerHead(backbone.widths, 768))
