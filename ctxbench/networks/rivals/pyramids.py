"""Heads that put blocks of several scales beside C5: APCNet and DMNet.

The authors' code of both is a head of mmsegmentation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.names import conv_bn, mmsegmentation
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, classifier, conv


class APCNet(nn.Module):
    """Adaptive context modules of four scales, each of C5 itself, beside C5; 3×3, classifier.

    He et al., Adaptive Pyramid Context Network for Semantic Segmentation, CVPR 2019.

    ``scales`` are the sub-regions along each axis, ``fusion`` ends each module with a 1×1.
    """

    RELEASED = (
        mmsegmentation(
            {
                **{
                    f"acm_modules.*.{theirs}": f"context.scales.*.{ours}"
                    for theirs, ours in {
                        "pooled_redu_conv": "pooled",
                        "input_redu_conv": "reduced",
                        "global_info": "global_info",
                        "gla": "affinity",
                        "residual_conv": "residual",
                        "fusion_conv": "fusion",
                    }.items()
                },
                "bottleneck": "context.bottleneck",
            }
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        scales: Sequence[int] = (1, 2, 3, 6),
        fusion: bool = True,
        implementation: str = "fast",
    ) -> None:
        super().__init__()
        options = {"pool_scales": scales, "fusion": fusion, "implementation": implementation}
        self.context = block("apcnet", in_channels[3], size, width=channels, **options)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        logits: Tensor = self.classify(self.context(features[3]))  # (N, C, h, w) to (N, K, h, w)
        return logits


class DMNet(nn.Module):
    """Dynamic convolutions of four filter sizes, each of C5 itself, beside C5; 3×3, classifier.

    He et al., Dynamic Multi-Scale Filters for Semantic Segmentation, ICCV 2019.

    ``filters`` are the filters' sides, ``fusion`` ends each module with a 1×1.
    """

    RELEASED = (
        mmsegmentation(
            {
                **{
                    f"dcm_modules.*.{theirs}": f"contexts.*.{ours}"
                    for theirs, ours in {
                        "filter_gen_conv": "filter",
                        "input_redu_conv": "reduce",
                        "norm": "norm",
                        "fusion_conv": "fusion",
                    }.items()
                },
                **conv_bn("bottleneck", "fuse"),
            }
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        filters: Sequence[int] = (1, 3, 5, 7),
        fusion: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(filters, Sequence) or not filters:
            raise UserError(
                f"DMNet's filters are the sides of one or more, such as [1, 3, 5, 7], not {filters!r}"
            )
        self.contexts = nn.ModuleList(
            block("dcm", in_channels[3], size, filter_size=side, width=channels, fusion=fusion)
            for side in filters
        )
        self.fuse = conv(in_channels[3] + len(self.contexts) * channels, channels, 3)
        self.classify = classifier(channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        x = features[3]  # (N, 2048, h, w)
        fused = self.fuse(torch.cat([x, *(context(x) for context in self.contexts)], dim=1))  # (N, C, h, w)
        logits: Tensor = self.classify(fused)  # (N, K, h, w)
        return logits
