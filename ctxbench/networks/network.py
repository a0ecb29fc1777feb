"""A whole segmentation network: backbone, head, auxiliary head, and the way up to the image's size.

N images of H × W pixels, K classes; h × w is the size of what a head returns.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError
from ctxbench.networks import registry
from ctxbench.networks.heads import FCNHead
from ctxbench.networks.published import in_published_form
from ctxbench.networks.registry import NETWORKS, Auxiliary
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, StrideIn, feature_size

MODELS = tuple(NETWORKS)
"""The networks' names."""
AUXILIARY = "auxiliary"
"""The name under which a head returns the auxiliary logits itself."""


@cache
def head_class(model: str) -> type[nn.Module]:
    """The head of a network in the registry.

    It takes the backbone's channels and the classes; which of ``channels``, ``size``, ``context``,
    ``context_options`` and ``global_pool`` it takes too, its signature says.
    """
    module, _, name = NETWORKS[model].head.partition(":")
    return cast(type[nn.Module], getattr(import_module(f"ctxbench.networks.{module}"), name))


class Segmenter(nn.Module):
    """Images (N, 3, H, W) to logits (N, K, H, W), at any size of at least 65 in training, odd ones included.

    In eval mode it returns the logits alone. In training mode it returns the logits, the auxiliary logits or
    None, and what each of ``losses`` is of, in their order: a weight by name for each loss beside those of
    logits and auxiliary logits. Bilinear upsampling, corners aligned.
    """

    def __init__(
        self,
        backbone: ResNet,
        head: nn.Module,
        auxiliary: nn.Module | None,
        *,
        classes: int,
        losses: Mapping[str, float] = {},
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliary = auxiliary
        self.classes = classes
        has = getattr(head, "losses", losses)  # those of an option are there only with it
        self.losses = {name: weight for name, weight in losses.items() if name in has}

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        """(N, 3, H, W) to (N, K, H, W); in training mode a tuple, which begins with it."""
        features = self.backbone(images)  # [C2, C3, C4, C5], see ResNet
        returned = self.head(features)  # (N, K, h, w), or with what else its losses are of
        logits, others = returned if isinstance(returned, tuple) else (returned, {})
        main = _upsample(logits, images)  # (N, K, H, W)
        if not self.training:
            return main
        auxiliary = others.get(AUXILIARY) if self.auxiliary is None else self.auxiliary(features)
        return (
            main,
            None if auxiliary is None else _upsample(auxiliary, images),
            *(others[name] for name in self.losses),
        )


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
    dilations: Sequence[int] | None = None,
    context: str | None = None,
    context_options: Mapping[str, Any] = {},
    global_pool: bool = True,
    channels: int = 512,
    crop: int | tuple[int, int] = 512,
    auxiliary: bool = True,
) -> Segmenter:
    """Build a network with fresh weights, in training mode.

    ``model`` is one of :data:`MODELS`, or another name that the registry knows it by. ``context`` and
    ``global_pool`` are for models whose head takes them, see :class:`ContextHead`; by default its context
    module is TGM+TRM, and ``context_options`` are that module's. Of any other model they are its head's
    own. ``crop`` is the side, or (H, W), of the training images: heads whose weights depend on the features'
    size are built for it. ``auxiliary`` adds the FCN head on C4 that the network's authors train it with, if
    any; where the head itself returns auxiliary logits, it does so in any case. The rest is as in
    :class:`ResNet`.

    Raises UserError for a name, a context or an option that does not fit.
    """
    known = registry.find(model)
    if backbone not in BACKBONES:
        raise UserError(f"no backbone {backbone!r}; one of {', '.join(BACKBONES)}")
    if classes < 1:
        raise UserError(f"a network needs at least one class, not {classes}")
    own = takes_context(known.name)
    asked: dict[str, Any] = {}
    if context is not None:
        asked["context"] = context
    if not global_pool:
        asked["global_pool"] = global_pool
    if context_options and own:
        asked["context_options"] = context_options
    _check_taken(known.name, asked)
    if not own:
        _check_options(known, context_options)
        asked |= context_options
    height, width = (crop, crop) if isinstance(crop, int) else crop
    usual = {"channels": channels, "size": (feature_size(height), feature_size(width))}
    options = {name: value for name, value in usual.items() if name in _taken(known.name)} | asked
    body = BACKBONES[backbone](stem=stem, stride_in=stride_in, dilations=dilations)
    return Segmenter(
        body,
        head_class(known.name)(body.channels, classes, **options),
        fcn_on_c4(known.auxiliary, body.channels, classes) if auxiliary and known.auxiliary else None,
        classes=classes,
        losses=known.losses,
    )


def fcn_on_c4(auxiliary: Auxiliary, in_channels: tuple[int, int, int, int], classes: int) -> FCNHead:
    """The auxiliary head of a network on a backbone of ``in_channels``."""
    return FCNHead(
        in_channels,
        classes,
        channels=max(1, in_channels[2] // auxiliary.share),
        level=2,
        bias=auxiliary.bias,
        dropout=auxiliary.dropout,
        by_channel=auxiliary.by_channel,
    )


def takes_context(model: str) -> bool:
    """Whether a model's head takes any context module."""
    return "context" in _taken(model)


def _taken(model: str) -> set[str]:
    """The names that a model's head takes."""
    return set(signature(head_class(model)).parameters)


def _check_taken(model: str, asked: Mapping[str, Any]) -> None:
    """Raise UserError where the model's head does not take all that was asked for."""
    if unused := sorted(asked.keys() - _taken(model)):
        takers = [other for other in MODELS if asked.keys() <= _taken(other)]
        verb = "is" if len(unused) == 1 else "are"
        raise UserError(f"{', '.join(unused)} {verb} for {', '.join(takers)}, not for {model}")


def _check_options(known: registry.Network, options: Mapping[str, Any]) -> None:
    """Raise UserError where a head has no option of a name."""
    if unknown := sorted(options.keys() - known.options.keys()):
        there = f"it has {', '.join(known.options)}" if known.options else "it has none"
        raise UserError(f"the head of {known.name} has no option {unknown[0]!r}; {there}")


def published_network(
    model: str, classes: int = 21, backbone: str = "resnet101", stem: Stem = "deep"
) -> Segmenter:
    """A whole network as papers count it: without its auxiliary head, its blocks in their published forms.

    Blocks whose weights depend on the size are those of a crop of 512×512. Raises UserError as
    :func:`build_network` does.
    """
    with in_published_form():
        return build_network(model, classes, backbone=backbone, stem=stem, auxiliary=False)
