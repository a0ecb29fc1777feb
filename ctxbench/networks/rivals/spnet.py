"""SPNet: mixed pooling modules, of strips and grids, on C5."""

from typing import Any

from torch import Tensor, nn

from ctxbench.networks.names import Names
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv

_PARTS = {
    "conv1_1": "short",
    "conv1_2": "long",
    "conv2_0": "local",
    "conv2_1": "grids.0",
    "conv2_2": "grids.1",
    "conv2_3": "columns",
    "conv2_4": "rows",
    "conv2_5": "short_out",
    "conv2_6": "long_out",
    "conv3": "project",
}
"""The authors' names of a mixed pooling module's layers, and ours."""


def _pooling(number: int) -> dict[str, str]:
    """The authors' names of a mixed pooling module, from 0, and ours."""
    names = {}
    for theirs, ours in _PARTS.items():
        names[f"head.strip_pool{number + 1}.{theirs}.0"] = f"head.context.{number}.{ours}.conv"
        names[f"head.strip_pool{number + 1}.{theirs}.1"] = f"head.context.{number}.{ours}.bn"
    return names


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

    RELEASED = (
        Names(
            "its authors",
            {
                "head.trans_layer": "head.reduce",
                **_pooling(0),
                **_pooling(1),
                "head.score_layer.0": "head.fuse.0",
                "head.score_layer.1": "head.fuse.1",
                "head.score_layer.4": "head.classify.1",
                "auxlayer.conv5.0": "auxiliary.reduce.0",
                "auxlayer.conv5.1": "auxiliary.reduce.1",
                "auxlayer.conv5.4": "auxiliary.classify.1",
            },
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
        self.reduce = conv(in_channels[3], 2 * channels, 1)
        self.context = nn.Sequential(*(block("strip", 2 * channels, size, **options) for _ in range(2)))
        self.fuse = conv(2 * channels, channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        pooled = self.context(self.reduce(features[3]))  # (N, 2C, h, w)
        logits: Tensor = self.classify(self.fuse(pooled))  # (N, C, h, w) to (N, K, h, w)
        return logits
