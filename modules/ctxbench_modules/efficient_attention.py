"""Efficient attention.

Zhuoran Shen, Mingyuan Zhang, Haiyu Zhao, Shuai Yi, Hongsheng Li. Efficient Attention: Attention with Linear
Complexities. WACV 2021.
Paper: https://arxiv.org/abs/1812.01243
Official code: https://github.com/cmsflash/efficient-attention (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, K the channels of query and
key, V of the value, h the heads, which share both equally; a W with an index is the weight of a 1×1
convolution. X is the input as C×n (section 3.2)::

    Q = W_q X + b_q,  K = W_k X + b_k        K×n
    V = W_v X + b_v                          V×n
    for each head, on its K/h and V/h channels:
        G = softmax over positions of K, times Vᵀ     K/h×V/h   the global context vectors
        E = Gᵀ times softmax over channels of Q       V/h×n
    Y = X + W_r E + b_r                      C×n

``fast`` moves W_v and W_r from the n positions to the context: each row of a soft-max sums to one, so that
G = (softmax(K) Xᵀ) W_vᵀ + b_v, and W_r E = (W_r Gᵀ) softmax(Q), with W_r Gᵀ of C×K. That is
2KC(n + V/h) multiplications in place of 2Vn(C + K/h), where that is fewer.

Differs from the paper: heads, which it does not have, are an option; there is one by default.

Differs from the released code: there K, V and h have no defaults; here K = V = C/2.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class EfficientAttention(nn.Module):
    """Efficient attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        key_width: K, a multiple of ``heads``; C // 2 where not given.
        value_width: V, a multiple of ``heads``; C // 2 where not given.
        heads: h.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        key_width: int | None = None,
        value_width: int | None = None,
        heads: int = 1,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        half = max(1, _at_least_one("channels", channels) // 2)
        _at_least_one("heads", heads)
        key_width = half if key_width is None else _at_least_one("key_width", key_width)
        value_width = half if value_width is None else _at_least_one("value_width", value_width)
        for name, width in (("key_width", key_width), ("value_width", value_width)):
            if width % heads:
                raise ValueError(f"{name} must be a multiple of the heads, {heads}, got {width}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.implementation = implementation
        self.keys = nn.Conv2d(channels, key_width, 1)
        self.queries = nn.Conv2d(channels, key_width, 1)
        self.values = nn.Conv2d(channels, value_width, 1)
        self.reprojection = nn.Conv2d(value_width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        heads, positions = self.heads, x.shape[2] * x.shape[3]
        key_width, value_width = self.keys.out_channels, self.values.out_channels
        keys = self.keys(x).flatten(2).softmax(dim=2)  # (N, K, H·W)
        queries = self.queries(x).view(len(x), heads, -1, positions).softmax(dim=2)  # (N, h, K/h, H·W)
        folded = key_width * self.in_channels * (heads * positions + value_width)
        unfolded = value_width * positions * (heads * self.in_channels + key_width)
        if self.implementation == "fast" and folded < unfolded:
            return self._folded(x, keys, queries)
        values = self.values(x).view(len(x), heads, -1, positions)  # (N, h, V/h, H·W)
        context = values @ keys.view(queries.shape).mT  # (N, h, V/h, K/h)
        attended = (context @ queries).view(len(x), -1, *x.shape[2:])  # (N, V, H, W)
        y: Tensor = self.reprojection(attended) + x
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

    def _folded(self, x: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
        """(N, C, H, W), the soft-maxed keys (N, K, H·W) and queries (N, h, K/h, H·W) to (N, C, H, W)."""
        flat, heads = x.flatten(2), self.heads  # (N, C, H·W)
        pooled = (keys @ flat.mT).view(len(x), heads, -1, x.shape[1])  # (N, h, K/h, C)
        weight = self.values.weight.view(heads, -1, x.shape[1])  # (h, V/h, C)
        bias = self.values.get_parameter("bias").view(heads, 1, -1)  # (h, 1, V/h)
        context = pooled @ weight.mT + bias  # (N, h, K/h, V/h)
        back = self.reprojection.weight.view(x.shape[1], heads, -1).transpose(0, 1)  # (h, C, V/h)
        mixed = (back @ context.mT).transpose(1, 2).flatten(2)  # (N, C, K)
        y = torch.baddbmm(flat, mixed, queries.flatten(1, 2))  # (N, C, H·W)
        return y.add_(self.reprojection.get_parameter("bias")[:, None]).view(x.shape)  # (N, C, H, W)
