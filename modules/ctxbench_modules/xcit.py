"""Cross-covariance attention (XCA).

Alaaeldin El-Nouby, Hugo Touvron, Mathilde Caron, Piotr Bojanowski, Matthijs Douze, Armand Joulin, Ivan
Laptev, Natalia Neverova, Gabriel Synnaeve, Jakob Verbeek, Hervé Jegou. XCiT: Cross-Covariance Image
Transformers. NeurIPS 2021.
Paper: https://arxiv.org/abs/2106.09681
Official code: https://github.com/facebookresearch/xcit (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of c = C/h
channels each; the W are 1×1 convolutions. X is the input as C×n; for each head::

    Q = W_q X + b_q,  K = W_k X + b_k,  each row divided by its length over the positions     c×n
    V = W_v X + b_v                                                                           c×n
    A = softmax over the channels of K of τ Q Kᵀ                                              c×c
    Y = W_o [A V of all heads] + b_o                                                          C×n

τ is a scalar a head that starts at one.

``fast`` takes everything from the Gram matrix G = X' X'ᵀ of X less its mean μ over the positions. With
m = W μ + b, Q Kᵀ is W_q G W_kᵀ + n m_q m_kᵀ before the division, and the squared lengths are the diagonals of
W_q G W_qᵀ + n m_q m_qᵀ and of the same for K; then W_o A [W_v, b_v] is one matrix of C×(C+1) on X. That is
2C²n + O(C³) multiplications in place of 4C²n + 2C²n/h, where that is fewer. A length so found has the
rounding error of the largest products that cancel in it, so that in half precision the published order is
taken.

Differs from the paper: nothing.

Differs from the released code: where C is no multiple of 8, ``heads`` is by default their greatest common
divisor. Its dropouts, zero by default, are not here.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-12  # the least length a row is divided by


class XCA(nn.Module):
    """Cross-covariance attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, a divisor of C; where not given 8, or the greatest common divisor of 8 and C.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int | None = None,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        heads = math.gcd(8, channels) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.implementation = implementation
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        c, positions, head = x.shape[1], x.shape[2] * x.shape[3], x.shape[1] // self.heads
        folded = c * (2 * c * positions + 3 * c * c + 3 * c + 2 * c * head + head)
        exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type)
        fewer = folded < (4 * c + 2 * head) * c * positions
        if self.implementation == "fast" and exact and fewer:
            return self._folded(x)
        qkv = self.qkv(x).view(len(x), 3, self.heads, head, positions)  # (N, 3, h, c, H·W)
        q, k, v = qkv.unbind(1)  # (N, h, c, H·W) each
        q, k = functional.normalize(q, dim=3, eps=_EPS), functional.normalize(k, dim=3, eps=_EPS)
        attention = (q @ k.mT * self.temperature).softmax(dim=-1)  # (N, h, c, c)
        y: Tensor = self.proj((attention @ v).view(x.shape))  # (N, C, H, W)
        return y

    def _folded(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, from the Gram matrix."""
        flat = x.flatten(2)  # (N, C, H·W)
        means = flat.mean(2, keepdim=True)  # (N, C, 1)
        centred = flat - means  # (N, C, H·W)
        gram = centred @ centred.mT  # (N, C, C)
        weight, bias = self.qkv.weight.flatten(1), self.qkv.get_parameter("bias")[:, None]  # (3C, C), (3C, 1)
        of_qk, of_v = torch.split(weight, [2 * x.shape[1], x.shape[1]])  # (2C, C), (C, C)
        bias_qk, bias_v = torch.split(bias, [2 * x.shape[1], x.shape[1]])  # (2C, 1), (C, 1)
        shift = (of_qk @ means + bias_qk) * math.sqrt(flat.shape[2])  # (N, 2C, 1), √n m
        image = of_qk @ gram  # (N, 2C, C)
        squares = ((image * of_qk).sum(2, keepdim=True) + shift.square()).clamp(min=_EPS**2)  # (N, 2C, 1)
        heads = (len(x), 2, self.heads, -1, 1)
        shift_q, shift_k = shift.view(heads).unbind(1)  # (N, h, c, 1) each
        inverse_q, inverse_k = squares.rsqrt().view(heads).unbind(1)  # (N, h, c, 1) each
        image_q = image.view(len(x), 2, self.heads, -1, x.shape[1])[:, 0]  # (N, h, c, C)
        of_k = of_qk.view(2, self.heads, -1, x.shape[1])[1]  # (h, c, C)
        products = image_q @ of_k.mT + shift_q * shift_k.mT  # (N, h, c, c)
        attention = (products * (inverse_q * inverse_k.mT) * self.temperature).softmax(dim=-1)  # (N, h, c, c)
        values = torch.cat([of_v, bias_v], dim=1).view(self.heads, -1, x.shape[1] + 1)  # (h, c, C+1)
        mixed = self.proj.weight.flatten(1) @ (attention @ values).flatten(1, 2)  # (N, C, C+1)
        last = mixed[:, :, -1:] + self.proj.get_parameter("bias")[:, None]  # (N, C, 1)
        return torch.baddbmm(last, mixed[:, :, :-1], flat).view(x.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        own = self.state_dict()
        missing, unexpected = set(own) - set(state), set(state) - set(own)
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {name: state[name].reshape(own[name].shape) for name in own}  # (…) as here
        self.load_state_dict(weights)
