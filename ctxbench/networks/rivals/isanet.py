"""ISANet: interlaced sparse self-attention on C5."""

from typing import Any

import torch
from torch import Tensor, nn

from ctxbench.networks.names import Names, mmsegmentation
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, conv, fresh

LEAKY = "their configurations train with leaky ReLUs, of slope 0.01, where ReLUs are here"
_RANGES = ("long_range", "short_range")


def _authors() -> dict[str, str]:
    names = {
        "isa_head.0": "head.reduce.0",
        "isa_head.1.0": "head.reduce.1",
        "isa_head.2.conv_bn.0": "head.context.fuse.conv",
        "isa_head.2.conv_bn.1.0": "head.context.fuse.bn",
        "cls_head": "head.classify.0",
        "dsn_head.0": "auxiliary.reduce.0",
        "dsn_head.1.0": "auxiliary.reduce.1",
        "dsn_head.3": "auxiliary.classify.1",
    }
    for part in _RANGES:
        theirs, ours = f"isa_head.2.stages.0.{part}_sa", f"head.context.{part}"
        names |= {
            f"{theirs}.f_value": f"{ours}.value",
            f"{theirs}.W.0": f"{ours}.out.conv",
            f"{theirs}.W.1.0": f"{ours}.out.bn",
        }
        for layer in ("key", "query"):
            for number, which in enumerate(("first", "second")):
                names[f"{theirs}.f_{layer}.{2 * number}"] = f"{ours}.{layer}.{which}.conv"
                names[f"{theirs}.f_{layer}.{2 * number + 1}.0"] = f"{ours}.{layer}.{which}.bn"
    return names


def _mmsegmentations() -> dict[str, str]:
    names = {
        "in_conv.conv": "reduce.0",
        "in_conv.bn": "reduce.1",
        "out_conv": "context.fuse",
        "conv_seg": "classify.0",
    }
    for theirs, part in zip(("global_relation", "local_relation"), _RANGES, strict=True):
        names[f"{theirs}.value_project"] = f"context.{part}.value"
        names[f"{theirs}.output_project"] = f"context.{part}.out"
        for layer in ("key", "query"):
            for number, which in enumerate(("first", "second")):
                names[f"{theirs}.{layer}_project.{number}"] = f"context.{part}.{layer}.{which}"
    return names


def _from_mmsegmentation(state: dict[str, Tensor]) -> None:
    """Their fusion takes the context first; their values have a bias, which the batch norm takes off again.

    A row of the attention sums to one, so that the bias of the values comes through it as it is, and only
    moves the mean of what the batch norm behind the next convolution is given.
    """
    fuse = "head.context.fuse.conv.weight"
    if fuse in state:
        state[fuse] = torch.cat(state[fuse].chunk(2, dim=1)[::-1], dim=1)  # (C, 2C, 1, 1)
    for part in _RANGES:
        bias = state.pop(f"head.context.{part}.value.bias", None)  # (C,)
        out, mean = (f"head.context.{part}.out.{key}" for key in ("conv.weight", "bn.running_mean"))
        if bias is not None and out in state and mean in state:
            state[mean] = state[mean].double() - state[out].flatten(1).double() @ bias.double()  # (C,)


class ISANet(nn.Module):
    """3×3 of C5, interlaced sparse self-attention, fused with what it was given, classifier.

    Huang et al., Interlaced Sparse Self-Attention for Semantic Segmentation, arXiv 2019.

    Its one dropout is the block's, 0.05 by channel, after the fusion.

    Differs from the released code: its configurations have leaky ReLUs, of slope 0.01, for all ReLUs.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        options: of the block ``isa``: ``down_factor`` and ``key_channels``.

    """

    RELEASED = (
        Names("its authors", _authors(), note=LEAKY),
        mmsegmentation(_mmsegmentations(), rewrite=_from_mmsegmentation),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        **options: Any,
    ) -> None:
        super().__init__()
        self.reduce = conv(in_channels[3], channels, 3)
        self.context = block("isa", channels, size, **{"fuse": True, **options})
        self.classify = fresh(nn.Conv2d(channels, classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        fused = self.context(self.reduce(features[3]))  # (N, C, h, w)
        logits: Tensor = self.classify(fused)  # (N, K, h, w)
        return logits
