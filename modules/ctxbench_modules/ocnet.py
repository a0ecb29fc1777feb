"""Object context of OCNet, its base form.

Yuhui Yuan, Jingdong Wang. OCNet: Object Context Network for Scene Parsing. arXiv 2018.
Paper: https://arxiv.org/abs/1809.00916
Official code: https://github.com/openseg-group/OCNet.pytorch (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, K the channels of query and
key, V of the values; φ is a batch normalisation and a leaky ReLU of slope 0.01; a W with an index is the
weight of a 1×1 convolution, b its bias. X is the input as C×n (section 3)::

    q = k = φ(W_k X + b_k)                       K×n    one layer for both
    v = W_v X + b_v                              V×n
    A = softmax over each row of qᵀ k / √K       n×n    the object context map
    Z = W_o v Aᵀ + b_o                           C×n    W_o and b_o start at zero
    Y = dropout(φ(W_f [Z; X] + b_f))             C×n    W_f C×2C

``fast`` runs the shared layer once, attends without storing the n×n map, and applies W_fz W_o, one product of
weights, in place of W_o and then W_fz, the half of W_f that reads Z, where that takes fewer multiplications:
nothing non-linear stands between them.

Differs from the paper: as in the released code, the convolutions have biases, and the leaky ReLU is that of
its in-place batch normalisation.

Differs from the released code: it runs the shared layer twice, as ``published`` does, so that its running
statistics move twice a pass; its context over several scales is not here.
"""

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


class ConvNorm(nn.Module):
    """A 1×1 convolution, batch normalisation and leaky ReLU: (N, C, H, W) to (N, D, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class ObjectContext(nn.Module):
    """Base object context module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        key_channels: K; C // 2 where not given.
        value_channels: V; C // 2 where not given.
        dropout: the probability of dropping a channel at the end.
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
        dropout: float = 0.05,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        half = max(1, _at_least_one("channels", channels) // 2)
        key = half if key_channels is None else _at_least_one("key_channels", key_channels)
        value = half if value_channels is None else _at_least_one("value_channels", value_channels)
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must lie in [0, 1], got {dropout!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.scale = key**-0.5
        self.key = ConvNorm(channels, key)
        self.query = self.key
        self.value = nn.Conv2d(channels, value, 1)
        self.out = nn.Conv2d(value, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.fuse = ConvNorm(2 * channels, channels)
        self.dropout = nn.Dropout2d(dropout)
        self.affinity = MatMul()
        self.aggregate = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        y: Tensor = self.dropout(self._fast(x) if self.implementation == "fast" else self._published(x))
        return y

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, before the dropout."""
        q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))  # (N, K or V, H·W)
        attention = (self.affinity(q.mT, k) * self.scale).softmax(dim=2)  # (N, H·W, H·W), a row a query
        context = self.aggregate(v, attention.mT)  # (N, V, H·W)
        z = self.out(context.view(len(x), -1, *x.shape[2:]))  # (N, V, H, W) to (N, C, H, W)
        y: Tensor = self.fuse(torch.cat([z, x], dim=1))  # (N, 2C, H, W) to (N, C, H, W)
        return y

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, before the dropout."""
        shared = self.key.conv(x)  # (N, K, H, W)
        if self.key.bn.training:
            with torch.no_grad():
                self.key.bn(shared)  # the published order calls it twice, and so moves its statistics twice
        # Copied into rows, and with an axis of one head: what torch's fused kernels take.
        rows = self.key.act(self.key.bn(shared)).flatten(2).mT.contiguous().unsqueeze(1)  # (N, 1, H·W, K)
        value = self.value(x).flatten(2).mT.contiguous().unsqueeze(1)  # (N, 1, H·W, V)
        context = functional.scaled_dot_product_attention(rows, rows, value, scale=self.scale)
        context = context.squeeze(1).mT  # (N, V, H·W)
        return self._fused(context.reshape(len(x), -1, *x.shape[2:]), x)  # (N, V, H, W) to (N, C, H, W)

    def _fused(self, context: Tensor, x: Tensor) -> Tensor:
        """φ(W_f [Z; X] + b_f) of v Aᵀ (N, V, H, W) and X (N, C, H, W)."""
        positions = len(x) * x.shape[2] * x.shape[3]
        if context.shape[1] + 1 >= positions:  # W_fz W_o would take more than it saves
            y: Tensor = self.fuse(torch.cat([self.out(context), x], dim=1))  # (N, 2C, H, W)
            return y
        weight, bias = self.fuse.conv.weight, self.fuse.conv.bias  # (C, 2C, 1, 1), (C,)
        for_z, for_x = weight.flatten(1).chunk(2, dim=1)  # (C, C) each
        merged = for_z @ self.out.weight.flatten(1)  # (C, V)
        shift = torch.addmv(bias, for_z, self.out.bias)  # type: ignore[arg-type]  # (C,)
        both = torch.cat([merged, for_x], dim=1)[:, :, None, None]  # (C, V + C, 1, 1)
        y = functional.conv2d(torch.cat([context, x], dim=1), both, shift)  # (N, V + C, H, W) to (N, C, H, W)
        y = self.fuse.act(self.fuse.bn(y))  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``BaseOC_Module``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {"value": "stages.0.f_value", "out": "stages.0.W"}
        layers |= {"fuse.conv": "conv_bn_dropout.0", "fuse.bn": "conv_bn_dropout.1.bn"}
        for name in ("key", "query"):
            layers |= {f"{name}.conv": f"stages.0.f_{name}.0", f"{name}.bn": f"stages.0.f_{name}.1.bn"}
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.rpartition(".")
            keys[key] = f"{layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
