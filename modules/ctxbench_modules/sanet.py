"""Shuffle attention (SA).

Qing-Long Zhang, Yu-Bin Yang. SA-Net: Shuffle Attention for Deep Convolutional Neural Networks. ICASSP 2021.
Paper: https://arxiv.org/abs/2102.00240
Official code: https://github.com/wofmanaf/SA-Net (no licence)

N is the batch size, C the number of channels, H×W the map, G the groups of C/G channels each. X₁ and X₂ are
the two halves of a group, C/(2G)×H×W each; the weights w and biases b have a number a channel of the half,
and all groups share them::

    X₁' = X₁ ⊙ σ(w₁ ⊙ mean over positions of X₁ + b₁)      C/(2G)×H×W    channel attention
    X₂' = X₂ ⊙ σ(w₂ ⊙ GN(X₂) + b₂)                         C/(2G)×H×W    spatial attention
    Y = shuffle([X₁', X₂'] of all groups)                  C×H×W

GN normalises each channel of a sample over its positions; it has a weight and a bias of its own. The shuffle
takes channels from the first and the second half of all C in turns. The w start at zero, the b at one.

Differs from the paper: nothing.

Differs from the released code: where C/2 is no multiple of 64, ``groups`` is by default their greatest common
divisor.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The parameters here, and what the authors call them.
_RELEASED = {
    "channel_weight": "cweight",
    "channel_bias": "cbias",
    "spatial_weight": "sweight",
    "spatial_bias": "sbias",
    "norm.weight": "gn.weight",
    "norm.bias": "gn.bias",
}


class ShuffleAttention(nn.Module):
    """Shuffle attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C, even.
        groups: G, a divisor of C/2; where not given 64, or the greatest common divisor of 64 and C/2.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, groups: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 2 or channels % 2:
            raise ValueError(f"channels must be an even integer of at least 2, got {channels!r}")
        groups = math.gcd(64, channels // 2) if groups is None else groups
        if not isinstance(groups, int) or groups < 1 or channels // 2 % groups:
            raise ValueError(
                f"groups must be a divisor of half the channels, {channels // 2}, got {groups!r}"
            )
        self.in_channels = self.out_channels = channels
        self.groups = groups
        half = channels // (2 * groups)
        self.channel_weight = nn.Parameter(torch.zeros(1, half, 1, 1))
        self.channel_bias = nn.Parameter(torch.ones(1, half, 1, 1))
        self.spatial_weight = nn.Parameter(torch.zeros(1, half, 1, 1))
        self.spatial_bias = nn.Parameter(torch.ones(1, half, 1, 1))
        self.norm = nn.GroupNorm(half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        grouped = x.reshape(len(x) * self.groups, -1, *x.shape[2:])  # (N·G, C/G, H, W)
        first, second = grouped.chunk(2, dim=1)  # (N·G, C/2G, H, W) each
        means = first.mean((2, 3), keepdim=True)  # (N·G, C/2G, 1, 1)
        first = first * (self.channel_weight * means + self.channel_bias).sigmoid()
        second = second * (self.spatial_weight * self.norm(second) + self.spatial_bias).sigmoid()
        both = torch.cat([first, second], dim=1).view(len(x), 2, -1, *x.shape[2:])  # (N, 2, C/2, H, W)
        return both.transpose(1, 2).reshape(x.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``sa_layer``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(_RELEASED.values()) - set(state), set(state) - set(_RELEASED.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in _RELEASED.items()})
