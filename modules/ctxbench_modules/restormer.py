"""Multi-Dconv head transposed attention (MDTA).

Syed Waqas Zamir, Aditya Arora, Salman Khan, Munawar Hayat, Fahad Shahbaz Khan, Ming-Hsuan Yang. Restormer:
Efficient Transformer for High-Resolution Image Restoration. CVPR 2022.
Paper: https://arxiv.org/abs/2111.09881
Official code: https://github.com/swz30/Restormer (its own academic licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of c = C/h
channels each; the W are 1×1 convolutions and the D depthwise 3×3, none with a bias. X is the input; for each
head::

    Q = D_q W_q X,  K = D_k W_k X,  each row divided by its length over the positions     c×n
    V = D_v W_v X                                                                         c×n
    A = softmax over the channels of K of τ Q Kᵀ                                          c×c
    Y = W_o [A V of all heads]                                                            C×n

τ is a scalar a head that starts at one.

Differs from the paper: the skip connection around the block, and its layer normalisation, are not here, as
in the released class.

Differs from the released code: where C is no multiple of 8, ``heads`` is by default their greatest common
divisor; the code has no default, and its network has 1, 2, 4 and 8. Its biases, off by default, are not here.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "temperature": "temperature",
    "qkv.weight": "qkv.weight",
    "depthwise.weight": "qkv_dwconv.weight",
    "proj.weight": "project_out.weight",
}


class MDTA(nn.Module):
    """Multi-Dconv head transposed attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, a divisor of C; where not given 8, or the greatest common divisor of 8 and C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, heads: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        heads = math.gcd(8, channels) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        qkv = self.depthwise(self.qkv(x)).flatten(2).unflatten(1, (3, self.heads, -1))  # (N, 3, h, c, H·W)
        q, k, v = qkv.unbind(1)  # (N, h, c, H·W) each
        q, k = functional.normalize(q, dim=3), functional.normalize(k, dim=3)
        attention = (q @ k.mT * self.temperature).softmax(dim=-1)  # (N, h, c, c)
        y: Tensor = self.proj((attention @ v).view(x.shape))  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``Attention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(_RELEASED.values()) - set(state), set(state) - set(_RELEASED.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in _RELEASED.items()})
