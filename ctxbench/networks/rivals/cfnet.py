"""CFNet's head: aggregated co-occurrent features of C5 and their mean, then context encoding.

Zhang et al., Co-Occurrent Features in Semantic Segmentation, CVPR 2019. Authors' code: PyTorch-Encoding
(MIT), whose ``atten.py`` is this network.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError
from ctxbench.networks.names import Names
from ctxbench.networks.published import block
from ctxbench.networks.resnet import initialise
from ctxbench.networks.rivals.encnet import ENCODING, FCN_ON_C4, JOINED, Joined
from ctxbench.networks.rivals.layers import Channels, ForTraining, Size, element_classifier

ACF = {
    "conv_qs": "query",
    "conv_ks": "key",
    "conv_vs": "value",
    "conv": "out",
    "norm_layer": "bn",
    "attention": "mixture",
}
"""The authors' names of the layers of their co-occurrent feature module, which stands in two places."""
PLACES = ("atten", "atten_layers.1")


class OfTheImage(nn.Module):
    """The mean over positions, a 1×1, batch norm, ReLU: (N, C, h, w) to the same, alike in every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        y: Tensor = self.conv(x.mean((2, 3), keepdim=True))  # (N, C, 1, 1)
        y = functional.relu(self._normalised(y))
        return y.expand_as(x)  # (N, C, h, w)

    def _normalised(self, y: Tensor) -> Tensor:
        """One image alone has no variance to norm by: then the running statistics stand."""
        bn = self.bn
        if bn.training and isinstance(bn, nn.BatchNorm2d) and len(y) == 1:
            return functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        normed: Tensor = bn(y)
        return normed


class CFNet(nn.Module):
    """3×3 of C5, co-occurrent features beside those of the image, context encoding, classifier.

    ``lateral`` and ``codes`` are :class:`~ctxbench.networks.rivals.encnet.EncNet`'s, ``heads`` and
    ``mixtures`` the co-occurrent feature module's. ``with_enc`` has the context encoding, of which the
    abstract does not speak, and ``se_loss`` its loss of which classes there are.

    Differs from the released code: odd sizes run. Its option to do without the features of the image, which
    names a variable that it has not, is not here.
    """

    RELEASED = (
        Names(
            "PyTorch-Encoding",
            {
                **JOINED,
                "head.atten_layers.0.gap.1": "head.of_the_image.conv",
                "head.atten_layers.0.gap.2": "head.of_the_image.bn",
                **{
                    f"head.{place}.{theirs}": f"head.context.{ours}"
                    for place in PLACES
                    for theirs, ours in ACF.items()
                },
                "head.conv6": "head.classify",
                **{f"head.encmodule.{theirs}": f"head.encoding.{ours}" for theirs, ours in ENCODING.items()},
                **{f"auxlayer.{theirs}": f"auxiliary.{ours}" for theirs, ours in FCN_ON_C4.items()},
            },
        ),
    )

    def __init__(
        self,
        in_channels: Channels,
        classes: int,
        *,
        channels: int = 512,
        size: Size = (64, 64),
        lateral: bool = False,
        heads: int | None = None,
        mixtures: int = 1,
        with_enc: bool = True,
        codes: int = 32,
        se_loss: bool = False,
        implementation: str = "fast",
    ) -> None:
        super().__init__()
        for name, value in {"with_enc": with_enc, "se_loss": se_loss}.items():
            if not isinstance(value, bool):
                raise UserError(f"{name} is true or false, not {value!r}")
        if se_loss and not with_enc:
            raise UserError("CFNet's se_loss is of its context encoding: leave out with_enc=false")
        self.losses = ("presence",) if se_loss else ()
        self.features = Joined(in_channels, channels, lateral=lateral)
        self.of_the_image = OfTheImage(channels)
        form = {"implementation": implementation}
        self.context = block("acf", channels, size, heads=heads, mixtures=mixtures, **form)
        known = classes if se_loss else None
        self.encoding = (
            block("encoding", 2 * channels, size, codes=codes, classes=known, **form) if with_enc else None
        )
        self.classify = element_classifier(2 * channels, classes)

    def forward(self, features: list[Tensor]) -> Tensor | ForTraining:
        """[C2, C3, C4, C5] to (N, K, h, w); with ``se_loss``, in training mode also ``presence``, (N, K)."""
        x = self.features(features)  # (N, C, h, w)
        x = torch.cat([self.of_the_image(x), self.context(x)], dim=1)  # (N, 2C, h, w)
        others = {}
        if self.losses:
            x, others["presence"] = cast(Any, self.encoding).forward_with_presence(x)  # (N, 2C, h, w), (N, K)
        elif self.encoding is not None:
            x = self.encoding(x)  # (N, 2C, h, w)
        logits: Tensor = self.classify(x)  # (N, K, h, w)
        return (logits, others) if self.training else logits
