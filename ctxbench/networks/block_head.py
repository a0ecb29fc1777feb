"""A head around any block, as a subject: ``head(2048, 512, nonlocal, concat=True)``.

Papers print what a block costs with the layers that they put around it. N images, C channels, h × w the size
of the features.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.heads import context_block
from ctxbench.networks.resnet import conv_bn_relu
from ctxbench.subject import bind
from ctxbench.subject.registry import SINGLE


class Head(nn.Module):
    """3×3 to ``width``, the block, and where asked for concatenation with a fusing 1×1, and a classifier.

    Args:
        channels: C of the features.
        width: channels after the 3×3, which the block is given.
        block: a subject, ``nonlocal`` or ``emau(bases=32)``.
        concat: whether the block's output is concatenated with its input, and fused to ``width`` by a 1×1.
        classes: those of a 1×1 classifier at the end; 0 for none.
        size: (h, w), for a block whose weights depend on it.
        implementation: the block's, where it has two forms.

    Raises:
        UserError: the block cannot be built, or does not map (N, ``width``, h, w) to (N, C', h, w).

    """

    def __init__(
        self,
        channels: int,
        width: int,
        block: str,
        *,
        concat: bool = False,
        classes: int = 0,
        size: tuple[int, int] = (64, 64),
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        for name, value, least in (("channels", channels, 1), ("width", width, 1), ("classes", classes, 0)):
            if not isinstance(value, int) or value < least:
                raise UserError(f"head: {name} must be an integer of at least {least}, not {value!r}")
        self.in_channels, self.implementation = channels, implementation
        self.reduce = nn.Sequential(*conv_bn_relu(channels, width, 3))
        options = {} if bind.implementations(block) == (SINGLE,) else {"implementation": implementation}
        module, given = context_block(block, width, size, options)
        if module is None:
            raise UserError(f"head: {block!r} is no block")
        self.block = module
        self.fuse = nn.Sequential(*conv_bn_relu(width + given, width, 1)) if concat else None
        features = width if concat else given
        self.classify = nn.Conv2d(features, classes, 1) if classes else None
        self.out_channels = classes or features

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, ``width``, h, w), without ``concat`` the block's channels; or the classes."""
        reduced = self.reduce(x)  # (N, width, h, w)
        y: Tensor = self.block(reduced)  # (N, C', h, w)
        if self.fuse is not None:
            y = self.fuse(torch.cat((reduced, y), 1))  # (N, width + C', h, w) to (N, width, h, w)
        return y if self.classify is None else self.classify(y)  # (N, classes, h, w)
