"""Contextual transformer block (CoT).

Yehao Li, Ting Yao, Yingwei Pan, Tao Mei. Contextual Transformer Networks for Visual Recognition. TPAMI 2022.
Paper: https://arxiv.org/abs/2107.12292
Official code: https://github.com/JDAI-CV/CoTNet (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, k×k the neighbourhood; the W are 1×1 convolutions.
X is the input; i runs over the k² positions p + i around a position p::

    K₁ = ReLU(BN(F X))                                 C×H×W         static context, F k×k in four groups
    A = GN(W₂ ReLU(BN(W₁ [X, K₁])) + b₂)               k²·C/8×H×W    W₁ to C/2 channels; GN of C/8 groups
    V = BN(W_v X)                                      C×H×W
    K₂ = swish(BN(Σ_i A(c mod C/8, i, p) V(c, p + i)))    C×H×W      dynamic context
    z = W₄ ReLU(BN(W₃ (mean over positions of K₁ + K₂) + b₃)) + b₄     2×C
    Y = z'₂ ⊙ K₂ + z'₁ ⊙ K₁,  z' the soft-max of z over the 2          C×H×W

Outside the map V is zero. W₃ has max(C/2, 32) channels.

Differs from the paper: it writes of heads; as in the released code, channel c reads the weights c mod C/8,
which are not soft-maxed.

Differs from the released code: its local convolution is a CUDA kernel, here a sum over the k² shifts of V.
With a batch of one sample, training normalises the pooled vector with the running statistics, where it would
raise. Where C is no multiple of 8, or of the four groups, their greatest common divisor takes its place.
"""

import math
from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "static": "key_embed",
    "weigh": "embed",
    "value": "conv1x1",
    "bn": "bn",
    "fuse": "se",
}


class CoT(nn.Module):
    """Contextual transformer block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        kernel_size: k, odd.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        self.in_channels = self.out_channels = channels
        self.kernel_size = kernel_size
        self.shared = math.gcd(8, channels)  # channels that read the same weights
        half, weighed = max(1, channels // 2), channels // self.shared
        groups, padding = math.gcd(4, channels), kernel_size // 2
        self.static = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size, padding=padding, groups=groups, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(2 * channels, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, kernel_size**2 * weighed, 1),
            nn.GroupNorm(weighed, kernel_size**2 * weighed),
        )
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.bn = nn.BatchNorm2d(channels)
        inner = max(channels // 2, 32)
        self.fuse = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner), nn.ReLU(), nn.Conv2d(inner, 2 * channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        static = self.static(x)  # (N, C, H, W)
        weights = self.weigh(torch.cat([x, static], dim=1))  # (N, k²·C/8, H, W)
        dynamic = functional.silu(self.bn(self._aggregate(self.value(x), weights)))  # (N, C, H, W)
        pooled = (dynamic + static).mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        reduce, bn, relu, expand = self.fuse
        z = reduce(pooled)  # (N, C', 1, 1)
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and len(z) == 1:
            z = functional.batch_norm(z, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            z = bn(z)
        shares = expand(relu(z)).view(len(x), -1, 2, 1, 1).softmax(dim=2)  # (N, C, 2, 1, 1)
        y: Tensor = dynamic * shares[:, :, 0] + static * shares[:, :, 1]  # (N, C, H, W)
        return y

    def _aggregate(self, v: Tensor, weights: Tensor) -> Tensor:
        """Values (N, C, H, W) and weights (N, k²·C/8, H, W) to the sum over the shifts i, (N, C, H, W)."""
        batch, channels, height, width = v.shape
        k, reach = self.kernel_size, self.kernel_size // 2
        grouped = v.reshape(batch, self.shared, -1, height, width)  # (N, 8, C/8, H, W)
        padded = functional.pad(grouped, (reach, reach, reach, reach))  # (N, 8, C/8, H+k-1, W+k-1)
        taps = weights.view(batch, 1, channels // self.shared, k * k, height, width)  # (N, 1, C/8, k², H, W)
        y = torch.zeros_like(grouped)  # (N, 8, C/8, H, W)
        for tap, (i, j) in zip(taps.unbind(3), product(range(k), repeat=2), strict=True):
            y = torch.addcmul(y, tap, padded[..., i : i + height, j : j + width])
        return y.view(v.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``CotLayer``.

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
