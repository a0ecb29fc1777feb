"""SPNet: mixed pooling modules, of strips and grids, on C5."""

from typing import Any

from torch import Tensor, nn

from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv


class SPNet(nn.Module):
    """1×1 of C5, two mixed pooling modules, 3×3, classifier.

    Hou et al., Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, CVPR 2020.

    Differs from the paper: its strip pooling modules, gates inside the blocks of the backbone, are not here
    ("MPM only" in its tables), nor are the larger dilations in its stage 5.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C, before the classifier; the mixed pooling modules have twice as many.
        size: (h, w) of C5.
        options: of the block ``strip``: ``pools``.

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
        self.reduce = conv(in_channels[3], 2 * channels, 1)
        self.context = nn.Sequential(*(block("strip", 2 * channels, size, **options) for _ in range(2)))
        self.fuse = conv(2 * channels, channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        pooled = self.context(self.reduce(features[3]))  # (N, 2C, h, w)
        logits: Tensor = self.classify(self.fuse(pooled))  # (N, C, h, w) to (N, K, h, w)
        return logits
