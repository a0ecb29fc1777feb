"""Linear attention mechanism, of positions and of channels.

Rui Li, Jianlin Su, Chenxi Duan, Shunyi Zheng. Linear Attention Mechanism: An Efficient Attention for Semantic
Segmentation. arXiv 2020.
Paper: https://arxiv.org/abs/2007.14902
Official code: https://github.com/lironui/Linear-Attention-Mechanism (AGPL-3.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, C' = C/8 the channels of
query and key; a W with an index is the weight of a 1×1 convolution. X is the input as C×n. The exponential of
dot-product attention is replaced by its first-order expansion, exp(q·k) ≈ 1 + q·k with q and k of length
one, so that the weights stay positive and the products can be taken in the other order (section 3)::

    Q = W_q X + b_q,  K = W_k X + b_k,  each position divided by its length     C'×n
    V = W_v X + b_v                                                             C×n
    Y = (Σ_positions V + (V Kᵀ) Q) / (n + Qᵀ (Σ_positions K + 10⁻⁶))            C×n, a divisor a position
    Z = X + γ Y                                                                 C×n

γ is a scalar that starts at zero. Between channels, nothing is learned but γ::

    Q = X, each channel divided by its length                                   C×n
    Y = (Σ_channels X + (Q Qᵀ) X) / (C + Q (Σ_channels Q + 10⁻⁶)ᵀ)              C×n, a divisor a channel
    Z = X + γ Y                                                                 C×n

There the product of C×C comes first, which is the cheaper order.

``fast``, of positions, moves W_v from the n of them to the context: [K; 1] Vᵀ = ([K; 1] Xᵀ) W_vᵀ +
([K; 1] 1) b_vᵀ, of (C'+1)×C, whose last row is the sum over positions. That is (C'+1)C(n + C)
multiplications in place of C²n + C'Cn, where that is fewer.

Differs from the paper: the skip connection and γ, as in the released code.

Differs from the released code: there H and W are exchanged at the end, so that a map with H ≠ W fails.
Between channels, it exchanges the roles of Q and X, divides each position by its length in place of each
channel, and has n in the divisor where the weights 1 + q·q sum to C + Q (Σ_channels Q)ᵀ: (Σ_channels X +
(X Qᵀ) Q) / (n + Q (Σ_channels Q + 10⁻⁶)ᵀ). That is no attention, and here with ``as_released`` alone.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

_EPS = 1e-6  # the authors' guard of the divisor


def _unit(x: Tensor) -> Tensor:
    """(N, C', n) divided at each position by its length over the C' channels."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # (N, 1, n)
    return x / norm


class LinearAttention(nn.Module):
    """Position linear attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, implementation: Literal["fast", "published"] = "fast") -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        width = max(1, channels // 8)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        q = _unit(self.query(x).flatten(2))  # (N, C', H·W)
        k = _unit(self.key(x).flatten(2))  # (N, C', H·W)
        channels, width, positions = x.shape[1], q.shape[1], q.shape[2]
        folded = (width + 1) * (positions + channels) < (channels + width) * positions
        if self.implementation == "fast" and folded:
            context, total = self._context(x, k)  # (N, C', C), (N, 1, C)
        else:
            v = self.value(x).flatten(2)  # (N, C, H·W)
            context, total = k @ v.mT, v.sum(2).unsqueeze(1)  # (N, C', C), (N, 1, C)
        divisor = positions + (k.sum(2) + _EPS).unsqueeze(1) @ q  # (N, 1, H·W)
        y = torch.baddbmm(total.mT, context.mT, q) / divisor  # (N, C, H·W)
        return torch.addcmul(x, self.gamma, y.view(x.shape))  # (N, C, H, W)

    def _context(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """K Vᵀ (N, C', C) and the sum of V over positions (N, 1, C), from the input and K."""
        keys = torch.cat([k, torch.ones_like(k[:, :1])], dim=1)  # (N, C'+1, H·W)
        weight, bias = self.value.weight.flatten(1), self.value.get_parameter("bias")  # (C, C), (C,)
        context = (keys @ x.flatten(2).mT) @ weight.t() + keys.sum(2, keepdim=True) * bias  # (N, C'+1, C)
        return context[:, :-1], context[:, -1:]

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``PositionLinearAttention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{layer}_conv.{name}" if dot else key
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})


class ChannelLinearAttention(nn.Module):
    """Channel linear attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        as_released: what the released code computes: see the file's docstring.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, as_released: bool = False) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(as_released, bool):
            raise ValueError(f"as_released must be True or False, got {as_released!r}")
        self.in_channels = self.out_channels = channels
        self.as_released = as_released
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        rows = x.flatten(2)  # (N, C, H·W)
        if self.as_released:
            q = _unit(rows)  # (N, C, H·W)
            attended, count = (rows @ q.mT) @ q, rows.shape[2]  # (N, C, H·W)
        else:
            q = _unit(rows.mT).mT  # (N, C, H·W)
            attended, count = (q @ q.mT) @ rows, rows.shape[1]  # (N, C, H·W)
        divisor = count + q @ (q.sum(1, keepdim=True) + _EPS).mT  # (N, C, 1)
        y = (rows.sum(1, keepdim=True) + attended) / divisor  # (N, C, H·W)
        return torch.addcmul(x, self.gamma, y.view(x.shape))  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``ChannelLinearAttention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = {"gamma"} - set(state), set(state) - {"gamma"}
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(dict(state))
