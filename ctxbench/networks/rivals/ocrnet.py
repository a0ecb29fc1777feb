"""OCRNet: each position attends to the regions of the classes, which an auxiliary head proposes."""

from typing import Any

from torch import Tensor, nn

from ctxbench.networks.heads import FCNHead
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, ForTraining, Size, conv, fresh

DROPOUT = 0.05


class OCRNet(nn.Module):
    """Soft object regions from C4, 3×3 of C5, object-contextual representations, classifier.

    Yuan et al., Object-Contextual Representations for Semantic Segmentation, ECCV 2020.

    The regions' logits are what the auxiliary loss is of, and are needed at inference: their head, a 3×3 with
    bias, batch norm, ReLU and a 1×1 on C4, is a part of this one and of what it costs. No gradient is held
    back from them.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        region_channels: those after the 3×3 of the regions' head; C where not given. mmsegmentation has C/2.
        options: of the block ``ocr``: ``key_channels``.

    """

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
        self.regions = FCNHead(
            in_channels,
            classes,
            channels=channels if region_channels is None else region_channels,
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
