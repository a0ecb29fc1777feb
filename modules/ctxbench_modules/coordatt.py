"""Coordinate attention.

Qibin Hou, Daquan Zhou, Jiashi Feng. Coordinate Attention for Efficient Mobile Network Design. CVPR 2021.
Paper: https://arxiv.org/abs/2103.02907
Official code: https://github.com/Andrew-Qibin/CoordAttention (MIT)

N is the batch size, C the number of channels, H×W the map, and M = max(8, C/r) the channels of the
bottleneck; a W with an index is the weight of a 1×1 convolution. X is the input, C×H×W (section 3.2)::

    z_h = mean over each row of X,  z_w = mean over each column of X      C×H, C×W      (eq. 4, 5)
    [f_h, f_w] = δ(BN(W₁ [z_h, z_w] + b₁))                                M×H, M×W      (eq. 6)
    g_h = σ(W_h f_h + b_h),  g_w = σ(W_w f_w + b_w)                       C×H, C×W      (eq. 7, 8)
    Y(c, i, j) = X(c, i, j) · g_h(c, i) · g_w(c, j)                       C×H×W         (eq. 9)

δ is the hard swish, x · min(max(x + 3, 0), 6)/6.

Differs from the paper: the bottleneck has at least 8 channels, as in the released code.

Differs from the released code: nothing; the 8 is not an option there either.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class CoordinateAttention(nn.Module):
    """Coordinate attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        reduction: r; the bottleneck has at least eight channels.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, reduction: int = 32) -> None:
        super().__init__()
        width = max(8, _at_least_one("channels", channels) // _at_least_one("reduction", reduction))
        self.in_channels = self.out_channels = channels
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(width, channels, 1)
        self.conv_w = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        rows = x.mean(3, keepdim=True)  # (N, C, H, 1)
        columns = x.mean(2, keepdim=True).mT  # (N, C, W, 1)
        pooled = torch.cat([rows, columns], dim=2)  # (N, C, H+W, 1)
        features = self.act(self.bn1(self.conv1(pooled)))  # (N, M, H+W, 1)
        of_rows, of_columns = features.split([x.shape[2], x.shape[3]], dim=2)  # (N, M, H, 1), (N, M, W, 1)
        y: Tensor = x * self.conv_w(of_columns.mT).sigmoid() * self.conv_h(of_rows).sigmoid()
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)
