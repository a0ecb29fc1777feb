"""Networks as they are counted: blocks in their authors' operation order, backbones without storage."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

from ctxbench.networks.network import build_network
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, feature_size
from ctxbench.subject import bind, registry, resolve


def in_published_form(network: nn.Module, size: tuple[int, int], **options: Any) -> nn.Module:
    """Put the published form of every registered block in the place of its fast one, for counting.

    ``size`` is the (H, W) of the features that the blocks are given, ``options`` are the blocks',
    ``implementation`` perhaps among them. Changes ``network`` and returns it. The new blocks' weights are
    fresh ones, so that what the network computes is another function: it can be counted, not evaluated.
    """
    names = {resolve.load(name).maker: name for name in registry.SPECS}
    # a list, since what it walks over is changed while it walks
    for path, block in list(network.named_modules()):
        if type(block) in names and getattr(block, "implementation", "") == "fast":
            chosen = {**options, "implementation": "published"}
            published = bind.build(names[type(block)], block.in_channels, size, **chosen)
            network.set_submodule(path, published)
    return network


def published_network(
    model: str, classes: int = 21, backbone: str = "resnet101", stem: Stem = "deep"
) -> nn.Module:
    """A whole network as papers count it: without its auxiliary head, its blocks in their published forms.

    Blocks whose weights depend on the size are those of a crop of 512×512. Raises UserError as
    :func:`ctxbench.networks.network.build_network` does.
    """
    network = build_network(model, classes, backbone=backbone, stem=stem, auxiliary=False)
    return in_published_form(network, (feature_size(512), feature_size(512)))


@cache
def body(backbone: str) -> ResNet:
    """A backbone on the meta device, without storage: to ask for its channels and parameters alone."""
    with torch.device("meta"):
        return BACKBONES[backbone]()
