"""EncNet's head: context encoding of C5, and a loss of which classes there are.

Zhang et al., Context Encoding for Semantic Segmentation, CVPR 2018. Authors' code: PyTorch-Encoding (MIT).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.names import Names, conv_bn, mmsegmentation
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, ForTraining, Size, conv, element_classifier

ENCODING = {
    "encoding.0": "conv",
    "encoding.1": "bn",
    "encoding.3": "encoder",
    "encoding.4": "encoder_bn",
    "fc.0": "gate",
    "selayer": "presence",
}
"""The authors' names of the layers of the context encoding module."""
FCN_ON_C4 = {"conv5.0": "reduce.0", "conv5.1": "reduce.1", "conv5.4": "classify.1"}
"""Theirs of the auxiliary head."""
JOINED = {
    "head.conv5": "head.features.reduce",
    "head.connect.0": "head.features.sides.0",
    "head.connect.1": "head.features.sides.1",
    "head.fusion": "head.features.fuse",
}
"""Theirs of :class:`Joined`."""


class Joined(nn.Module):
    """C5 by a 3×3; with ``lateral``, fused by another 3×3 with C3 and C4, each by a 1×1."""

    def __init__(self, in_channels: Channels, channels: int, *, lateral: bool) -> None:
        super().__init__()
        if not isinstance(lateral, bool):
            raise UserError(f"lateral is true or false, not {lateral!r}")
        self.reduce = conv(in_channels[3], channels, 3)
        self.sides = nn.ModuleList(conv(inputs, channels, 1) for inputs in in_channels[1:3] if lateral)
        self.fuse = conv(3 * channels, channels, 3) if lateral else None

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, C, h, w)."""
        x: Tensor = self.reduce(features[3])  # (N, C, h, w)
        if self.fuse is not None:
            sides = [side(level) for side, level in zip(self.sides, features[1:3], strict=True)]  # as x
            x = self.fuse(torch.cat([x, *sides], dim=1))  # (N, 3C, h, w) to (N, C, h, w)
        return x


class EncNet(nn.Module):
    """3×3 of C5, context encoding, classifier; the encoding also says which classes the image has.

    ``lateral`` joins C3 and C4, by a 1×1 each, to the 3×3's map, and fuses the three by a 3×3: the published
    networks for VOC and PASCAL-Context have it, those for ADE20K and Cityscapes have not. ``codes`` is the
    number of codewords.

    Differs from the paper: as in the released code, the auxiliary head is an FCN on C4, in the place of a
    second, light encoding with a loss of its own.
    """

    RELEASED = (
        Names(
            "PyTorch-Encoding",
            {
                **JOINED,
                "head.conv6": "head.classify",
                **{f"head.encmodule.{theirs}": f"head.context.{ours}" for theirs, ours in ENCODING.items()},
                **{f"auxlayer.{theirs}": f"auxiliary.{ours}" for theirs, ours in FCN_ON_C4.items()},
            },
        ),
        mmsegmentation(
            {
                **conv_bn("bottleneck", "features.reduce"),
                **conv_bn("lateral_convs.0", "features.sides.0"),
                **conv_bn("lateral_convs.1", "features.sides.1"),
                **conv_bn("fusion", "features.fuse"),
                "enc_module.encoding_project.conv": "context.conv",
                "enc_module.encoding_project.bn": "context.bn",
                "enc_module.encoding.0": "context.encoder",
                "enc_module.encoding.1": "context.encoder_bn",
                "enc_module.fc.0": "context.gate",
                "se_layer": "context.presence",
            }
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        lateral: bool = False,
        codes: int = 32,
        implementation: str = "fast",
    ) -> None:
        super().__init__()
        self.features = Joined(in_channels, channels, lateral=lateral)
        encoding = {"codes": codes, "classes": classes, "implementation": implementation}
        self.context = block("encoding", channels, size, **encoding)
        self.classify = element_classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor | ForTraining:
        """[C2, C3, C4, C5] to (N, K, h, w); in training mode also ``presence``, (N, K)."""
        x = self.features(features)  # (N, C, h, w)
        encoded, presence = cast(Any, self.context).forward_with_presence(x)  # (N, C, h, w), (N, K)
        logits: Tensor = self.classify(encoded)  # (N, K, h, w)
        return (logits, {"presence": presence}) if self.training else logits
