"""Efficient multi-scale attention (EMA), which is not EMANet's unit.

Daliang Ouyang, Su He, Guozhong Zhang, Mingzhu Luo, Huaiyong Guo, Jian Zhan, Zhijie Huang. Efficient
Multi-Scale Attention Module with Cross-Spatial Learning. ICASSP 2023.
Paper: https://arxiv.org/abs/2305.13563
Official code: https://github.com/YOLOonMe/EMA-attention-module (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, G the groups of c = C/G
channels each. All groups share the weights. X is a group of the input, c×H×W (section 3)::

    [u, w] = W [mean of each row; mean of each column] + b      c×(H+W)   W a 1×1 convolution
    X₁ = GN(X ⊙ σ(u) ⊙ σ(w))                                    c×H×W     one channel a norm's group
    X₂ = F X + b_F                                              c×H×W     F a 3×3 convolution
    s₁, s₂ = softmax over channels of the means over positions of X₁ and X₂      c
    Y = X ⊙ σ(s₁ᵀ X₂ + s₂ᵀ X₁)                                  c×H×W     cross-spatial learning

What a norm centres has the mean of its bias: s₁ is the soft-max of GN's bias, whatever the input. ``fast``
uses that, and so needs of X₂ only s₁ᵀ X₂, one 3×3 convolution to a single channel with the kernel s₁ᵀ F, and
its mean, which is F times the nine sums of X over the map without its first or last row or column. That is
9·C(n + 2c) + nC multiplications in place of 9·C·c·n + 2nC.

Differs from the paper: nothing.

Differs from the released code: where C is no multiple of 32, ``groups`` is by default their greatest common
divisor. A map of one position is normalised, to GN's bias, where a batch and a group of one would raise.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {"norm": "gn", "strips": "conv1x1", "local": "conv3x3"}


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(N, l, m) and (N, m, n) to (N, l, n)."""
        return a @ b  # (N, l, n)


def _window_sums(x: Tensor) -> Tensor:
    """(N, c, H, W) summed over what each of the nine taps of a 3×3 convolution sees of it: (N, c, 3, 3)."""
    rows = x.sum(3)  # (N, c, H)
    by_column = torch.stack([rows - x[..., -1], rows, rows - x[..., 0]], dim=3)  # (N, c, H, 3)
    both = by_column.sum(2)  # (N, c, 3)
    return torch.stack([both - by_column[:, :, -1], both, both - by_column[:, :, 0]], dim=2)  # (N, c, 3, 3)


class EMA(nn.Module):
    """Efficient multi-scale attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        groups: G, a divisor of C; where not given 32, or the greatest common divisor of 32 and C.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int | None = None,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        groups = math.gcd(32, channels) if groups is None else groups
        if not isinstance(groups, int) or groups < 1 or channels % groups:
            raise ValueError(f"groups must be a divisor of the channels, {channels}, got {groups!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.groups = groups
        self.implementation = implementation
        width = channels // groups
        self.norm = nn.GroupNorm(width, width)
        self.strips = nn.Conv2d(width, width, 1)
        self.local = nn.Conv2d(width, width, 3, padding=1)
        self.product = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        grouped = x.reshape(len(x) * self.groups, -1, *x.shape[2:])  # (N·G, c, H, W)
        weigh = self._fast if self.implementation == "fast" else self._published
        weights = weigh(grouped)  # (N·G, 1, H, W)
        return (grouped * weights.sigmoid()).view(x.shape)  # (N, C, H, W)

    def _normed(self, x: Tensor) -> Tensor:
        """X₁ of (N, c, H, W), of the same shape."""
        rows = x.mean(3, keepdim=True)  # (N, c, H, 1)
        columns = x.mean(2, keepdim=True).mT  # (N, c, W, 1)
        strips = self.strips(torch.cat([rows, columns], dim=2)).sigmoid()  # (N, c, H + W, 1)
        of_rows, of_columns = torch.split(strips, list(x.shape[2:]), dim=2)  # (N, c, H, 1), (N, c, W, 1)
        gated, norm = x * of_rows * of_columns.mT, self.norm  # (N, c, H, W)
        # the norm's own call refuses one position of a batch and a group of one
        return torch.group_norm(gated, norm.num_groups, norm.weight, norm.bias, norm.eps)  # (N, c, H, W)

    def _published(self, x: Tensor) -> Tensor:
        """X (N, c, H, W) to what the gate is made of, (N, 1, H, W)."""
        normed, local = self._normed(x), self.local(x)  # (N, c, H, W) each
        of_normed = self.product(_shares(normed), local.flatten(2))  # (N, 1, H·W)
        of_local = self.product(_shares(local), normed.flatten(2))  # (N, 1, H·W)
        both: Tensor = (of_normed + of_local).view(len(x), 1, *x.shape[2:])  # (N, 1, H, W)
        return both

    def _fast(self, x: Tensor) -> Tensor:
        """X (N, c, H, W) to what the gate is made of, (N, 1, H, W)."""
        kernel, bias = self.local.weight, self.local.get_parameter("bias")  # (c, c, 3, 3), (c,)
        means = functional.conv2d(_window_sums(x) / x[0, 0].numel(), kernel, bias)  # (N, c, 1, 1)
        from_normed = self.product(_shares(means), self._normed(x).flatten(2))  # (N, 1, H·W)
        shares = self.norm.bias.softmax(dim=0)  # (c,)
        of_kernel = (shares.view(-1, 1, 1, 1) * kernel).sum(0, keepdim=True)  # (1, c, 3, 3)
        from_local = functional.conv2d(x, of_kernel, (shares * bias).sum(0, keepdim=True), padding=1)
        both: Tensor = from_local + from_normed.view(from_local.shape)  # (N, 1, H, W)
        return both

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``EMA``.

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


def _shares(x: Tensor) -> Tensor:
    """(N, c, H, W) to the soft-max over channels of the means over positions, (N, 1, c)."""
    return x.mean((2, 3)).softmax(dim=1).unsqueeze(1)  # (N, 1, c)
