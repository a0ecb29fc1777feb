"""Heads that frame one context block: 3×3, block, 3×3, fused with C5 by a 3×3, and classified."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ctxbench.networks.names import Names, conv_bn, mmsegmentation
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv


def _authors(head: str, inside: Mapping[str, str], note: str = "") -> Names:
    """The names of DNLNet's authors, of a head that they call ``head``; ``inside`` are the block's."""
    return Names(
        "DNLNet's authors",
        {
            f"{head}.conva.0": "head.context.0.0",
            f"{head}.conva.1.0": "head.context.0.1",
            **{f"{head}.ctb.{theirs}": f"head.context.1.{ours}" for theirs, ours in inside.items()},
            f"{head}.convb.0": "head.context.2.0",
            f"{head}.convb.1.0": "head.context.2.1",
            f"{head}.bottleneck.0": "head.fuse.0",
            f"{head}.bottleneck.1.0": "head.fuse.1",
            f"{head}.bottleneck.3": "head.classify.1",
            "dsn.0.conv": "auxiliary.reduce.0",
            "dsn.0.bn_relu.0": "auxiliary.reduce.1",
            "dsn.2": "auxiliary.classify.1",
        },
        note=note,
    )


def _mmsegmentations(inside: Mapping[str, str], note: str = "") -> Names:
    """The names of the frame in mmsegmentation; ``inside`` are those of the block's layers."""
    return mmsegmentation(
        {
            **conv_bn("convs.0", "context.0"),
            **{theirs: f"context.1.{ours}" for theirs, ours in inside.items()},
            **conv_bn("convs.1", "context.2"),
            **conv_bn("conv_cat", "fuse"),
        },
        note=note,
    )


class Framed(nn.Module):
    """The frame; what is in it, a subclass says.

    Args:
        in_channels: channels of C2 to C5.
        classes: K.
        channels: C.
        size: (h, w) of C5.
        options: of the block.

    """

    block: ClassVar[str]
    published: ClassVar[Mapping[str, Any]] = {}
    """The block's options, where the network's differ from the block's own defaults."""

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
        self.context = nn.Sequential(
            conv(in_channels[3], channels, 3),
            block(self.block, channels, size, **{**self.published, **options}),
            conv(channels, channels, 3),
        )
        self.fuse = conv(in_channels[3] + channels, channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        x = features[3]  # (N, 2048, h, w)
        fused = self.fuse(torch.cat([x, self.context(x)], dim=1))  # (N, 2048 + C, h, w) to (N, C, h, w)
        logits: Tensor = self.classify(fused)  # (N, K, h, w)
        return logits


class CCNet(Framed):
    """Recurrent criss-cross attention in the frame.

    Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV 2019.

    The paper leaves the fusion open ("one or several" convolutions); this is the authors' code.
    """

    block = "rcca"


class GCNet(Framed):
    """The global context block in the frame, its bottleneck of C/4.

    Cao et al., GCNet: Non-Local Networks Meet Squeeze-Excitation Networks and Beyond, ICCV Workshops 2019.

    That paper is on detection. The head is of its authors' later repository, DNLNet's.
    """

    RELEASED = (
        _authors("gcb", {"conv_mask": "mask", "channel_add_conv": "add", "channel_mul_conv": "multiply"}),
        _mmsegmentations(
            {
                "gc_block.conv_mask": "mask",
                "gc_block.channel_add_conv": "add",
                "gc_block.channel_mul_conv": "multiply",
            }
        ),
    )
    block = "gc"
    published: ClassVar[Mapping[str, Any]] = {"reduction": 4}


class DNLNet(Framed):
    """The disentangled non-local block in the frame.

    Yin et al., Disentangled Non-Local Neural Networks, ECCV 2020.

    The block is the paper's: without temperature and scale. Two other forms are released: the authors'
    configurations take one mean of a whole image off queries and keys, ``whiten="image"``; mmsegmentation's
    block is ``temperature=0.05, scale=True, project=True, norm=True, gate=False``. As released, queries' and
    keys' weights do not decay.
    """

    RELEASED = (
        _authors(
            "nlm",
            {
                "gamma": "gamma",
                "out_bn": "norm",
                **{f"conv_{layer}": layer for layer in ("query", "key", "value", "mask", "out")},
            },
            "their configurations have whiten=image",
        ),
        _mmsegmentations(
            {
                "dnl_block.theta.conv": "query",
                "dnl_block.phi.conv": "key",
                "dnl_block.g.conv": "value",
                "dnl_block.conv_mask": "mask",
                "dnl_block.conv_out.conv": "out",
                "dnl_block.conv_out.bn": "norm",
            },
            "its block has temperature=0.05, scale, project and norm true, and gate false",
        ),
    )
    block = "dnl"
    published: ClassVar[Mapping[str, Any]] = {"temperature": 1, "scale": False}
