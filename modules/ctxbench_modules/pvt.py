"""Spatial-reduction attention (SRA), the attention of the Pyramid Vision Transformer, and its linear form.

Wenhai Wang, Enze Xie, Xiang Li, Deng-Ping Fan, Kaitao Song, Ding Liang, Tong Lu, Ping Luo, Ling Shao. Pyramid
Vision Transformer: A Versatile Backbone for Dense Prediction without Convolutions. ICCV 2021. The linear
form is of PVT v2: Improved Baselines with Pyramid Vision Transformer. Computational Visual Media 2022.
Papers: https://arxiv.org/abs/2102.12122, https://arxiv.org/abs/2106.13797
Official code: https://github.com/whai362/PVT (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d = C/h
channels each, R the reduction and S the reduced positions. X is the input as C×n; every layer has a bias
(section 3.3)::

    Z = LN(R×R convolution of stride R of X)                      C×S    S = ⌊H/R⌋·⌊W/R⌋; with R = 1, Z = X
    Z = GELU(LN(W_s (mean of X over each cell of a 7×7 grid)))    C×S    linear: S = 49
    q = W_q X,  [k, v] = W_kv Z                                   C×n, C×S twice
    A = softmax over each row of qᵀ k / √d, for each head         n×S
    Y = W_p (v Aᵀ of all heads)                                   C×n

The networks have R = 8, 4, 2, 1 in their four stages, so that S stays the same while the map shrinks by two
at a time; the default here is that of the first. Heads are C/64.

Differs from the paper: nothing.

Differs from the released code: maps in place of rows of tokens, without a class token; the layer
normalisation before the block, the skip connection and the dropouts are not here. What is left of H and W
after whole steps of R is dropped there and here; a map smaller than R is padded with zeros to R, where theirs
fails. Where C/64 is no divisor of C, the heads are their greatest common divisor.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class SpatialReductionAttention(nn.Module):
    """Spatial-reduction attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, a divisor of C; where not given C // 64, or its greatest common divisor with C.
        reduction: R; unused with ``linear``.
        linear: the linear form, which pools to 7×7.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, heads: int | None = None, reduction: int = 8, linear: bool = False
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        default = math.gcd(max(1, channels // 64), channels)
        heads = default if heads is None else _at_least_one("heads", heads)
        if channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads}")
        _at_least_one("reduction", reduction)
        if not isinstance(linear, bool):
            raise ValueError(f"linear must be True or False, got {linear!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.linear = linear
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.step = 1 if linear else reduction
        reduces = linear or reduction > 1
        self.sr = nn.Conv2d(channels, channels, self.step, self.step) if reduces else nn.Identity()
        self.norm = nn.LayerNorm(channels) if reduces else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        rows = x.flatten(2).mT  # (N, H·W, C)
        q = self.q(rows).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (N, h, H·W, d)
        pairs = self.kv(self._reduced(x)).unflatten(2, (2, self.heads, -1))  # (N, S, 2, h, d)
        k, v = pairs.permute(2, 0, 3, 1, 4)  # (N, h, S, d) each
        context = functional.scaled_dot_product_attention(q, k, v)  # (N, h, H·W, d)
        y: Tensor = self.proj(context.transpose(1, 2).flatten(2))  # (N, H·W, C)
        return y.mT.reshape(x.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``Attention``, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)

    def _reduced(self, x: Tensor) -> Tensor:
        """Z of (N, C, H, W) as rows, (N, S, C)."""
        if self.linear:
            x = functional.adaptive_avg_pool2d(x, 7)  # (N, C, 7, 7)
        height, width = (max(0, self.step - side) for side in x.shape[2:])
        if height or width:
            x = functional.pad(x, (0, width, 0, height))
        z: Tensor = self.norm(self.sr(x).flatten(2).mT)  # (N, S, C)
        return functional.gelu(z) if self.linear else z
