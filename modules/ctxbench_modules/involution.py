"""Involution.

Duo Li, Jie Hu, Changhu Wang, Xiangtai Li, Qi She, Lei Zhu, Tong Zhang, Qifeng Chen. Involution: Inverting the
Inherence of Convolution for Visual Recognition. CVPR 2021.
Paper: https://arxiv.org/abs/2103.06255
Official code: https://github.com/d-li14/involution (MIT)

N is the batch size, C the number of channels, H×W the map, k×k the neighbourhood, r the reduction, G the
groups of C/G channels each, which share a kernel; the W are 1×1 convolutions. X is the input; i runs over
the k² positions p + i around a position p::

    A = W₂ ReLU(BN(W₁ X)) + b₂                          G·k²×H×W    a kernel a position and group, W₁ to C/r
    Y(c, p) = Σ_i A(group of c, i, p) X(c, p + i)       C×H×W

Outside the map X is zero.

Differs from the paper: nothing.

Differs from the released code: it unfolds X into its k² shifts at once; here they are summed one by one,
which is the same to rounding. 16 channels a group and r = 4, which it has fixed, are options; where C is no
multiple of 16, a group has by default their greatest common divisor. Its stride is not here.
"""

import math
from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {"reduce": "conv1.conv", "bn": "conv1.bn", "span": "conv2.conv"}


class Involution(nn.Module):
    """Involution: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        kernel_size: k, odd.
        reduction: r; at least one channel is left.
        group_channels: C/G, a divisor of C; where not given 16, or the greatest common divisor of 16 and C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int = 7,
        reduction: int = 4,
        group_channels: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        if not isinstance(reduction, int) or reduction < 1:
            raise ValueError(f"reduction must be an integer of at least 1, got {reduction!r}")
        shared = math.gcd(16, channels) if group_channels is None else group_channels
        if not isinstance(shared, int) or shared < 1 or channels % shared:
            raise ValueError(f"group_channels must be a divisor of the channels, {channels}, got {shared!r}")
        self.in_channels = self.out_channels = channels
        self.kernel_size = kernel_size
        self.groups = channels // shared
        width = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.span = nn.Conv2d(width, kernel_size**2 * self.groups, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        (height, width), k, reach = x.shape[2:], self.kernel_size, self.kernel_size // 2
        kernels = self.span(functional.relu(self.bn(self.reduce(x))))  # (N, G·k², H, W)
        kernels = kernels.view(len(x), self.groups, 1, k * k, height, width)  # (N, G, 1, k², H, W)
        taps = kernels.unbind(3)
        grouped = x.reshape(len(x), self.groups, -1, height, width)  # (N, G, C/G, H, W)
        padded = functional.pad(grouped, (reach, reach, reach, reach))  # (N, G, C/G, H+k-1, W+k-1)
        y = torch.zeros_like(grouped)  # (N, G, C/G, H, W)
        for tap, (i, j) in zip(taps, product(range(k), repeat=2), strict=True):
            y = torch.addcmul(y, tap, padded[..., i : i + height, j : j + width])
        return y.view(x.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
