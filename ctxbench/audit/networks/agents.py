"""Transformers whose attention goes by agents in some layers (Han et al., Agent Attention, ECCV 2024).

N images of H × W pixels, C channels, L rows; after the authors' code and its configurations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.audit.networks.mixers import CrossStripes, Encoder, Last, attend
from ctxbench.audit.networks.pyramids import (
    CLASSES,
    DOUBLING,
    IMAGE,
    RATIOS,
    WIDE,
    Body,
    Classifier,
    Layer,
    Positions,
    layer_norm,
    mlp,
)
from ctxbench.errors import UserError
from ctxbench.networks.published import block

AGENTS, GRID = (9, 16, 49, 49), 7
"""Agents by stage, and the side of the maps that the biases of an agent are resized from."""


class AgentRows(nn.Module):
    """Agent attention of a class token and the rows of a map of ``side``: (N, L, C) to the same shape."""

    def __init__(self, channels: int, heads: int, side: int, agents: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.near = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pool = nn.AdaptiveAvgPool2d(math.isqrt(agents))
        self.grids = nn.Parameter(torch.zeros(2 * heads, agents, GRID, GRID))
        self.lines = nn.Parameter(torch.zeros(2, 2 * heads, agents, side))
        self.tokens = nn.Parameter(torch.zeros(2 * heads, agents, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        q, k, v = self.qkv(x).chunk(3, -1)  # (N, L, C) each
        maps = [rows[:, 1:].mT.unflatten(2, (self.side, -1)) for rows in (q, v)]  # (N, C, side, side) each
        agents = self.pool(maps[0]).flatten(2).mT  # (N, a, C)
        of_map = functional.interpolate(self.grids, (self.side, self.side), mode="bilinear")
        of_map = of_map + self.lines[0][..., None] + self.lines[1][..., None, :]  # (2·heads, a, side, side)
        gather, spread = torch.cat((self.tokens, of_map.flatten(2)), 2).chunk(2)  # (heads, a, L) each
        values = attend(agents, k, v, self.heads, gather)  # (N, a, C)
        rows = attend(q, agents, values, self.heads, spread.mT)  # (N, L, C)
        near = self.near(maps[1]).flatten(2).mT  # (N, L - 1, C)
        y: Tensor = self.out(torch.cat((rows[:, :1], rows[:, 1:] + near), 1))
        return y


class DeiT(nn.Module):
    """DeiT (Touvron et al., ICML 2021) of 12 layers, the first ``layers`` with agents, at ``image``²."""

    def __init__(self, heads: int, *, layers: int = 12, agents: int = 49, image: int = IMAGE) -> None:
        super().__init__()
        channels, side = 64 * heads, image // 16
        self.patches, self.token = nn.Conv2d(3, channels, 16, 16), nn.Parameter(torch.zeros(1, channels))
        self.places = nn.Parameter(torch.zeros(1 + side**2, channels))
        mixes = [AgentRows(channels, heads, side, agents) for _ in range(layers)] + [None] * (12 - layers)
        self.blocks = nn.Sequential(*(Encoder(channels, heads, mix) for mix in mixes))
        self.norm, self.fc = nn.LayerNorm(channels), nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) of the side that it was built for to (N, 1000)."""
        rows = self.patches(x).flatten(2).mT  # (N, L - 1, C)
        rows = torch.cat((self.token.expand(len(x), -1, -1), rows), 1) + self.places  # (N, L, C)
        logits: Tensor = self.fc(self.norm(self.blocks(rows))[:, 0])
        return logits


def layers(
    width: int, heads: int, side: int, stage: int, agents: int, others: Sequence[nn.Module], ratio: int = 4
) -> list[nn.Module]:
    """Of a stage: so many with agents, and then those that mix otherwise."""
    options = {"heads": heads, "agents": AGENTS[stage]}
    mixes = [block("agent", width, (side, side), **options) for _ in range(agents)]
    return [Layer(width, mix, mlp(width, ratio)) for mix in (*mixes, *others)]


def pvt(depths: Sequence[int], image: int = IMAGE) -> Body:
    """Agent-PVT: agents in every layer."""
    stages, inputs, side = [], 3, image
    for stage, (width, depth, heads) in enumerate(zip(WIDE, depths, (1, 2, 5, 8), strict=True)):
        patch = 2 if stage else 4
        side //= patch
        shrink = [nn.Conv2d(inputs, width, patch, patch), layer_norm(width), Positions(width, side)]
        stages.append(nn.Sequential(*shrink, *layers(width, heads, side, stage, depth, (), RATIOS[stage])))
        inputs = width
    return Body(WIDE, stages)


def swin(first: int, depth: int, agents: int, image: int = IMAGE) -> Body:
    """Agent-Swin: agents in the first two stages, and in so many layers of the third, of ``depth``."""
    widths, stages = DOUBLING[first], []
    for stage, (width, whole, by_agents) in enumerate(
        zip(widths, (2, 2, depth, 2), (2, 2, agents, 0), strict=True)
    ):
        window, side, heads = image // 32, image // 4 >> stage, width // 32
        shrink = [nn.Conv2d(3, width, 4, 4), layer_norm(width)]
        if stage:
            merge = Last(nn.LayerNorm(2 * width), nn.Linear(2 * width, width, bias=False))
            shrink = [nn.PixelUnshuffle(2), merge]
        others = [
            block("window", width, (side, side), window=window, shifted=bool(index % 2) and side > window)
            for index in range(by_agents, whole)
        ]
        stages.append(nn.Sequential(*shrink, *layers(width, heads, side, stage, by_agents, others)))
    return Body(widths, stages, before=layer_norm(widths[-1]))


def cswin(first: int, depths: Sequence[int], image: int = IMAGE) -> Body:
    """Agent-CSWin: agents in the first two stages, of all positions, stripes in the third."""
    widths, stages, inputs = DOUBLING[first], [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        side, heads = image // 4 >> stage, width // 32 if first == 64 else width // 24
        shrink = [nn.Conv2d(inputs, width, *((3, 2, 1) if stage else (7, 4, 2))), layer_norm(width)]
        split = image // 32 if stage == 2 else 0
        others = [CrossStripes(width, heads, split) for _ in range(depth)] if stage > 1 else []
        stages.append(nn.Sequential(*shrink, *layers(width, heads, side, stage, depth - len(others), others)))
        inputs = width
    return Body(widths, stages, before=layer_norm(inputs))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "deit_tiny": partial(DeiT, 3),
    "deit_small": partial(DeiT, 6),
    "deit_small_448": partial(DeiT, 6, image=448),
    "deit_base": partial(DeiT, 12, layers=4, agents=81),
    "pvt_tiny": lambda: Classifier(pvt((2, 2, 2, 2))),
    "pvt_small": lambda: Classifier(pvt((3, 4, 6, 3))),
    "pvt_medium": lambda: Classifier(pvt((3, 4, 18, 3))),
    "pvt_medium_256": lambda: Classifier(pvt((3, 4, 18, 3), 256)),
    "pvt_large": lambda: Classifier(pvt((3, 8, 27, 3))),
    "swin_tiny": lambda: Classifier(swin(96, 6, 6)),
    "swin_small": lambda: Classifier(swin(96, 18, 0)),
    "swin_small_288": lambda: Classifier(swin(96, 18, 0, 288)),
    "swin_base": lambda: Classifier(swin(128, 18, 2)),
    "swin_base_384": lambda: Classifier(swin(128, 18, 2, 384)),
    "cswin_tiny": lambda: Classifier(cswin(64, (2, 4, 18, 1))),
    "cswin_small": lambda: Classifier(cswin(64, (3, 6, 29, 2))),
    "cswin_base": lambda: Classifier(cswin(96, (3, 6, 29, 2))),
    "cswin_base_384": lambda: Classifier(cswin(96, (3, 6, 29, 2), 384)),
}
"""By name, with a number where images are not of 224×224."""


def network(name: str) -> nn.Module:
    """A network by name, (N, 3, H, W) to (N, 1000). Raises UserError where there is none of it."""
    if name not in NETWORKS:
        raise UserError(f"no network of agents {name!r}; there are: {', '.join(NETWORKS)}")
    return NETWORKS[name]()
