"""A whole segmentation network: backbone, head, auxiliary head, and the way up to the image's size.

N images of H × W pixels, K classes; h × w is the size of what a head returns.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError
from ctxbench.networks.heads import ContextHead, FCNHead
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, StrideIn, feature_size
from ctxbench.networks.rivals import RIVALS

HEADS: dict[str, type[nn.Module]] = {"reconet": ContextHead, "fcn": FCNHead, **RIVALS}
"""By the model's name. A head takes the backbone's channels and the classes; which of ``channels``, ``size``,
``context``, ``context_options`` and ``global_pool`` it takes too, its signature says."""
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
        features = self.backbone(images)  # [C2, C3, C4, C5], see ResNet
        logits = _upsample(self.head(features), images)  # (N, K, H, W)
        if not self.training:
            return logits
        return logits, None if self.auxiliary is None else _upsample(self.auxiliary(features), images)


def _upsample(logits: Tensor, images: Tensor) -> Tensor:
    """(N, K, h, w) to (N, K, H, W), the size of the images."""
    size = images.shape[2:]
    return functional.interpolate(logits, size, mode="bilinear", align_corners=True)  # (N, K, H, W)


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

    ``model`` is one of :data:`MODELS`. ``context``, its options and ``global_pool`` are for models whose
    head takes them, see :class:`ContextHead`; by default its context module is TGM+TRM. ``crop`` is the
    side, or (H, W), of the training images: heads whose weights depend on the features' size are built for
    it. ``auxiliary`` adds an FCN head on C4 (section 3.5). The rest is as in :class:`ResNet`.

    Raises UserError for a name, a context or an option that does not fit.
    """
    if model not in HEADS:
        raise UserError(f"no model {model!r}; one of {', '.join(MODELS)}")
    if backbone not in BACKBONES:
        raise UserError(f"no backbone {backbone!r}; one of {', '.join(BACKBONES)}")
    if classes < 1:
        raise UserError(f"a network needs at least one class, not {classes}")
    asked: dict[str, Any] = {}
    if context is not None:
        asked["context"] = context
    if context_options:
        asked["context_options"] = context_options
    if not global_pool:
        asked["global_pool"] = global_pool
    _check_taken(model, asked)
    height, width = (crop, crop) if isinstance(crop, int) else crop
    usual = {"channels": channels, "size": (feature_size(height), feature_size(width))}
    options = {name: value for name, value in usual.items() if name in _options(model)} | asked
    body = BACKBONES[backbone](stem=stem, stride_in=stride_in)
    return Segmenter(
        body,
        HEADS[model](body.channels, classes, **options),
        FCNHead(body.channels, classes, level=2) if auxiliary else None,
        classes=classes,
    )


def _options(model: str) -> set[str]:
    """The names that a model's head takes."""
    return set(signature(HEADS[model]).parameters)


def _check_taken(model: str, asked: Mapping[str, Any]) -> None:
    """Raise UserError where the model's head does not take all that was asked for."""
    if unused := sorted(asked.keys() - _options(model)):
        takers = [other for other in HEADS if asked.keys() <= _options(other)]
        verb = "is" if len(unused) == 1 else "are"
        raise UserError(f"{', '.join(unused)} {verb} for {', '.join(takers)}, not for {model}")
