"""EfficientViT with its head of segmentation (Cai et al., ICCV 2023), after the authors' code.

N images of H × W pixels, C the channels of a map; the logits are (N, K, H/8, W/8), not resized, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ctxbench.audit.networks.pyramids import Body
from ctxbench.audit.networks.resnets import conv
from ctxbench.errors import UserError
from ctxbench.networks.published import block

Convolution = Callable[..., nn.Sequential]
Act = Callable[[], nn.Module]
SIZE = (16, 16)
"""(h, w) that the attention is told of; its weights do not depend on it."""


class Skip(nn.Sequential):
    """Layers, and what skips them: (N, C, h, w) to the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Add what comes of the layers."""
        y = x
        for layer in self:
            y = layer(y)  # (N, C, h, w) in the end
        return x + y


def biased(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution with bias, where others have a batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups))


def inverted(
    inputs: int, outputs: int, ratio: int, act: Act, stride: int = 1, first: Convolution = conv
) -> list[nn.Module]:
    """A 1×1 to ``ratio`` times the channels, which a ratio of 1 has not, a depthwise 3×3, and a 1×1."""
    wide = ratio * inputs
    layers: list[nn.Module] = [first(inputs, wide, 1), act()] if ratio > 1 else []
    return [*layers, first(wide, wide, 3, stride, wide), act(), conv(wide, outputs, 1)]


def fused(inputs: int, outputs: int, ratio: int, act: Act, stride: int = 1) -> list[nn.Module]:
    """A 3×3 to ``ratio`` times the channels, and a 1×1."""
    return [conv(inputs, ratio * inputs, 3, stride), act(), conv(ratio * inputs, outputs, 1)]


def attentive(channels: int, head_width: int, ratio: int, act: Act) -> list[nn.Module]:
    """LiteMLA and an inverted bottleneck, each with a skip."""
    mix = block("lite_mla", channels, SIZE, head_width=head_width)
    return [Skip(mix), Skip(*inverted(channels, channels, ratio, act, first=biased))]


def small(widths: Sequence[int], depths: Sequence[int], head_width: int) -> list[nn.Sequential]:
    """B0 to B3: attention in the last two stages, inverted bottlenecks in those before."""
    act, inputs = nn.Hardswish, widths[0]
    stem = [Skip(*inverted(inputs, inputs, 1, act)) for _ in range(depths[0])]
    stages = [nn.Sequential(conv(3, inputs, 3, 2), act(), *stem)]
    for stage, (width, depth) in enumerate(zip(widths[1:], depths[1:], strict=True), 1):
        if stage < 3:
            layers = inverted(inputs, width, 4, act, 2)
            layers += [Skip(*inverted(width, width, 4, act)) for _ in range(depth - 1)]
        else:
            layers = inverted(inputs, width, 4, act, 2, biased)
            for _ in range(depth):
                layers += attentive(width, head_width, 4, act)
        stages.append(nn.Sequential(*layers))
        inputs = width
    return stages


def l1(widths: Sequence[int]) -> list[nn.Sequential]:
    """L1: attention in the last stage alone, 3×3 of all channels in the first three."""
    act, (first, second, third, fourth, last) = nn.GELU, widths
    stages: list[list[nn.Module]] = [
        [conv(3, first, 3, 2), act(), Skip(conv(first, first, 3), act(), conv(first, first, 3))],
        [*fused(first, second, 16, act, 2), Skip(*fused(second, second, 4, act))],
        [*fused(second, third, 16, act, 2), Skip(*fused(third, third, 4, act))],
        inverted(third, fourth, 16, act, 2, biased),
        inverted(fourth, last, 24, act, 2, biased),
    ]
    for _ in range(6):
        stages[3].append(Skip(*inverted(fourth, fourth, 4, act, first=biased)))
        stages[4] += attentive(last, 32, 6, act)
    return [nn.Sequential(*layers) for layers in stages]


class Form(NamedTuple):
    """Of a head: its channels, its bottlenecks and their ratio, and that of what is classified to them."""

    channels: int
    depth: int
    ratio: int
    last: int


class Head(nn.Module):
    """1×1 of the last three maps, summed at the first's size, bottlenecks with skips, and a classifier."""

    def __init__(
        self,
        widths: Sequence[int],
        middle: Callable[[int, int, int, Act], list[nn.Module]],
        act: Act,
        form: Form,
        classes: int,
    ) -> None:
        super().__init__()
        channels, depth, ratio, last = form
        ups = nn.Identity(), *(nn.Upsample(scale_factor=factor, mode="bicubic") for factor in (2, 4))
        self.sides = nn.ModuleList(
            nn.Sequential(conv(width, channels, 1), up) for width, up in zip(widths, ups, strict=True)
        )
        self.middle = nn.Sequential(*(Skip(*middle(channels, channels, ratio, act)) for _ in range(depth)))
        wide = last * channels
        self.widen = nn.Sequential(conv(channels, wide, 1), act()) if last > 1 else nn.Identity()
        self.classify = nn.Conv2d(wide, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of an 8th, 16th and 32nd to (N, K, H/8, W/8)."""
        first, second, third = (side(x) for side, x in zip(self.sides, maps, strict=True))
        logits: Tensor = self.classify(self.widen(self.middle(first + second + third)))
        return logits


SMALL = {
    "b0": ((8, 16, 32, 64, 128), (1, 2, 2, 2, 2), 16, 1),
    "b1": ((16, 32, 64, 128, 256), (1, 2, 3, 3, 4), 16, 3),
    "b2": ((24, 48, 96, 192, 384), (1, 3, 4, 4, 6), 32, 3),
    "b3": ((32, 64, 128, 256, 512), (1, 4, 6, 6, 9), 32, 3),
}
"""Channels and depths by stage, channels of a head of the attention, and bottlenecks of the head."""
HEADS = {"cityscapes": (Form(256, 3, 1, 1), 4, 19), "ade20k": (Form(128, 3, 4, 8), 1, 150)}
"""Of each data set: L1's head, the last ratio of a small one's, and the classes."""


class Segmenter(nn.Module):
    """EfficientViT ``name``, of :data:`SMALL` or ``l1``, with its head for ``dataset``, of :data:`HEADS`.

    Raises:
        UserError: there is none of the name, or of the data set.

    """

    def __init__(self, name: str, dataset: str) -> None:
        super().__init__()
        for key, known in ((name, (*SMALL, "l1")), (dataset, HEADS)):
            if key not in known:
                raise UserError(f"no EfficientViT of {key!r}; there are: {', '.join(known)}")
        form, last, classes = HEADS[dataset]
        if name == "l1":
            widths = SMALL["b3"][0]
            stages, self.head = l1(widths), Head(widths[2:], fused, nn.GELU, form, classes)
        else:
            widths, depths, head_width, depth = SMALL[name]
            form = Form(widths[2], depth, 4, last)
            stages = small(widths, depths, head_width)
            self.head = Head(widths[2:], inverted, nn.Hardswish, form, classes)
        self.body = Body(widths, stages)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, H/8, W/8)."""
        logits: Tensor = self.head(self.body(x)[2:])
        return logits
