"""Interlaced sparse self-attention (ISA).

Lang Huang, Yuhui Yuan, Jianyuan Guo, Chao Zhang, Xilin Chen, Jingdong Wang. Interlaced Sparse Self-Attention
for Semantic Segmentation. arXiv 2019.
Paper: https://arxiv.org/abs/1907.12273
Official code: https://github.com/openseg-group/openseg.pytorch (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions; the factors (P, Q) divide
it, so that H = P·h and W = Q·w. K are the channels of query and key, V of the values; S are the positions of
a group; a W with an index is the weight of a 1×1 convolution without bias. Self-attention within a group Z,
C×S::

    q = ReLU(BN(W_q' ReLU(BN(W_q Z)))),  k likewise with its own weights      K×S
    v = W_v Z                                                                 V×S
    A = softmax over each row of qᵀ k / √K                                    S×S
    SA(Z) = ReLU(BN(W_o v Aᵀ))                                                C×S

It is used twice, with weights of their own::

    long range    a group of the h·w positions P rows and Q columns apart     P·Q groups of S = h·w
    short range   a group of P×Q neighbours                                   h·w groups of S = P·Q

so that each position hears of every other. With ``fuse`` the input and the context end in one map::

    Y = dropout(ReLU(BN(W_f [X; context])))                                   C×n   W_f C×2C

No claim of an order stands in the catalogue: the paper's O(n√n C) is for factors that grow with the map.

``fast`` applies W_o W_v, one product of weights, in place of W_v and then W_o to each position, where that
takes fewer multiplications: nothing non-linear stands between them. In eval mode it folds each batch
normalisation into the weights before it.

Differs from the paper: nothing it states. As in the released code, a map that the factors do not divide is
padded with zeros on both sides, and these positions take part as keys.

Differs from the released code: one pair of factors, where it takes a list of them; and as many channels out
as in.
"""

from collections.abc import Mapping, Sequence
from itertools import product
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
    """``scale · a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, l, m) and (B, m, n) to (B, l, n)."""
        # Scaled within the product, which saves a pass over the map.
        return torch.baddbmm(a.new_zeros(1, 1, 1), a, b, beta=0, alpha=self.scale)  # (B, l, n)


class ConvNorm(nn.Module):
    """A 1×1 convolution without bias, batch normalisation and ReLU: (N, C, H, W) to (N, D, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.relu(self.bn(self.conv(x)))
        return y

    def linear(self) -> tuple[Tensor, Tensor | None]:
        """The convolution's weight (D, C) and, in eval mode, the bias (D,): the normalisation folded in."""
        bn, weight = self.bn, self.conv.weight.flatten(1)  # (D, C)
        if bn.training:
            return weight, None
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
        shift: Tensor = bn.bias - bn.running_mean * scale  # type: ignore[operator]
        return weight * scale[:, None], shift

    def finish(self, y: Tensor) -> Tensor:
        """What is left to do with (N, D, H, W) after :meth:`linear`; may overwrite ``y``."""
        z: Tensor = self.bn(y) if self.bn.training else y
        return z.relu_()

    def fused(self, x: Tensor) -> Tensor:
        """What calling the module gives, (N, C, H, W) to (N, D, H, W), with fewer passes over memory."""
        weight, bias = self.linear()
        return self.finish(functional.conv2d(x, weight[:, :, None, None], bias))


class Projection(nn.Module):
    """Two convolutions with batch normalisation and ReLU: (N, C, H, W) to (N, K, H, W)."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, key_channels)
        self.second = ConvNorm(key_channels, key_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H, W)."""
        y: Tensor = self.second(self.first(x))
        return y

    def fused(self, x: Tensor) -> Tensor:
        """What calling the module gives, (N, C, H, W) to (N, K, H, W), with fewer passes over memory."""
        return self.second.fused(self.first.fused(x))


class SelfAttention(nn.Module):
    """Self-attention within each map of a batch: (B, C, H, W) to the same shape."""

    def __init__(self, channels: int, key_channels: int, value_channels: int, *, fast: bool) -> None:
        super().__init__()
        self.fast = fast
        self.key = Projection(channels, key_channels)
        self.query = Projection(channels, key_channels)
        self.value = nn.Conv2d(channels, value_channels, 1, bias=False)
        self.out = ConvNorm(value_channels, channels)
        self.affinity = MatMul(key_channels**-0.5)
        self.aggregate = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape, S = H·W."""
        if self.fast:
            return self._fast(x)
        q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))  # (B, K or V, S)
        attention = self.affinity(q.mT, k).softmax(dim=2)  # (B, S, S), a row a query
        context = self.aggregate(v, attention.mT)  # (B, V, S)
        y: Tensor = self.out(context.view(len(x), -1, *x.shape[2:]))  # (B, V, H, W) to (B, C, H, W)
        return y

    def _fast(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape, W_o and W_v as one weight where that is quicker."""
        q, k = (layer.fused(x).flatten(2) for layer in (self.query, self.key))  # (B, K, S) each
        attention = self.affinity(q.mT, k).softmax(dim=2)  # (B, S, S)
        weight, bias = self.out.linear()  # (C, V), (C,)
        channels, values = weight.shape
        positions, seen = len(x) * attention.shape[1], attention.shape[2]
        merged = channels * channels * (values + positions) + positions * seen * channels
        if merged < positions * (2 * channels + seen) * values:
            # The bias goes through the attention as it is: each row of it sums to one.
            both = weight @ self.value.weight.flatten(1)  # (C, C)
            value = functional.conv2d(x, both[:, :, None, None], bias)
            y = value.flatten(2) @ attention.mT  # (B, C, S)
            return self.out.finish(y.view(x.shape))  # (B, C, H, W)
        context = self.value(x).flatten(2) @ attention.mT  # (B, V, S)
        return self.out.fused(context.view(len(x), -1, *x.shape[2:]))  # (B, V, H, W) to (B, C, H, W)


class InterlacedSparseAttention(nn.Module):
    """Interlaced sparse self-attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        key_channels: K; C // 2 where not given.
        value_channels: V; C where not given.
        down_factor: (P, Q).
        fuse: concatenate the input with the context, reduce to C channels, normalise, drop out; without it
            the context is returned.
        dropout: the probability of dropping a channel at the end, with ``fuse``.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        key_channels: int | None = None,
        value_channels: int | None = None,
        down_factor: Sequence[int] = (8, 8),
        fuse: bool = False,
        dropout: float = 0.05,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        key = max(1, channels // 2) if key_channels is None else _at_least_one("key_channels", key_channels)
        value = channels if value_channels is None else _at_least_one("value_channels", value_channels)
        if not isinstance(down_factor, Sequence) or len(down_factor) != 2:
            raise ValueError(f"down_factor must be two integers, for height and width, got {down_factor!r}")
        if not isinstance(fuse, bool):
            raise ValueError(f"fuse must be True or False, got {fuse!r}")
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must lie in [0, 1], got {dropout!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.down_factor = tuple(_at_least_one("down_factor", factor) for factor in down_factor)
        fast = implementation == "fast"
        self.long_range = SelfAttention(channels, key, value, fast=fast)
        self.short_range = SelfAttention(channels, key, value, fast=fast)
        self.fuse = ConvNorm(2 * channels, channels) if fuse else None
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        context = self._context(x)
        if self.fuse is None:
            return context
        both = torch.cat([x, context], dim=1)  # (N, 2C, H, W)
        fused = self.fuse.fused(both) if self.implementation == "fast" else self.fuse(both)
        y: Tensor = self.dropout(fused)  # (N, C, H, W)
        return y

    def _context(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape: both attentions, on the map padded to multiples of P and Q."""
        (batch, channels, height, width), (p, q) = x.shape, self.down_factor
        top, left = (-height % p) // 2, (-width % q) // 2
        if height % p or width % q:
            x = functional.pad(x, (left, -width % q - left, top, -height % p - top))  # (N, C, P·h, Q·w)
        h, w = x.shape[2] // p, x.shape[3] // q
        x = x.view(batch, channels, h, p, w, q).permute(0, 3, 5, 1, 2, 4)  # (N, P, Q, C, h, w)
        x = self.long_range(x.reshape(-1, channels, h, w))  # (N·P·Q, C, h, w)
        x = x.view(batch, p, q, channels, h, w).permute(0, 4, 5, 3, 1, 2)  # (N, h, w, C, P, Q)
        x = self.short_range(x.reshape(-1, channels, p, q))  # (N·h·w, C, P, Q)
        x = x.view(batch, h, w, channels, p, q).permute(0, 3, 1, 4, 2, 5)  # (N, C, h, P, w, Q)
        x = x.reshape(batch, channels, h * p, w * q)  # (N, C, P·h, Q·w)
        return x[:, :, top : top + height, left : left + width]

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``ISA_Block`` or, with ``fuse``, of their ``ISA_Module``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        stage = "stages.0." if self.fuse else ""
        names = {f"{part}_range": f"{stage}{part}_range_sa" for part in ("long", "short")}
        layers = {"fuse.conv": "conv_bn.0", "fuse.bn": "conv_bn.1.0"}
        for ours, theirs in names.items():
            layers |= {f"{ours}.value": f"{theirs}.f_value"}
            layers |= {f"{ours}.out.conv": f"{theirs}.W.0", f"{ours}.out.bn": f"{theirs}.W.1.0"}
            for name, (i, part) in product(("key", "query"), enumerate(("first", "second"))):
                layers[f"{ours}.{name}.{part}.conv"] = f"{theirs}.f_{name}.{2 * i}"
                layers[f"{ours}.{name}.{part}.bn"] = f"{theirs}.f_{name}.{2 * i + 1}.0"
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.rpartition(".")
            keys[key] = f"{layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
