"""Segmentation heads: what turns the backbone's features into logits.

A head's forward takes the list [C2, C3, C4, C5] and returns logits (N, K, h, w) at a stride of its own.

N images, K classes, C channels; C2 to C5 are the backbone's features, see
:class:`~ctxbench.networks.resnet.ResNet`, and h × w is the size of C5, an eighth of the image's.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from ctxbench.errors import UserError
from ctxbench.networks.published import block
from ctxbench.networks.resnet import conv_bn_relu, initialise
from ctxbench.subject import bind
from ctxbench.subject.case import Case
from ctxbench.tracing import trace_case
from ctxbench.tracing.record import Subject

DROPOUT = 0.1
NO_CONTEXT = "none"
SET_BY_HEAD = {"channels", "size"}
"""What the context module is given by the head, and not by its options."""


class FCNHead(nn.Module):
    """3×3, batch norm, ReLU, dropout, 1×1 classifier, on one of the backbone's outputs, at stride 8.

    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, in the form that PSPNet
    (CVPR 2017) gave the auxiliary branch.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: those after the 3×3; by default a quarter of its input's.
        level: which output it reads; 3 is C5, and 2 is C4, the auxiliary head's.
        bias: whether the 3×3 has one, although a batch norm follows.
        dropout: the probability of dropping what comes before the classifier.
        by_channel: whether whole channels are dropped out, or single elements.

    """

    def __init__(
        self,
        in_channels: tuple[int, int, int, int],
        classes: int,
        *,
        channels: int | None = None,
        level: int = 3,
        bias: bool = False,
        dropout: float = DROPOUT,
        by_channel: bool = False,
    ) -> None:
        super().__init__()
        self.level = level
        inner = channels or in_channels[level] // 4
        self.reduce = nn.Sequential(*conv_bn_relu(in_channels[level], inner, 3, bias=bias))
        drop = nn.Dropout2d(dropout) if by_channel else nn.Dropout(dropout)
        self.classify = nn.Sequential(drop, nn.Conv2d(inner, classes, 1))
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        x = self.reduce(features[self.level])  # (N, channels, h, w)
        logits: Tensor = self.classify(x)  # (N, K, h, w)
        return logits


class GlobalPooling(nn.Module):
    """The global pooling module, GPM (section 3.4): global average pooling and a 1×1, over the whole map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, h, w), the same in every position."""
        pooled: Tensor = self.conv(self.pool(x))  # (N, C, 1, 1)
        return pooled.expand_as(x)  # (N, C, h, w)


class ContextHead(nn.Module):
    """The RecoNet head (section 3.5), with any context module in the place of TGM+TRM.

    C5 is reduced by a 3×3 to X. X, the context module of X and the global pooling of X are concatenated, and
    fused by a 1×1 of 1536 to 512 channels, which the paper takes together with the classifier as "the final
    prediction". The paper is silent on the 3×3, on batch norm and ReLU after either, and on the dropout of
    0.1 before the classifier. The released head has no global pooling: its 1×1 takes X and TGM+TRM's map,
    1024 channels; and its dropout, of 0.05, is of whole channels.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: those of X and of the fusion.
        context: a name in the registry, ``path/to/file.py:Class``, ``package.module:Class``, or "none".
        context_options: its options, ``implementation`` among them.
        global_pool: whether the global pooling module is there.
        size: (h, w) of C5 at the training crop, for a context module whose weights depend on it.

    Raises:
        UserError: the context module cannot be built, or does not map (N, C, h, w) to (N, C', h, w).

    """

    def __init__(
        self,
        in_channels: tuple[int, int, int, int],
        classes: int,
        *,
        channels: int = 512,
        context: str = "reconet",
        context_options: Mapping[str, Any] = {},
        global_pool: bool = True,
        size: tuple[int, int] = (64, 64),
    ) -> None:
        super().__init__()
        self.reduce = nn.Sequential(*conv_bn_relu(in_channels[3], channels, 3))
        self.global_pool = GlobalPooling(channels) if global_pool else None
        self.context: nn.Module | None = None
        module, context_channels = context_block(context, channels, size, context_options)
        parts = channels + context_channels + channels * global_pool
        self.fuse = nn.Sequential(*conv_bn_relu(parts, channels, 1))
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(channels, classes, 1))
        # the context module comes in after this, because its constructor has given it the weights that its
        # own paper says, which this would overwrite
        initialise(self)
        self.context = module

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        x = self.reduce(features[3])  # (N, C, h, w)
        parts = [x]
        if self.context is not None:
            parts.append(self.context(x))  # (N, C', h, w)
        if self.global_pool is not None:
            parts.append(self.global_pool(x))  # (N, C, h, w)
        fused = self.fuse(torch.cat(parts, 1))  # (N, C + C' + C, h, w) to (N, C, h, w)
        logits: Tensor = self.classify(fused)  # (N, K, h, w)
        return logits


def context_block(
    name: str, channels: int, size: tuple[int, int], options: Mapping[str, Any]
) -> tuple[nn.Module | None, int]:
    """Build a context module for (N, ``channels``, h, w); return it and how many channels it gives.

    Raises UserError as :class:`ContextHead` does.
    """
    if name == NO_CONTEXT:
        if options:
            raise UserError(f"without a context module there is nothing to give {', '.join(options)}")
        return None, 0
    if bind.is_built_in(name):
        if taken := SET_BY_HEAD & options.keys():
            raise UserError(
                f"the head sets its context module's {' and '.join(sorted(taken))}: leave that out"
            )
        ours = block(name, channels, size, **options)
        return ours, cast(int, ours.out_channels)
    build = partial(bind.build_of_map, name, channels, size, options)
    module = build()
    # inside a trace of the whole network the module is of fake tensors, and copy.deepcopy, by which a trace
    # keeps its subject untouched, fails on those: the trace then builds its own
    is_fake = isinstance(torch.empty(0), FakeTensor)
    return module, _traced_channels(build if is_fake else module, name, (1, channels, *size))


def _traced_channels(context: Subject, name: str, shape: tuple[int, int, int, int]) -> int:
    """C' of a context module that maps ``shape`` to (N, C', h, w), without computing its output."""
    out = trace_case(Case(name, *shape[1:]), subject=context).output_shape
    if len(out) != 4:
        raise UserError(f"{name} maps {shape} to {out}; in a head it must return a map (N, C', h, w)")
    if out[2:] != shape[2:]:
        raise UserError(f"{name} maps {shape} to {out}; in a head it must keep (h, w)")
    return out[1]
