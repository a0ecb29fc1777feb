"""OCRNet: each position attends to the regions of the classes, which an auxiliary head proposes."""

from typing import Any

from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.heads import FCNHead
from ctxbench.networks.names import Names
from ctxbench.networks.published import block
from ctxbench.networks.rivals.isanet import LEAKY
from ctxbench.networks.rivals.layers import Channels, ForTraining, Size, conv, fresh

DROPOUT = 0.05


_TWICE = {"pixel": "query", "object": "key"}
_ONCE = {"down": "value", "up": "out"}
"""Layers, two in a row and single ones, as the authors call them and as mmsegmentation does."""


def _authors() -> dict[str, str]:
    block = "spatial_ocr_head.object_context_block.f_"
    names = {
        "conv_3x3.0": "head.reduce.0",
        "conv_3x3.1.0": "head.reduce.1",
        "spatial_ocr_head.conv_bn_dropout.0": "head.context.fuse.conv",
        "spatial_ocr_head.conv_bn_dropout.1.0": "head.context.fuse.bn",
        "head": "head.classify.0",
        "dsn_head.0": "head.regions.reduce.0",
        "dsn_head.1.0": "head.regions.reduce.1",
        "dsn_head.3": "head.regions.classify.1",
    }
    for layer in _ONCE:
        names |= {f"{block}{layer}.0": f"head.context.{layer}.conv"}
        names |= {f"{block}{layer}.1.0": f"head.context.{layer}.bn"}
    for layer in _TWICE:
        for number in (0, 1):
            names[f"{block}{layer}.{2 * number}"] = f"head.context.{layer}.{number}.conv"
            names[f"{block}{layer}.{2 * number + 1}.0"] = f"head.context.{layer}.{number}.bn"
    return names


def _mmsegmentations() -> dict[str, str]:
    block = "decode_head.1.object_context_block"
    names = {
        "decode_head.0.convs.0.conv": "head.regions.reduce.0",
        "decode_head.0.convs.0.bn": "head.regions.reduce.1",
        "decode_head.0.conv_seg": "head.regions.classify.1",
        "decode_head.1.bottleneck.conv": "head.reduce.0",
        "decode_head.1.bottleneck.bn": "head.reduce.1",
        f"{block}.bottleneck": "head.context.fuse",
        "decode_head.1.conv_seg": "head.classify.0",
    }
    names |= {
        f"{block}.{theirs}_project": f"head.context.{ours}" for ours, theirs in (_ONCE | _TWICE).items()
    }
    return names


BEFORE_NORMS = (
    "head.regions.reduce.0",
    "head.reduce.0",
    *(f"head.context.{layer}.conv" for layer in ("fuse", *_ONCE)),
    *(f"head.context.{layer}.{number}.conv" for layer in _TWICE for number in (0, 1)),
)
"""Convolutions with a bias here, and with the authors, that mmsegmentation has without."""


class OCRNet(nn.Module):
    """Soft object regions from C4, 3×3 of C5, object-contextual representations, classifier.

    Yuan et al., Object-Contextual Representations for Semantic Segmentation, ECCV 2020.

    The regions' logits are what the auxiliary loss is of, and are needed at inference: their head, a 3×3 with
    bias, batch norm, ReLU and a 1×1 on C4, is a part of this one and of what it costs. No gradient is held
    back from them.

    Differs from the released code: its configurations have leaky ReLUs, of slope 0.01, for all ReLUs.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        region_channels: those after the 3×3 of the regions' head; C where not given. mmsegmentation has C/2.
        options: of the block ``ocr``: ``key_channels``.

    Raises:
        UserError: an option that is out of range.

    """

    RELEASED = (
        Names("its authors", _authors(), note=LEAKY),
        Names("mmsegmentation", _mmsegmentations(), BEFORE_NORMS, "it resizes with align_corners=False"),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        region_channels: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        region_channels = channels if region_channels is None else region_channels
        if not isinstance(region_channels, int) or region_channels < 1:
            raise UserError(f"region_channels must be an integer of at least 1, got {region_channels!r}")
        self.regions = FCNHead(
            in_channels,
            classes,
            channels=region_channels,
            level=2,
            bias=True,
            dropout=DROPOUT,
            by_channel=True,
        )
        self.reduce = conv(in_channels[3], channels, 3, bias=True)
        published: dict[str, Any] = {"classes": classes, "regions": False, "dropout": DROPOUT}
        self.context = block("ocr", channels, size, **published, **options)
        self.classify = fresh(nn.Conv2d(channels, classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor | ForTraining:
        """[C2, C3, C4, C5] to (N, K, h, w); in training mode with the regions' logits, (N, K, h, w) too."""
        regions = self.regions(features)  # (N, K, h, w)
        augmented = self.context(self.reduce(features[3]), regions)  # (N, C, h, w)
        logits: Tensor = self.classify(augmented)  # (N, K, h, w)
        return (logits, {"auxiliary": regions}) if self.training else logits
