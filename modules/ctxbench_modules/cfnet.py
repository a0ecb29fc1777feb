"""Aggregated co-occurrent features (ACF) of CFNet.

Hang Zhang, Han Zhang, Chenguang Wang, Junyuan Xie. Co-Occurrent Features in Semantic Segmentation. CVPR 2019.
Paper: https://openaccess.thecvf.com/content_CVPR_2019/html/Zhang_Co-Occurrent_Features_in_Semantic_Segmentation_CVPR_2019_paper.html
Official code: https://github.com/zhanghang1989/PyTorch-Encoding (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, s = ⌈H/2⌉·⌈W/2⌉ those after
pooling, h the heads, m the soft-maxes mixed, D = m·C/h the channels of a head's query; P is the average over
3×3 windows of stride 2, within the map; a W with an index is the weight of a 1×1 convolution, b its bias. X
is the input as C×n::

    q = W_q X + b_q,  k = W_q P(X) + b_q               D×n and D×s a head, one layer for both
    v = W_v P(X) + b_v                                 C/h×s a head
    A = dropout(softmax over each row of qᵀ k / √D)    n×s a head
    Y = X + BN(W_o [v Aᵀ of each head])                C×n    W_o without bias

Where m > 1, queries and keys are cut into m parts of D/m channels with a soft-max each, A_i, and A = Σ π_i
A_i with π = softmax(W_π q̄), q̄ the mean of q over positions, W_π m×D: a mixture of soft-maxes.

``fast`` takes k = P(q), which is the same since P averages, and, where m is 1 and nothing is dropped out,
attends without storing the n×s map.

Differs from the paper: as in the released code, keys and values are pooled, there are heads, and one soft-max
by default, where the paper mixes several.

Differs from the released code: it runs only where H and W are even; its options to transform or pool
otherwise, and to concatenate, are not here. Of 8 heads, where C is no multiple, there are as many as the
greatest common divisor.
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


class ACF(nn.Module):
    """Aggregated co-occurrent feature module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, which divides C; the greatest common divisor of 8 and C where not given.
        mixtures: m.
        dropout: the probability of dropping a weight of the attention.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int | None = None,
        mixtures: int = 1,
        dropout: float = 0.1,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        heads = math.gcd(8, channels) if heads is None else _at_least_one("heads", heads)
        if channels % heads:
            raise ValueError(f"heads must divide {channels} channels, got {heads}")
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must lie in [0, 1], got {dropout!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.mixtures = _at_least_one("mixtures", mixtures)
        self.implementation = implementation
        query_channels = mixtures * channels // heads
        self.scale = query_channels**-0.5
        self.query = nn.Conv2d(channels, heads * query_channels, 1)
        self.key = self.query
        self.value = nn.Conv2d(channels, channels, 1)
        self.mixture = nn.Parameter(torch.empty(mixtures, query_channels)) if mixtures > 1 else None
        if self.mixture is not None:
            nn.init.uniform_(self.mixture, -(mixtures**-0.5), mixtures**-0.5)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.dropout = nn.Dropout(dropout)
        self.affinity = MatMul()
        self.aggregate = MatMul()
        self.weigh = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        fast = self.implementation == "fast"
        pooled, query = self.pool(x), self.query(x)  # (N, C, ⌈H/2⌉, ⌈W/2⌉), (N, h·D, H, W)
        key = self.pool(query) if fast else self.key(pooled)  # (N, h·D, ⌈H/2⌉, ⌈W/2⌉)
        q, k, v = (
            y.reshape(len(x), self.heads, -1, y.shape[2] * y.shape[3])  # (N, h, D or C/h, H·W or s)
            for y in (query, key, self.value(pooled))
        )
        if fast and self.mixture is None and not (self.training and self.dropout.p):
            q, k, v = (y.mT.contiguous() for y in (q, k, v))  # torch's fused kernels take rows alone
            context = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)  # (N, h, H·W, C/h)
        else:
            context = self.aggregate(self._attention(q, k), v.mT)  # (N, h, H·W, C/h)
        y: Tensor = self.bn(self.out(context.mT.reshape(x.shape)))  # (N, C, H, W)
        return x + y

    def _attention(self, q: Tensor, k: Tensor) -> Tensor:
        """Queries (N, h, D, H·W) and keys (N, h, D, s) to the attention (N, h, H·W, s)."""
        if self.mixture is None:
            logits = self.affinity(q.mT, k) * self.scale  # (N, h, H·W, s)
            kept: Tensor = self.dropout(logits.softmax(dim=3))  # (N, h, H·W, s)
            return kept
        parts = (*q.shape[:2], self.mixtures, -1)
        queries, keys = (y.view(*parts, y.shape[3]) for y in (q, k))  # (N, h, m, D/m, H·W or s)
        logits = self.affinity(queries.mT, keys)  # (N, h, m, H·W, s)
        each = self.dropout((logits * self.scale).softmax(dim=4))  # (N, h, m, H·W, s)
        share = self.weigh(self.mixture, q.mean(3, keepdim=True)).softmax(dim=2)  # (N, h, m, 1)
        mixed: Tensor = (each * share.unsqueeze(4)).sum(2)  # (N, h, H·W, s)
        return mixed

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``ACFModule``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {name: f"conv_{name[0]}s" for name in ("query", "key", "value")}
        layers |= {"out": "conv", "bn": "norm_layer", "mixture": "attention.weight"}
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{layers[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
