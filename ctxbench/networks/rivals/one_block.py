"""Heads that are one context block between convolutions, or little more."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError
from ctxbench.networks.names import MULTI_GRID, Names, numbered_resnet
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv

ASPP_RATES = (12, 24, 36)
"""Those of the paper at output stride 8, twice those at 16."""
SKIP_CHANNELS = 48


class PSPNet(nn.Module):
    """Pyramid pooling of C5, 3×3, classifier.

    Zhao et al., Pyramid Scene Parsing Network, CVPR 2017.
    """

    def __init__(
        self, in_channels: Channels, classes: int, *, channels: int = 512, size: Size = (64, 64)
    ) -> None:
        super().__init__()
        self.context = block("ppm", in_channels[3], size)
        self.fuse = conv(cast(int, self.context.out_channels), channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        pooled = self.context(features[3])  # (N, C5's channels and those of the levels, h, w)
        logits: Tensor = self.classify(self.fuse(pooled))  # (N, C, h, w) to (N, K, h, w)
        return logits


class DeepLabV3Plus(nn.Module):
    """ASPP of C5, then a decoder with C2.

    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018.

    ASPP and decoder have ``channels // 2``, 256 as published; the decoder's two 3×3 are not separable, the
    paper's form for a ResNet.
    """

    def __init__(
        self, in_channels: Channels, classes: int, *, channels: int = 512, size: Size = (64, 64)
    ) -> None:
        super().__init__()
        width = max(1, channels // 2)
        self.context = block("aspp", in_channels[3], size, width=width, rates=ASPP_RATES)
        self.skip = conv(in_channels[0], SKIP_CHANNELS, 1)
        self.decode = nn.Sequential(conv(SKIP_CHANNELS + width, width, 3), conv(width, width, 3))
        self.classify = classifier(width, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h', w'), where h' × w' is the size of C2."""
        skip = self.skip(features[0])  # (N, 48, h', w')
        context = functional.interpolate(
            self.context(features[3]), skip.shape[2:], mode="bilinear", align_corners=True
        )  # (N, C/2, h, w) to (N, C/2, h', w')
        decoded = self.decode(torch.cat([context, skip], dim=1))  # (N, C/2 + 48, h', w') to (N, C/2, h', w')
        logits: Tensor = self.classify(decoded)  # (N, K, h', w')
        return logits


class DANet(nn.Module):
    """Position and channel attention of C5 beside each other, summed, and classified.

    Fu et al., Dual Attention Network for Scene Segmentation, CVPR 2019.

    Each branch is a 3×3, the attention, a 3×3. Differs from the released code: that also classifies each
    branch, for two more losses.
    """

    def __init__(
        self, in_channels: Channels, classes: int, *, channels: int = 512, size: Size = (64, 64)
    ) -> None:
        super().__init__()
        self.position, self.channel = (
            nn.Sequential(
                conv(in_channels[3], channels, 3),
                block(context, channels, size),
                conv(channels, channels, 3),
            )
            for context in ("pam", "cam")
        )
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        attended = self.position(features[3]) + self.channel(features[3])  # (N, C, h, w)
        logits: Tensor = self.classify(attended)  # (N, K, h, w)
        return logits


class PSANet(nn.Module):
    """Point-wise spatial attention over C5, 3×3, classifier.

    Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV 2018.

    ``channels`` is also the width of the attended features.
    """

    def __init__(
        self, in_channels: Channels, classes: int, *, channels: int = 512, size: Size = (64, 64)
    ) -> None:
        super().__init__()
        self.context = block("psa", in_channels[3], size, width=channels)
        self.fuse = conv(cast(int, self.context.out_channels), channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        attended = self.context(features[3])  # (N, C5's channels and those attended, h, w)
        logits: Tensor = self.classify(self.fuse(attended))  # (N, C, h, w) to (N, K, h, w)
        return logits


class EMANet(nn.Module):
    """3×3, expectation-maximisation attention, classifier.

    Li et al., Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV 2019.

    Differs from the released code: that has a 3×3 of 512 to 256 channels before the classifier, for which the
    cost that other papers print of it has no room; ``align`` adds it. ``options`` are of the block ``emau``:
    ``bases`` and ``iterations``.
    """

    RELEASED = (
        Names(
            "its authors",
            {
                **numbered_resnet("extractor"),
                "fc0.conv": "head.reduce.0",
                "fc0.bn": "head.reduce.1",
                "emau.mu": "head.context.mu",
                "emau.conv1": "head.context.conv1",
                "emau.conv2.0": "head.context.conv2",
                "emau.conv2.1": "head.context.bn2",
                "fc1.0.conv": "head.align.0",
                "fc1.0.bn": "head.align.1",
                "fc2": "head.classify.1",
            },
            dilations=MULTI_GRID,
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        align: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        if not isinstance(align, bool):
            raise UserError(f"EMANet's align is true or false, not {align!r}")
        self.reduce = conv(in_channels[3], channels, 3)
        self.context = block("emau", channels, size, **options)
        self.align: nn.Module | None = None
        if align:
            self.align = conv(channels, max(1, channels // 2), 3)
            channels = max(1, channels // 2)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        attended = self.context(self.reduce(features[3]))  # (N, C, h, w)
        aligned = attended if self.align is None else self.align(attended)  # (N, C or C/2, h, w)
        logits: Tensor = self.classify(aligned)  # (N, K, h, w)
        return logits
