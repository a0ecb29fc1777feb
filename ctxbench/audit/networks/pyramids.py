"""Backbones of four stages, and HVT, by the names that papers give them; and their classifiers.

N images of H × W pixels, C channels. Each is written after its paper and its authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ctxbench.audit.networks.mixers import CrossStripes, Encoder, Last, Neighbourhood, PoolingAttention
from ctxbench.errors import UserError
from ctxbench.networks.published import block

IMAGE, CLASSES = 224, 1000
"""Pixels of a side, where positions are learned, and classes of ImageNet."""
SIZE = (14, 14)
"""(h, w) that blocks are told of whose weights do not depend on it."""
RATIOS = (8, 8, 4, 4)
"""Of the MLPs' inner channels to their outer, by stage, in VAN, PVT and P2T."""


def layer_norm(channels: int) -> nn.Module:
    """A layer norm over the channels of a map."""
    return Last(nn.LayerNorm(channels))


def mlp(channels: int, ratio: int) -> nn.Module:
    """Two linear layers with a GELU, of each position by itself."""
    return Last(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))


class Layer(nn.Module):
    """What mixes positions and then an MLP, each behind a norm and with a skip, and some with a scale."""

    def __init__(
        self,
        channels: int,
        mix: nn.Module,
        inner: nn.Module,
        norm: Callable[[int], nn.Module] = layer_norm,
        *,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.norm1, self.mix, self.norm2, self.mlp = norm(channels), mix, norm(channels), inner
        self.scales = nn.Parameter(torch.ones(2, channels, 1, 1)) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        for index, (norm, part) in enumerate(((self.norm1, self.mix), (self.norm2, self.mlp))):
            y = part(norm(x))
            x = x + (y if self.scales is None else self.scales[index] * y)
        return x


class Body(nn.Module):
    """Stages, each what shrinks the map, layers, and a norm: (N, 3, H, W) to a list of four maps.

    ``before`` is the norm that a classifier has and a dense head has not, and ``after`` those that a dense
    head has of each map and a classifier has not.
    """

    def __init__(
        self,
        widths: Sequence[int],
        stages: Sequence[nn.Module],
        before: nn.Module | None = None,
        after: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.widths, self.before, self.after = tuple(widths), before, after
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps of a 4th, 8th, 16th and 32nd of its sides."""
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(maps[-1] if maps else x))
        return maps


class Positions(nn.Module):
    """A vector learned for each position of a map: (N, C, h, w) to the same shape."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(channels, side, side))

    def forward(self, x: Tensor) -> Tensor:
        """Add them."""
        return x + self.vectors


def _overlapping(inputs: int, width: int, norm: Callable[[int], nn.Module], stride: int) -> list[nn.Module]:
    """A 7×7 of the image or a 3×3, each wider than its stride, and a norm."""
    kernel = 7 if inputs == 3 else 3
    return [nn.Conv2d(inputs, width, kernel, stride, kernel // 2), norm(width)]


def _depthwise(channels: int, ratio: int, *acts: nn.Module) -> nn.Module:
    """An MLP of 1×1 with a depthwise 3×3 in it, with an activation behind it or one on each side."""
    wide = ratio * channels
    near = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
    return nn.Sequential(nn.Conv2d(channels, wide, 1), *acts[1:], near, acts[0], nn.Conv2d(wide, channels, 1))


def van(widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]) -> Body:
    """Guo et al., Visual Attention Network, Computational Visual Media 2023; LKA keeps its own skip."""
    stages, inputs = [], 3
    for width, depth, ratio, stride in zip(widths, depths, RATIOS, strides, strict=True):
        layers = [
            Layer(
                width,
                block("lka", width, SIZE),
                _depthwise(width, ratio, nn.GELU()),
                nn.BatchNorm2d,
                scaled=True,
            )
            for _ in range(depth)
        ]
        shrink = _overlapping(inputs, width, nn.BatchNorm2d, stride)
        stages.append(nn.Sequential(*shrink, *layers, layer_norm(width)))
        inputs = width
    return Body(widths, stages)


def pvt(widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]) -> Body:
    """Wang et al., Pyramid Vision Transformer, ICCV 2021, at 224×224, without its class token."""
    stages, inputs, side = [], 3, IMAGE
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        side //= strides[stage]
        shrink = [nn.Conv2d(inputs, width, strides[stage], strides[stage]), layer_norm(width)]
        layers = [
            Layer(width, block("sra", width, SIZE, reduction=8 >> stage), mlp(width, RATIOS[stage]))
            for _ in range(depth)
        ]
        stages.append(nn.Sequential(*shrink, Positions(width, side), *layers))
        inputs = width
    return Body(widths, stages, before=layer_norm(inputs))


def p2t(widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]) -> Body:
    """Wu et al., P2T: Pyramid Pooling Transformer for Scene Understanding, TPAMI 2022."""
    ratios = ((12, 16, 20, 24), (6, 8, 10, 12), (3, 4, 5, 6), (1, 2, 3, 4))
    stages, inputs = [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        shared = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(4))
        acts = nn.Hardswish(), nn.Hardswish()
        layers = [
            Layer(
                width,
                PoolingAttention(width, (1, 2, 5, 8)[stage], ratios[stage], shared),
                _depthwise(width, RATIOS[stage], *acts),
            )
            for _ in range(depth)
        ]
        stages.append(nn.Sequential(*_overlapping(inputs, width, layer_norm, strides[stage]), *layers))
        inputs = width
    return Body(widths, stages)


def nat(ratio: int, widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]) -> Body:
    """Hassani et al., Neighborhood Attention Transformer, CVPR 2023."""
    stages: list[nn.Module] = []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            shrink: list[nn.Module] = [nn.Conv2d(width // 2, width, 3, strides[stage], 1, bias=False)]
        else:
            shrink = [nn.Conv2d(3, width // 2, 3, 2, 1), nn.Conv2d(width // 2, width, 3, 2, 1)]
        layers = [
            Layer(width, Neighbourhood(width), mlp(width, ratio), scaled=ratio == 2) for _ in range(depth)
        ]
        stages.append(nn.Sequential(*shrink, layer_norm(width), *layers))
    return Body(widths, stages, before=layer_norm(widths[-1]), after=layer_norm)


def cswin(
    heads: Sequence[int], split: int, widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]
) -> Body:
    """Dong et al., CSWin Transformer, CVPR 2022; ``split`` is that of the third stage."""
    stages, inputs = [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        kernel, padding = (3, 1) if stage else (7, 2)
        shrink = [nn.Conv2d(inputs, width, kernel, strides[stage], padding), layer_norm(width)]
        splits = (1, 2, split, 0)
        layers = [
            Layer(width, CrossStripes(width, heads[stage], splits[stage]), mlp(width, 4))
            for _ in range(depth)
        ]
        stages.append(nn.Sequential(*shrink, *layers))
        inputs = width
    return Body(widths, stages, before=layer_norm(inputs), after=layer_norm)


NARROW, WIDE = (32, 64, 160, 256), (64, 128, 320, 512)
DOUBLING = {first: (first, 2 * first, 4 * first, 8 * first) for first in (64, 96, 128, 144)}
BODIES: dict[str, Callable[[Sequence[int]], Body]] = {
    "van_b0": partial(van, NARROW, (3, 3, 5, 2)),
    "van_b1": partial(van, WIDE, (2, 2, 4, 2)),
    "van_b2": partial(van, WIDE, (3, 3, 12, 3)),
    "van_b3": partial(van, WIDE, (3, 5, 27, 3)),
    "van_b4": partial(van, WIDE, (3, 6, 40, 3)),
    "pvt_tiny": partial(pvt, WIDE, (2, 2, 2, 2)),
    "pvt_small": partial(pvt, WIDE, (3, 4, 6, 3)),
    "pvt_medium": partial(pvt, WIDE, (3, 4, 18, 3)),
    "pvt_large": partial(pvt, WIDE, (3, 8, 27, 3)),
    "p2t_tiny": partial(p2t, (48, 96, 240, 384), (2, 2, 6, 3)),
    "p2t_small": partial(p2t, WIDE, (2, 2, 9, 3)),
    "p2t_base": partial(p2t, WIDE, (3, 4, 18, 3)),
    "p2t_large": partial(p2t, (64, 128, 320, 640), (3, 8, 27, 3)),
    "nat_mini": partial(nat, 3, DOUBLING[64], (3, 4, 6, 5)),
    "nat_tiny": partial(nat, 3, DOUBLING[64], (3, 4, 18, 5)),
    "nat_small": partial(nat, 2, DOUBLING[96], (3, 4, 18, 5)),
    "nat_base": partial(nat, 2, DOUBLING[128], (3, 4, 18, 5)),
    "cswin_tiny": partial(cswin, (2, 4, 8, 16), 7, DOUBLING[64], (1, 2, 21, 1)),
    "cswin_small": partial(cswin, (2, 4, 8, 16), 7, DOUBLING[64], (2, 4, 32, 2)),
    "cswin_base": partial(cswin, (4, 8, 16, 32), 7, DOUBLING[96], (2, 4, 32, 2)),
    "cswin_large": partial(cswin, (6, 12, 24, 24), 7, DOUBLING[144], (2, 4, 32, 2)),
    "cswin_base_384": partial(cswin, (4, 8, 16, 32), 12, DOUBLING[96], (2, 4, 32, 2)),
    "cswin_large_384": partial(cswin, (6, 12, 24, 24), 12, DOUBLING[144], (2, 4, 32, 2)),
}
"""By name; each takes the stages' strides."""


def body(name: str, strides: Sequence[int] = (4, 2, 2, 2)) -> Body:
    """A backbone by name. Raises UserError where there is none of it."""
    if name not in BODIES:
        raise UserError(f"no backbone {name!r}; there are: {', '.join(BODIES)}")
    return BODIES[name](strides)


class Classifier(nn.Module):
    """A backbone, by name or as it is, the mean over positions, and a linear layer."""

    def __init__(self, backbone: str | Body) -> None:
        super().__init__()
        self.body = body(backbone) if isinstance(backbone, str) else backbone
        self.fc = nn.Linear(self.body.widths[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1000)."""
        y = self.body(x)[-1]  # (N, C, H/32, W/32)
        if self.body.before is not None:
            y = self.body.before(y)
        logits: Tensor = self.fc(y.mean((2, 3)))
        return logits


class HVT(nn.Module):
    """Pan et al., Scalable Vision Transformers with Hierarchical Pooling, ICCV 2021: DeiT-S at 224×224.

    Positions are halved by a maximum over three, with new vectors for those left, after the first block and
    after every further 12 / ``pools``; there is no class token.
    """

    def __init__(self, pools: int) -> None:
        super().__init__()
        channels, heads, depth = 384, 6, 12
        self.patches, length = nn.Conv2d(3, channels, 16, 16), (IMAGE // 16) ** 2
        self.places = nn.ParameterList([torch.zeros(length, channels)])
        self.every = depth // pools if pools else depth + 1
        self.blocks = nn.ModuleList(Encoder(channels, heads) for _ in range(depth))
        for _ in range(pools):
            length = (length - 3) // 2 + 1
            self.places.append(torch.zeros(length, channels))
        self.pool = nn.ModuleList(nn.MaxPool1d(3, 2) for _ in range(pools))
        self.norm, self.fc = nn.LayerNorm(channels), nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) to (N, 1000)."""
        x = self.patches(x).flatten(2).mT + self.places[0]  # (N, 196, C)
        for index, encoder in enumerate(self.blocks):
            x = encoder(x)
            if index % self.every == 0 and index // self.every < len(self.pool):
                stage = index // self.every
                x = self.pool[stage](x.mT).mT + self.places[stage + 1]  # (N, L', C)
        logits: Tensor = self.fc(self.norm(x).mean(1))
        return logits
