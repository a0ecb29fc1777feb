"""Asymmetric fusion and pyramid non-local blocks (AFNB, APNB).

Zhen Zhu, Mengde Xu, Song Bai, Tengteng Huang, Xiang Bai. Asymmetric Non-local Neural Networks for Semantic
Segmentation. ICCV 2019.
Paper: https://arxiv.org/abs/1908.07678
Official code: https://github.com/MendelXu/ANN

N is the batch size, C the number of channels, H×W the map, n = H·W its positions; C_l, H_l, W_l and n_l are
those of the low-level features, K the channels of query and key, V those of the value, D those a layer puts
out; a W with an index is the weight of a 1×1 convolution, b its bias. High-level features X_h of C×n,
low-level features X_l of C_l×n_l. P averages over the cells of 1×1, 3×3, 6×6 and 8×8 grids, S = 110 anchors
in all (section 3)::

    q = ReLU(BN(W_q X_h + b_q))               K×n
    k = P(ReLU(BN(W_k X_l + b_k)))            K×S
    v = P(W_v X_l + b_v)                      V×S
    A = softmax over the anchors of kᵀq / √K  S×n
    context = W (v A) + b                     C×n    W and b start at zero
    Y = Dropout(BN(W_f [context; X_h] + b_f)) C×n

APNB has one input, shares the weights of key and query, and has a ReLU before the dropout.

``fast`` applies these 1×1 convolutions at the S anchors in place of all positions where that takes fewer
multiplications. W_v and, without ``norm``, W_k come after the pooling, an average: S against n_l columns. W
and the half of W_f over the context come before A, whose columns sum to one, W (v A) + b = (W v + b) A:
C S (E + n) against V S n + C E n, E = V + C, or V without ``fuse``. Without ``norm``, kᵀ(W_q X_h + b_q) =
(kᵀW_q) X_h + kᵀb_q: S (K C + K + C n) against K (C + S) n. All maps stay channels-first, so that nothing is
transposed in memory. The convolution that APNB's key and query share runs once. In eval mode each batch
normalisation is folded into the weights before it.

Differs from the paper: as in the released code, APNB shares key and query, where the paper's figure 3 shares
key and value, and the logits are divided by √K.

Differs from the released code: one stage (``sizes=[1]``) only, where that sums the contexts of several; there
AFNB's output may have another number of channels than X_h.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def _check_positive(**values: int) -> None:
    """Raise ValueError at the first of the options that is no integer of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _check_sequence(name: str, values: Sequence[int]) -> None:
    """Raise ValueError unless ``values`` is a sequence of one or more integers of at least 1."""
    if not isinstance(values, Sequence) or not values or any(not isinstance(v, int) or v < 1 for v in values):
        raise ValueError(f"{name} must be a sequence of integers of at least 1, got {values!r}")


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1×1 convolution of (N, C, S) to (N, D, S)."""
    weight, bias = conv.weight.flatten(1), conv.bias[:, None]  # type: ignore[index]  # (D, C), (D, 1)
    return torch.baddbmm(bias, weight.expand(len(x), -1, -1), x)  # (N, D, S)


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class ConvNorm(nn.Module):
    """A biased 1×1 convolution, then, each where asked for, batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool, relu: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels) if norm else None
        self.relu = nn.ReLU() if relu else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.conv(x)
        y = y if self.bn is None else self.bn(y)
        return y if self.relu is None else self.relu(y)

    def linear(self) -> tuple[Tensor, Tensor]:
        """The convolution's weight (D, C) and bias (D,), in eval mode with the normalisation folded in."""
        bn, weight, bias = self.bn, self.conv.weight.flatten(1), self.conv.bias  # (D, C), (D,)
        if bn is not None and not bn.training:
            scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
            weight = weight * scale[:, None]
            bias = (bias - bn.running_mean) * scale + bn.bias  # type: ignore[operator]
        return weight, bias  # type: ignore[return-value]

    def finish(self, y: Tensor) -> Tensor:
        """What is left to do with (N, D, H, W) after :meth:`linear`; may overwrite ``y``."""
        y = self.bn(y) if self.bn is not None and self.bn.training else y
        return y if self.relu is None else y.relu_()

    def fused(self, x: Tensor, uses: int = 1) -> Tensor:
        """What calling the module gives, (N, C, H, W) to (N, D, H, W), with fewer passes over memory.

        ``uses`` is how often the published order calls it, and so how often running statistics move.
        """
        weight, bias = self.linear()
        y = functional.conv2d(x, weight[:, :, None, None], bias)
        if self.bn is not None and self.bn.training:
            with torch.no_grad():
                for _ in range(uses - 1):
                    self.bn(y)
        return self.finish(y)


class Pyramid(nn.Module):
    """Adaptive average pools beside each other: (N, C, H, W) to (N, C, S), S = Σ size²."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d((size, size)) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the anchors of all sizes, (N, C, S)."""
        return torch.cat([pool(x).flatten(2) for pool in self.pools], dim=2)  # (N, C, S)


class _Asymmetric(nn.Module):
    """What AFNB and APNB have in common, all but the number of inputs."""

    _reduction: ClassVar[int]  # K and V are C over this where not given
    _shared: ClassVar[bool]  # key and query are one convolution, and a ReLU ends the block
    _released_norm: ClassVar[str]  # the authors' name of the last batch normalisation

    def __init__(
        self,
        channels: int,
        low_channels: int,
        key_channels: int | None,
        value_channels: int | None,
        psp_sizes: Sequence[int],
        norm: bool,
        fuse: bool,
        dropout: float,
        implementation: str,
    ) -> None:
        super().__init__()
        _check_positive(channels=channels, low_channels=low_channels)
        width = max(1, channels // self._reduction)
        key_channels, value_channels = (width if k is None else k for k in (key_channels, value_channels))
        _check_positive(key_channels=key_channels, value_channels=value_channels)
        _check_sequence("psp_sizes", psp_sizes)
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must lie in [0, 1], got {dropout!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.low_channels = low_channels
        self.implementation = implementation
        self.anchors = sum(size**2 for size in psp_sizes)
        self.scale = key_channels**-0.5
        self.key = ConvNorm(low_channels, key_channels, norm=norm, relu=norm)
        self.query = self.key if self._shared else ConvNorm(channels, key_channels, norm=norm, relu=norm)
        self.value = nn.Conv2d(low_channels, value_channels, 1)
        self.out = nn.Conv2d(value_channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.fuse = ConvNorm(2 * channels, channels, norm=True, relu=self._shared) if fuse else None
        self.dropout = nn.Dropout2d(dropout)
        self.key_pyramid = Pyramid(psp_sizes)
        self.value_pyramid = Pyramid(psp_sizes)
        self.affinity = MatMul()
        self.aggregate = MatMul()

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {"value": "stages.0.f_value", "out": "stages.0.W"}
        layers |= {"fuse.conv": "conv_bn_dropout.0", "fuse.bn": self._released_norm}
        for name in ("key", "query"):
            layers |= {f"{name}.conv": f"stages.0.f_{name}.0", f"{name}.bn": f"stages.0.f_{name}.1.0"}
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.rpartition(".")
            keys[key] = f"{layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _run(self, high: Tensor, low: Tensor) -> Tensor:
        """High (N, C, H, W) and low (N, C_l, H_l, W_l) to (N, C, H, W); ValueError for other shapes."""
        for x, channels in ((high, self.in_channels), (low, self.low_channels)):
            if x.dim() != 4 or x.shape[1] != channels:
                raise ValueError(f"expected (N, {channels}, H, W), got {tuple(x.shape)}")
        y = self._fast(high, low) if self.implementation == "fast" else self._published(high, low)
        return y if self.fuse is None else self.dropout(y)

    def _published(self, high: Tensor, low: Tensor) -> Tensor:
        """High (N, C, H, W) and low (N, C_l, H_l, W_l) to (N, C, H, W), before the dropout."""
        value = self.value_pyramid(self.value(low))  # (N, V, S)
        query = self.query(high).flatten(2)  # (N, K, H·W)
        key = self.key_pyramid(self.key(low))  # (N, K, S)
        attention = torch.softmax(  # (N, H·W, S)
            self.affinity(query.transpose(1, 2), key) * self.scale,  # (N, H·W, K) and (N, K, S)
            dim=2,
        )
        context = self.aggregate(attention, value.transpose(1, 2)).transpose(1, 2)  # (N, V, H·W)
        y: Tensor = self.out(context.reshape(len(high), -1, *high.shape[2:]))  # (N, V, H, W) to (N, C, H, W)
        if self.fuse is None:
            return y
        fused: Tensor = self.fuse(torch.cat([y, high], dim=1))  # (N, 2C, H, W) to (N, C, H, W)
        return fused

    def _fast(self, high: Tensor, low: Tensor) -> Tensor:
        """The same, W and its half of W_f at the anchors or at the positions, where they cost less."""
        channels, width, anchors = self.in_channels, self.out.in_channels, self.anchors
        n, after = high.shape[2] * high.shape[3], width + (0 if self.fuse is None else channels)
        pooled = self.value_pyramid(low) if anchors < low.shape[2] * low.shape[3] else None
        value = self._at_anchors(self.value, low, pooled)
        attention = self._fast_logits(high, low, pooled).softmax(dim=1)  # (N, S, H·W)
        if width * anchors * n + channels * after * n <= channels * anchors * (after + n):
            # A product, not the convolution: of two images that copies its input and its output.
            y = _pointwise(self.out, value @ attention).view(high.shape)  # (N, C, H, W)
            if self.fuse is None:
                return y
            return self.fuse.fused(torch.cat([y, high], dim=1))  # (N, 2C, H, W) to (N, C, H, W)
        context = _pointwise(self.out, value)  # (N, C, S)
        if self.fuse is None:
            return (context @ attention).view(high.shape)  # (N, C, H, W)
        weight, bias = self.fuse.linear()
        for_context, for_high = weight.chunk(2, dim=1)  # (C, C) each
        y = functional.conv2d(high, for_high[:, :, None, None])  # (N, C, H, W)
        at_anchors = for_context @ context + bias[:, None]  # (N, C, S)
        # Added in place, which autocast does not cast for: hence the dtypes by hand.
        y.flatten(2).baddbmm_(at_anchors.to(y.dtype), attention.to(y.dtype))  # (N, C, H·W)
        return self.fuse.finish(y)

    def _at_anchors(self, conv: nn.Conv2d, low: Tensor, pooled: Tensor | None) -> Tensor:
        """P of the convolution of ``low`` (N, C_l, H_l, W_l), (N, K or V, S).

        ``pooled`` is P of ``low`` itself, (N, C_l, S), where the pooling is to come first, else None.
        """
        y: Tensor = self.value_pyramid(conv(low)) if pooled is None else _pointwise(conv, pooled)
        return y

    def _fast_logits(self, high: Tensor, low: Tensor, pooled: Tensor | None) -> Tensor:
        """The logits (N, S, H·W); ``pooled`` is as for :meth:`_at_anchors`."""
        width, channels = self.query.conv.weight.shape[:2]
        n, uses = high.shape[2] * high.shape[3], 2 if self._shared else 1
        # A shared key needs its own convolution only where the query is not formed.
        moved = self.anchors * (width * (uses * channels + 1) + channels * n)
        if self.query.bn is None and moved < width * (channels + self.anchors) * n:
            key = self._at_anchors(self.key.conv, low, pooled) * self.scale  # (N, K, S)
            weight, bias = self.query.linear()
            return torch.baddbmm(  # (N, S, H·W)
                (bias @ key).unsqueeze(2),  # (N, S, 1)
                key.transpose(1, 2) @ weight,  # (N, S, C)
                high.flatten(2),  # (N, C, H·W)
            )
        query = self.query.fused(high, uses=uses)
        if self._shared:
            key = self.key_pyramid(query)
        elif self.key.bn is None:
            key = self._at_anchors(self.key.conv, low, pooled)
        else:
            key = self.key_pyramid(self.key.fused(low))
        logits: Tensor = (key * self.scale).transpose(1, 2) @ query.flatten(2)  # (N, S, H·W)
        return logits


class AFNB(_Asymmetric):
    """Asymmetric fusion non-local block: high (N, C, H, W), low (N, C_l, H_l, W_l) to (N, C, H, W).

    Args:
        channels: C, of the high-level features.
        low_channels: C_l, of the low-level features; C where not given.
        key_channels: K; C // 8 where not given (256 of 2048 as published).
        value_channels: V; C // 8 where not given.
        psp_sizes: the grids whose cells are averaged into anchors.
        norm: batch normalisation and ReLU after the key's and the query's convolution.
        fuse: concatenate the context with the high-level features, reduce to C channels, normalise, drop out;
            without it the context is returned.
        dropout: the probability of dropping a channel at the end.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or inputs that are not (N, C, H, W) and (N, C_l, H_l, W_l).

    """

    _reduction, _shared, _released_norm = 8, False, "conv_bn_dropout.1"

    def __init__(
        self,
        channels: int,
        *,
        low_channels: int | None = None,
        key_channels: int | None = None,
        value_channels: int | None = None,
        psp_sizes: Sequence[int] = (1, 3, 6, 8),
        norm: bool = True,
        fuse: bool = True,
        dropout: float = 0.05,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        low_channels = channels if low_channels is None else low_channels
        widths = (channels, low_channels, key_channels, value_channels)
        super().__init__(*widths, psp_sizes, norm, fuse, dropout, implementation)

    def forward(self, high: Tensor, low: Tensor | None = None) -> Tensor:
        """High (N, C, H, W) and low (N, C_l, H_l, W_l) to the fused features (N, C, H, W).

        ``low`` is ``high`` where there is one map. Raises ValueError for other shapes.
        """
        return self._run(high, high if low is None else low)


class APNB(_Asymmetric):
    """Asymmetric pyramid non-local block: (N, C, H, W) to (N, C, H, W).

    Arguments and errors are those of :class:`AFNB`, except that K and V are C // 2 where not given (256 of
    512 as published), and that a ReLU precedes the dropout.
    """

    _reduction, _shared, _released_norm = 2, True, "conv_bn_dropout.1.0"

    def __init__(
        self,
        channels: int,
        *,
        key_channels: int | None = None,
        value_channels: int | None = None,
        psp_sizes: Sequence[int] = (1, 3, 6, 8),
        norm: bool = True,
        fuse: bool = True,
        dropout: float = 0.05,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        widths = (channels, channels, key_channels, value_channels)
        super().__init__(*widths, psp_sizes, norm, fuse, dropout, implementation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the fused features of the same shape; ValueError for other channels."""
        return self._run(x, x)
