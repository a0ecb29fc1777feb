"""ISANet: interlaced sparse self-attention on C5."""

from typing import Any

from torch import Tensor, nn

from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, conv, fresh


class ISANet(nn.Module):
    """3×3 of C5, interlaced sparse self-attention, fused with what it was given, classifier.

    Huang et al., Interlaced Sparse Self-Attention for Semantic Segmentation, arXiv 2019.

    Its one dropout is the block's, 0.05 by channel, after the fusion.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        options: of the block ``isa``: ``down_factor`` and ``key_channels``.

    """

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
        self.reduce = conv(in_channels[3], channels, 3)
        self.context = block("isa", channels, size, **{"fuse": True, **options})
        self.classify = fresh(nn.Conv2d(channels, classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        fused = self.context(self.reduce(features[3]))  # (N, C, h, w)
        logits: Tensor = self.classify(fused)  # (N, K, h, w)
        return logits
