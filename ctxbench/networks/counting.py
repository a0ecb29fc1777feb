"""Count whole networks on fake tensors, without running them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from ctxbench.counters import leaf_rule
from ctxbench.errors import UserError
from ctxbench.networks.cost import NetworkCost, NetworkCosts
from ctxbench.networks.network import build_network
from ctxbench.networks.published import body, in_published_form
from ctxbench.networks.registry import find
from ctxbench.subject.axes import Size, sides
from ctxbench.tracing import trace, views

MIN_SIDE = 65
"""The least side a network takes, in pixels: 9 positions at stride 8, corners aligned."""
SIZE = 512
BACKBONE = "resnet101"
CLASSES = 21
"""PASCAL VOC's 20 and the background. These three are what most papers on context modules count."""

INSIDE_BACKBONE = "backbone."
"""What the paths of the backbone's modules begin with."""


def network_costs(
    models: Sequence[str],
    *,
    sizes: Sequence[Size] = (SIZE,),
    backbone: str = BACKBONE,
    context: str | None = None,
    context_options: Mapping[str, Any] = {},
    classes: int = CLASSES,
) -> NetworkCosts:
    """Count networks with the deep stem at inputs 1×3×H×W, each built for its own size.

    A size is the side of a square or (H, W), in pixels. ``context`` and its options are the model's, as in
    :func:`~ctxbench.networks.build_network`.

    Raises UserError for a name, an option or a size that does not fit.
    """
    shapes = [sides(size) for size in sizes]
    for height, width in shapes:
        if {type(height), type(width)} != {int} or min(height, width) < MIN_SIDE:
            raise UserError(f"a network takes sides of at least {MIN_SIDE}, not {height}×{width}")
    networks = [
        _cost(find(model).name, shape, backbone, context, context_options, classes)
        for model in models
        for shape in shapes
    ]
    return NetworkCosts(backbone, classes, tuple(networks))


def _cost(
    model: str,
    size: tuple[int, int],
    backbone: str,
    context: str | None,
    context_options: Mapping[str, Any],
    classes: int,
) -> NetworkCost:
    fast = partial(
        build_network,
        model,
        classes,
        backbone=backbone,
        context=context,
        context_options=context_options,
        crop=size,
        auxiliary=False,
    )
    shape = (1, 3, *size)
    recorded = trace(fast, shape)
    leaves = leaf_rule.count(partial(_published, fast), shape)["leaves"]
    backbone_macs = sum(
        share.macs for share in views.by_module(recorded) if share.key.startswith(INSIDE_BACKBONE)
    )
    # asked of a backbone alone, since a trace knows only the parameters of the whole network
    backbone_params = sum(parameter.numel() for parameter in body(backbone).parameters())
    return NetworkCost(
        model=model,
        height=size[0],
        width=size[1],
        backbone=backbone,
        classes=classes,
        backbone_macs=backbone_macs,
        backbone_params=backbone_params,
        increment_macs=views.macs(recorded) - backbone_macs,
        increment_leaf_flops=sum(
            flops for path, (flops, _) in leaves.items() if not path.startswith(INSIDE_BACKBONE)
        ),
        head_params=recorded.params - backbone_params,
        peak_infer_bytes=views.peak_bytes(recorded),
        context=context or "",
        context_options=context_options,
    )


def _published(build: Callable[[], nn.Module]) -> nn.Module:
    with in_published_form():
        return build()
