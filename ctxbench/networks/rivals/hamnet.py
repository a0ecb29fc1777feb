"""HamNet: matrix decomposition in the place of attention; and the light head that came of it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ctxbench.networks.names import MULTI_GRID, Names, mmsegmentation, numbered_resnet
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv, fresh

MOMENTUM = 3e-4
"""Of every batch norm in the authors' code."""
GROUPS = 32


BASES = "head.context.bases"
"""No release keeps them."""


class HamNet(nn.Module):
    """3×3 of C5, Hamburger, 3×3 to half the channels, classifier.

    Geng et al., Is Attention Better Than Matrix Decomposition?, ICLR 2021.

    The batch norms move slowly, by 0.0003 a step, as the authors': a short training is evaluated with
    statistics near those of the start. The bases that the decomposition starts from are drawn anew in each
    training step; those of evaluation are kept, see :class:`ctxbench_modules.hamnet.Hamburger`.

    Differs from the released code: the last stage of its backbone is dilated by 2, 8 and 16, here as for all
    networks by 2, 4 and 4, unless ``dilations`` are given; and its biases learn twice as fast, and neither
    they nor norms decay.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        options: of the block ``ham``: ``rank``, ``steps``, ``decomposition`` and ``cheese``, which is on in
            the release, and off in the paper.

    """

    RELEASED = (
        Names(
            "its authors",
            {
                **numbered_resnet("backbone"),
                "squeeze.conv": "head.reduce.0",
                "squeeze.bn": "head.reduce.1",
                "hamburger.lower_bread.0": "head.context.lower",
                "hamburger.cheese.conv": "head.context.cheese",
                "hamburger.cheese.bn": "head.context.bn",
                "hamburger.upper_bread": "head.context.upper",
                "hamburger.upper_bread.0": "head.context.upper",  # without cheese
                "hamburger.upper_bread.1": "head.context.bn",
                "align.conv": "head.align.0",
                "align.bn": "head.align.1",
                "fc": "head.classify",
            },
            dilations=MULTI_GRID,
            absent=(BASES,),
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        **options: Any,
    ) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.reduce = conv(in_channels[3], channels, 3)
        self.context = block("ham", channels, size, **options)
        self.align = conv(channels, half, 3)
        self.classify = classifier(half, classes)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = MOMENTUM

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        restored = self.context(self.reduce(features[3]))  # (N, C, h, w)
        logits: Tensor = self.classify(self.align(restored))  # (N, C/2, h, w) to (N, K, h, w)
        return logits


class LightHamNet(nn.Module):
    """1×1 of C3, C4 and C5 together, Hamburger, 1×1, classifier, with group norm throughout.

    The light head of HamNet's authors, which SegNeXt took (Guo et al., SegNeXt: Rethinking Convolutional
    Attention Design for Semantic Segmentation, NeurIPS 2022).

    Published on hierarchical backbones, whose C4 and C5 are resized to C3; here all have one size. All of the
    6 updates, in evaluation 7, have their gradient, as released.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C, of the Hamburger; 256, 512 and 1024 in SegNeXt-S, -B and -L.
        size: (h, w) of C5.
        groups: of the group norms; where not given, the greatest number that divides 32 and C.
        options: of the block ``ham``: ``rank``, ``steps`` and ``eval_steps``.

    """

    RELEASED = (
        mmsegmentation(
            {
                "squeeze.conv": "reduce.0",
                "squeeze.gn": "reduce.1",
                "hamburger.ham_in.conv": "context.lower",
                "hamburger.ham_out.conv": "context.upper",
                "hamburger.ham_out.gn": "context.bn",
                "align.conv": "align.0",
                "align.gn": "align.1",
            },
            absent=(BASES,),
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        groups: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        groups = math.gcd(GROUPS, channels) if groups is None else groups
        published = {"cheese": False, "norm": "group", "one_step_gradient": False, "eval_steps": 7}
        self.context = block("ham", channels, size, **{**published, "groups": groups, **options})
        self.reduce = _conv_gn_relu(sum(in_channels[1:]), channels, groups)
        self.align = _conv_gn_relu(channels, channels, groups)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        restored = self.context(self.reduce(torch.cat(features[1:], dim=1)))  # (N, C, h, w)
        logits: Tensor = self.classify(self.align(restored))  # (N, C, h, w) to (N, K, h, w)
        return logits


def _conv_gn_relu(inputs: int, outputs: int, groups: int) -> nn.Sequential:
    """A 1×1 without bias, group norm and ReLU."""
    norm = nn.GroupNorm(groups, outputs)
    return fresh(nn.Conv2d(inputs, outputs, 1, bias=False), norm, nn.ReLU(inplace=True))
