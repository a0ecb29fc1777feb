"""Multi-head self-attention with positions in two dimensions, of the bottleneck transformer (BoTNet).

Aravind Srinivas, Tsung-Yi Lin, Niki Parmar, Jonathon Shlens, Pieter Abbeel, Ashish Vaswani. Bottleneck
Transformers for Visual Recognition. CVPR 2021.
Paper: https://arxiv.org/abs/2101.11605
Official code: a gist for TensorFlow. Held against its translation:
https://github.com/lucidrains/bottleneck-transformer-pytorch (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d channels
each; i and j are positions in row i_h, j_h and column i_w, j_w. X is the input as C×n; W has no bias
(section 3)::

    [q, k, v] = W X                                                      h·d×n each
    L(i, j) = q_i·(k_j + R^h_{j_h−i_h} + R^w_{j_w−i_w}) / √d             n×n      relative positions
    L(i, j) = q_i·(k_j + E^h_{j_h} + E^w_{j_w}) / √d                     n×n      absolute positions
    Y = v (softmax over each row of L)ᵀ, for each head                   h·d×n

R^h has 2H−1 rows of d, R^w 2W−1, E^h has H and E^w W; the heads share them. They depend on the size of the
map; a map of another size than the weights' is resampled to that size and back, bilinearly, corners aligned.

``published`` multiplies q by all rows of R and picks those that a position needs, and q by E^h + E^w at each
position. ``fast`` multiplies by the rows needed alone, H + W of the 2H + 2W − 2, and adds E^h + E^w to k, so
that absolute positions cost no product.

Differs from the paper: nothing.

Differs from the translation: d is C/h by default, which is its 128 for 512 channels; where C is no multiple
of 4, the heads are by default their greatest common divisor. Maps of another size are accepted.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class BottleneckAttention(nn.Module):
    """Self-attention with positions in two dimensions: (N, C, H, W) to (N, ``heads``·``width``, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        heads: h; where not given 4, or the greatest common divisor of 4 and C.
        width: d, the channels of a head; C // h where not given.
        positions: ``"relative"`` or ``"absolute"``.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        size: tuple[int, int],
        heads: int | None = None,
        width: int | None = None,
        positions: Literal["relative", "absolute"] = "relative",
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        heads = math.gcd(4, channels) if heads is None else _at_least_one("heads", heads)
        width = max(1, channels // heads) if width is None else _at_least_one("width", width)
        if positions not in ("relative", "absolute"):
            raise ValueError(f"positions must be 'relative' or 'absolute', got {positions!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = channels
        self.out_channels = heads * width
        self.size = (size[0], size[1])
        self.heads = heads
        self.positions = positions
        self.implementation = implementation
        self.qkv = nn.Conv2d(channels, 3 * heads * width, 1, bias=False)
        rows = [2 * side - 1 if positions == "relative" else side for side in size]
        self.height = nn.Parameter(torch.randn(rows[0], width) * width**-0.5)
        self.width = nn.Parameter(torch.randn(rows[1], width) * width**-0.5)
        self.product = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W); ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        qkv = self.qkv(_resample(x, self.size)).flatten(2)  # (N, 3·h·d, H·W)
        qkv = qkv.unflatten(1, (3, self.heads, -1))  # (N, 3, h, d, H·W)
        q, k, v = qkv.mT.unbind(1)  # (N, h, H·W, d) each
        q = q * q.shape[3] ** -0.5
        context = self._fast(q, k, v) if self.implementation == "fast" else self._published(q, k, v)
        y = context.mT.reshape(len(x), self.out_channels, *self.size)  # (N, h·d, H, W)
        return _resample(y, (x.shape[2], x.shape[3]))

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the translation's ``Attention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        kind = "rel_" if self.positions == "relative" else ""
        keys = {
            "height": f"pos_emb.{kind}height",
            "width": f"pos_emb.{kind}width",
            "qkv.weight": "to_qkv.weight",
        }
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _published(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The scaled q, k and v, (N, h, n, d) each, to (N, h, n, d)."""
        logits = self.product(q, k.mT)  # (N, h, n, n)
        if self.positions == "absolute":
            logits = logits + self.product(q, self._absolute().mT)  # (N, h, n, n)
        else:
            of_rows = self.product(q, self.height.mT).unflatten(2, self.size)  # (N, h, H, W, 2H-1)
            of_columns = self.product(q, self.width.mT).unflatten(2, self.size)  # (N, h, H, W, 2W-1)
            offsets_h, offsets_w = map(self._offsets, self.size)  # (H, H), (W, W)
            shape = of_rows.shape[:4]
            of_rows = of_rows.gather(4, offsets_h[:, None].expand(*shape, -1))  # (N, h, H, W, H)
            of_columns = of_columns.gather(4, offsets_w.expand(*shape, -1))  # (N, h, H, W, W)
            both = of_rows[..., None] + of_columns[..., None, :]  # (N, h, H, W, H, W)
            logits = logits + both.flatten(4).flatten(2, 3)  # (N, h, n, n)
        context: Tensor = self.product(logits.softmax(dim=3), v)  # (N, h, n, d)
        return context

    def _fast(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The scaled q, k and v, (N, h, n, d) each, to (N, h, n, d)."""
        if self.positions == "absolute":
            k = k + self._absolute().to(k.dtype)  # (N, h, n, d)
            return functional.scaled_dot_product_attention(q, k, v, scale=1.0)  # (N, h, n, d)
        maps = q.reshape(*q.shape[:2], *self.size, -1)  # (N, h, H, W, d)
        rows, columns = self.height[self._offsets(self.size[0])], self.width[self._offsets(self.size[1])]
        of_rows = torch.einsum("nhxyd,xad->nhxya", maps, rows)  # (N, h, H, W, H)
        of_columns = torch.einsum("nhxyd,ybd->nhxyb", maps, columns)  # (N, h, H, W, W)
        logits = q @ k.mT  # (N, h, n, n)
        by_place = logits.view(*of_rows.shape, -1)  # (N, h, H, W, H, W)
        by_place += of_rows[..., None]
        by_place += of_columns[..., None, :]
        return logits.softmax(dim=3) @ v  # (N, h, n, d)

    def _offsets(self, side: int) -> Tensor:
        """A key's place less a query's, from 0: (query, key)."""
        places = torch.arange(side, device=self.height.device)
        return places - places[:, None] + side - 1

    def _absolute(self) -> Tensor:
        """E^h + E^w at each position, (n, d)."""
        return (self.height[:, None] + self.width).flatten(0, 1)  # (H·W, d)


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
