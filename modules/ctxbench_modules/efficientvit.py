"""Lightweight multi-scale linear attention (LiteMLA) of EfficientViT.

Han Cai, Junyan Li, Muyan Hu, Chuang Gan, Song Han. EfficientViT: Lightweight Multi-Scale Attention for
High-Resolution Dense Prediction. ICCV 2023.
Paper: https://arxiv.org/abs/2205.14756
Official code: https://github.com/mit-han-lab/efficientvit (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d = C/h
channels each, s the scales; a W with an index is a 1×1 convolution without bias. X is the input as C×n
(section 3)::

    T₀ = W X                                  3C×n    d channels of Q, of K and of V for each head
    T_s = G_s D_s T₀                          3C×n    D_s depthwise s×s, G_s in 3h groups; without bias
    for each head of each T, with Q and K after a ReLU:
    Y = V Kᵀ Q / (Σ_positions Kᵀ Q + ε)       d×n     a divisor a position, ε = 10⁻¹⁵
    Z = BN(W_o [Y of all])                    C×n     W_o C×(1 + the number of scales)·C

Differs from the paper: the skip connection is the caller's, as in the released class.

Differs from the released code: where the map has no more than d positions, that takes the n² order, of the
same value. ``head_width`` is 32 as in its large networks, 16 in the small ones, or all channels where 32 does
not divide C.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-15  # the authors' guard of the divisor


def _released(key: str) -> str:
    """What the authors call a parameter or buffer of ours."""
    layer, _, name = key.partition(".")
    return {"qkv": "qkv.conv.", "proj": "proj.conv.", "norm": "proj.norm.", "scales": "aggreg."}[layer] + name


class LiteMLA(nn.Module):
    """Multi-scale linear attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        head_width: d, a divisor of C; 32 where not given, or C where that is no multiple of 32.
        scales: the sides s of the depthwise convolutions, odd.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, head_width: int | None = None, scales: Sequence[int] = (5,)) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        head_width = (channels if channels % 32 else 32) if head_width is None else head_width
        if not isinstance(head_width, int) or head_width < 1 or channels % head_width:
            raise ValueError(f"head_width must be a divisor of the channels, {channels}, got {head_width!r}")
        if not isinstance(scales, Sequence) or any(
            not isinstance(side, int) or side < 1 or side % 2 == 0 for side in scales
        ):
            raise ValueError(f"scales must be odd integers of at least 1, got {scales!r}")
        self.in_channels = self.out_channels = channels
        self.head_width = head_width
        wide, groups = 3 * channels, 3 * channels // head_width
        self.qkv = nn.Conv2d(channels, wide, 1, bias=False)
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(wide, wide, side, padding=side // 2, groups=wide, bias=False),
                nn.Conv2d(wide, wide, 1, groups=groups, bias=False),
            )
            for side in scales
        )
        self.proj = nn.Conv2d(channels * (1 + len(self.scales)), channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        qkv = self.qkv(x)  # (N, 3C, H, W)
        tokens = torch.cat([qkv, *(scale(qkv) for scale in self.scales)], dim=1)  # (N, 3C·(1+s), H, W)
        n = x.shape[2] * x.shape[3]
        heads = tokens.view(len(x), -1, 3, self.head_width, n)  # (N, h·(1+s), 3, d, H·W)
        q, k, v = heads.unbind(2)  # (N, h·(1+s), d, H·W) each
        q, k = functional.relu(q), functional.relu(k)
        summed = functional.pad(v, (0, 0, 0, 1), value=1) @ k.mT @ q  # (N, h·(1+s), d+1, H·W)
        summed = summed.to(torch.promote_types(summed.dtype, torch.float32))  # ε is 0 in half precision
        y = (summed[:, :, :-1] / (summed[:, :, -1:] + _EPS)).to(x.dtype)  # (N, h·(1+s), d, H·W)
        y = y.reshape(len(x), -1, *x.shape[2:])  # (N, C·(1+s), H, W)
        z: Tensor = self.norm(self.proj(y))  # (N, C, H, W)
        return z

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``LiteMLA``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {key: _released(key) for key in self.state_dict()}
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
