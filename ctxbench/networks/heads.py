"""Segmentation heads: what turns the backbone's features into logits.

A head's forward takes the list [C2, C3, C4, C5] and returns logits (N, K, h, w) at a stride of its own.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from ctxbench.errors import UserError, in_one_line
from ctxbench.networks.resnet import conv_bn_relu, initialise
from ctxbench.subject import bind, registry
from ctxbench.tracing import trace
from ctxbench.tracing.record import DATA_DEPENDENT, Subject

DROPOUT = 0.1
NO_CONTEXT = "none"


class FCNHead(nn.Module):
    """3×3, batch norm, ReLU, dropout, 1×1 classifier, on one of the backbone's outputs, at stride 8.

    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, in the form that PSPNet
    (CVPR 2017) gave the auxiliary branch.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: those after the 3×3; by default a quarter of its input's.
        level: which output it reads; 3 is C5, and 2 is C4, the auxiliary head's.

    """

    def __init__(
        self,
        in_channels: tuple[int, int, int, int],
        classes: int,
        *,
        channels: int | None = None,
        level: int = 3,
    ) -> None:
        super().__init__()
        self.level = level
        inner = channels or in_channels[level] // 4
        self.reduce = nn.Sequential(*conv_bn_relu(in_channels[level], inner, 3))
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(inner, classes, 1))
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        logits: Tensor = self.classify(self.reduce(features[self.level]))
        return logits


class GlobalPooling(nn.Module):
    """The global pooling module, GPM (section 3.4): global average pooling and a 1×1, over the whole map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W), the same in every position."""
        pooled: Tensor = self.conv(self.pool(x))
        return pooled.expand_as(x)


class ContextHead(nn.Module):
    """The RecoNet head (section 3.5), with any context module in the place of TGM+TRM.

    C5 is reduced by a 3×3 to X. X, the context module of X and the global pooling of X are concatenated, and
    fused by a 1×1; the paper writes the last step as "the final prediction", and its printed cost (Table 9)
    has this 1×1 of 1536 to 512 channels in it.

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
        if context == NO_CONTEXT and context_options:
            raise UserError(f"without a context module there is nothing to give {', '.join(context_options)}")
        self.reduce = nn.Sequential(*conv_bn_relu(in_channels[3], channels, 3))
        self.global_pool = GlobalPooling(channels) if global_pool else None
        self.context: nn.Module | None = None
        parts = channels * (2 if global_pool else 1)
        built = None
        if context != NO_CONTEXT:
            build = partial(bind.build, context, channels, size, **context_options)
            built = build()
            # made of fake tensors, inside a trace of the network, it can be built again but not copied
            subject = build if isinstance(torch.empty(0), FakeTensor) else built
            known = getattr(built, "out_channels", None) if context in registry.SPECS else None
            parts += known or _out_channels(subject, context, (1, channels, *size))
        self.fuse = nn.Sequential(*conv_bn_relu(parts, channels, 1))
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(channels, classes, 1))
        initialise(self)
        self.context = built  # only now: it has initialised itself

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        x = self.reduce(features[3])
        parts = [x]
        if self.context is not None:
            parts.append(self.context(x))
        if self.global_pool is not None:
            parts.append(self.global_pool(x))
        logits: Tensor = self.classify(self.fuse(torch.cat(parts, 1)))
        return logits


def _out_channels(context: Subject, name: str, shape: tuple[int, int, int, int]) -> int:
    """Return C' of a context module by trying it on ``shape``, without computing it."""
    try:
        out = trace(context, shape).output_shape
    except (UserError, *DATA_DEPENDENT):  # whoever builds it among fake tensors builds it for real then
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{name} fails on an input of {shape}: {in_one_line(error)}") from error
    if out[2:] != shape[2:]:
        raise UserError(f"{name} maps {shape} to {out}; in a head it must keep (h, w)")
    return out[1]
