"""A whole segmentation network: backbone, head, auxiliary head, and the way up to the image's size."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError
from ctxbench.networks.heads import ContextHead, FCNHead
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, StrideIn, feature_size
from ctxbench.networks.rivals import RIVALS

HEADS: dict[str, type[nn.Module]] = {"reconet": ContextHead, "fcn": FCNHead, **RIVALS}
MODELS = tuple(HEADS)


class Segmenter(nn.Module):
    """Images (N, 3, H, W) to logits (N, K, H, W), at any size of at least 65 in training, odd ones included.

    In training mode it returns (logits, auxiliary logits or None), in eval mode the logits alone. Bilinear
    upsampling, corners aligned.
    """

    def __init__(
        self, backbone: ResNet, head: nn.Module, auxiliary: nn.Module | None, *, classes: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliary = auxiliary
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """(N, 3, H, W) to (N, K, H, W); in training mode a pair, with the auxiliary head's."""
        features = self.backbone(images)
        logits = _upsample(self.head(features), images)
        if not self.training:
            return logits
        return logits, None if self.auxiliary is None else _upsample(self.auxiliary(features), images)


def _upsample(logits: Tensor, images: Tensor) -> Tensor:
    return functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=True)


def build_network(
    model: str,
    classes: int,
    *,
    backbone: str = "resnet50",
    stem: Stem = "deep",
    stride_in: StrideIn = "3x3",
    context: str | None = None,
    context_options: Mapping[str, Any] = {},
    global_pool: bool = True,
    channels: int = 512,
    crop: int | tuple[int, int] = 512,
    auxiliary: bool = True,
) -> Segmenter:
    """Build a network with fresh weights, in training mode.

    ``model`` is one of :data:`MODELS`. ``context``, its options and ``global_pool`` are for "reconet"
    alone, whose context module is by default TGM+TRM: see :class:`ContextHead`. ``crop`` is the side, or
    (H, W), of the training images: heads whose weights depend on the feature's size are built for it.
    ``auxiliary`` adds an FCN head on C4 (section 3.5). The rest is as in :class:`ResNet`.

    Raises UserError for a name, a context or an option that does not fit.
    """
    if model not in HEADS:
        raise UserError(f"no model {model!r}; one of {', '.join(MODELS)}")
    if backbone not in BACKBONES:
        raise UserError(f"no backbone {backbone!r}; one of {', '.join(BACKBONES)}")
    if classes < 1:
        raise UserError(f"a network needs at least one class, not {classes}")
    if model != "reconet" and (context is not None or context_options or not global_pool):
        raise UserError(f"context, context_options and global_pool are for reconet, not for {model}")
    body = BACKBONES[backbone](stem=stem, stride_in=stride_in)
    height, width = (crop, crop) if isinstance(crop, int) else crop
    options: dict[str, Any] = {"channels": channels}
    if model != "fcn":
        options["size"] = (feature_size(height), feature_size(width))
    if model == "reconet":
        options |= {
            "context": context or "reconet",
            "context_options": context_options,
            "global_pool": global_pool,
        }
    return Segmenter(
        body,
        HEADS[model](body.channels, classes, **options),
        FCNHead(body.channels, classes, level=2) if auxiliary else None,
        classes=classes,
    )
