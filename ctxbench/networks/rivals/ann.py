"""ANN's head: C5 asks C4 in an asymmetric fusion block, and itself in an asymmetric pyramid block.

Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV 2019. Authors' code:
MendelXu/ANN (Apache-2.0).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ctxbench.networks.names import Names, conv_bn, mmsegmentation
from ctxbench.networks.published import block
from ctxbench.networks.rivals.layers import Channels, Size, conv, fresh


def _authors(theirs: str, ours: str, norm: str) -> dict[str, str]:
    """Their names of a block, and ours; ``norm`` is what they call the last batch norm."""
    layers = {"stages.0.f_value": "value", "stages.0.W": "out", "conv_bn_dropout.0": "fuse.conv"}
    for name in ("key", "query"):
        layers |= {f"stages.0.f_{name}.0": f"{name}.conv", f"stages.0.f_{name}.1.0": f"{name}.bn"}
    layers[norm] = "fuse.bn"
    return {f"{theirs}.{layer}": f"{ours}.{name}" for layer, name in layers.items()}


def _mmsegmentations(theirs: str, ours: str) -> dict[str, str]:
    layers = {"stages.0.value_project": "value", "stages.0.out_project": "out", "bottleneck": "fuse"}
    layers |= {f"stages.0.{name}_project": name for name in ("key", "query")}
    return {f"{theirs}.{layer}": f"{ours}.{name}" for layer, name in layers.items()}


BEFORE_NORMS = (
    "head.reduce.0",
    "auxiliary.reduce.0",
    *(f"head.{block}.{layer}.conv" for block in ("fusion", "context") for layer in ("key", "query", "fuse")),
)
"""Convolutions with a bias here, and with the authors, that mmsegmentation has without."""


class ANN(nn.Module):
    """Asymmetric fusion of C5 with C4, 3×3, asymmetric pyramid attention, classifier.

    ``key_channels`` are those of queries, keys and values of both blocks, by default 256 as published (an
    eighth of C5's, half of the 3×3's); ``pools`` are the grids that keys and values are averaged on.

    Differs from the released code: its script trains with the cross entropy of the pixels that are hardest
    alone, its configurations name the usual one, which is taken here.
    """

    RELEASED = (
        Names(
            "its authors",
            {
                **_authors("fusion", "head.fusion", "conv_bn_dropout.1"),
                "context.0": "head.reduce.0",
                "context.1.0": "head.reduce.1",
                **_authors("context.2", "head.context", "conv_bn_dropout.1.0"),
                "cls": "head.classify.0",
                "dsn.0": "auxiliary.reduce.0",
                "dsn.1.0": "auxiliary.reduce.1",
                "dsn.3": "auxiliary.classify.1",
            },
        ),
        mmsegmentation(
            {
                **_mmsegmentations("fusion", "fusion"),
                **conv_bn("bottleneck", "reduce"),
                **_mmsegmentations("context", "context"),
                "conv_seg": "classify.0",
            },
            zero=BEFORE_NORMS,
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        key_channels: int | None = None,
        pools: Sequence[int] = (1, 3, 6, 8),
        implementation: str = "fast",
    ) -> None:
        super().__init__()
        options = {
            "key_channels": key_channels,
            "value_channels": key_channels,
            "psp_sizes": pools,
            "implementation": implementation,
        }
        self.fusion = block("afnb", in_channels[3], size, low_channels=in_channels[2], **options)
        self.reduce = conv(in_channels[3], channels, 3, bias=True)
        self.context = block("apnb", channels, size, **options)
        self.classify = fresh(nn.Conv2d(channels, classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """[C2, C3, C4, C5] to (N, K, h, w)."""
        fused = self.fusion(features[3], features[2])  # (N, 2048, h, w)
        attended = self.context(self.reduce(fused))  # (N, C, h, w)
        logits: Tensor = self.classify(attended)  # (N, K, h, w)
        return logits
