"""Atrous spatial pyramid pooling (ASPP) of DeepLabV3 and V3+.

Liang-Chieh Chen, George Papandreou, Florian Schroff, Hartwig Adam. Rethinking Atrous Convolution for Semantic
Image Segmentation. 2017.
Paper: https://arxiv.org/abs/1706.05587. DeepLabV3+ has it too: https://arxiv.org/abs/1802.02611
Official code: https://github.com/tensorflow/models/tree/master/research/deeplab (TensorFlow); no recording of
it is held here.

N is the batch size, C the number of channels, H×W the map, D = 256 the channels of every branch. X is the
input, C×H×W (section 3.3)::

    y_0 = ReLU(BN(1×1 of X))                              D×H×W
    y_i = ReLU(BN(3×3 of X at dilation rate_i))           D×H×W   i = 1, 2, 3
    y_4 = ReLU(BN(1×1 of the mean of X over positions))   D×1×1   image-level features, laid out over H×W
    Y   = ReLU(BN(1×1 of [y_0; y_1; y_2; y_3; y_4]))      D×H×W

Differs from the paper: nothing it states. As in the released code, no convolution has a bias and a ReLU
follows each batch normalisation; the image-level features, one value per channel, are repeated, which is what
their bilinear upsampling gives.

Differs from the released code: no dropout (keep 0.9) at the end, which is left to the network; y_4 is the
last of the concatenation and there the first; batch normalisation moves its statistics by torch's 0.1 and
there by 0.0003; and in training mode a batch normalisation that sees one value per channel (y_4 at batch 1)
has no batch statistics; it then uses its running ones. The option of separable 3×3 convolutions is not here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBN(nn.Module):
    """A 1×1 convolution (``dilation=0``), or a 3×3 at that dilation, without bias; batch norm; ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=3 if dilation else 1,
            padding=dilation,
            dilation=dilation or 1,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y, bn = self.conv(x), self.bn  # (N, D, H, W)
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and y.numel() == y.shape[1]:
            y = functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            y = bn(y)
        out: Tensor = self.relu(y)
        return out


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: (N, C, H, W) to (N, ``width``, H, W).

    Args:
        channels: C.
        width: D; C // 8 where not given (256 of 2048 as published).
        rates: the dilations of the 3×3 convolutions; the default is for output stride 16, and the paper
            doubles it at output stride 8.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, width: int | None = None, rates: Sequence[int] = (6, 12, 18)
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        width = max(1, channels // 8) if width is None else width
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be an integer of at least 1, got {width!r}")
        if (
            not isinstance(rates, Sequence)
            or not rates
            or any(not isinstance(r, int) or r < 1 for r in rates)
        ):
            raise ValueError(f"rates must be a sequence of integers of at least 1, got {rates!r}")
        self.in_channels = channels
        self.out_channels = width
        self.local = nn.ModuleList(ConvBN(channels, width, rate) for rate in (0, *rates))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.image = ConvBN(channels, width)
        self.project = ConvBN((len(rates) + 2) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``width``, H, W); ValueError where ``x`` has other channels."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        image = self.image(self.pool(x)).expand(-1, -1, *x.shape[2:])  # (N, D, 1, 1) to (N, D, H, W)
        y: Tensor = self.project(  # (N, D, H, W)
            torch.cat([*(branch(x) for branch in self.local), image], dim=1)  # (N, (len(rates) + 2)·D, H, W)
        )
        return y
