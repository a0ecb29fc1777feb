"""CCNet: Criss-Cross Attention for Semantic Segmentation.

Zilong Huang, Xinggang Wang, Lichao Huang, Chang Huang, Yunchao Wei, Wenyu Liu. ICCV 2019.
Paper: https://arxiv.org/abs/1811.11721
Official code: https://github.com/speedinghzl/CCNet

N is the batch size, C the number of channels, H×W the map, C' = C/8 the channels of query and key; a W with
an index is the weight of a 1×1 convolution, b its bias. Recurrent criss-cross attention (RCCA); one pass,
with X the input (section 3.2)::

    q = W_q X + b_q,  k = W_k X + b_k                    C'×H×W   (1×1 convolutions)
    v = W_v X + b_v                                      C×H×W
    d(i, j) = [q(i,j)·k(i',j) for i' ≠ i] + [q(i,j)·k(i,j') for every j']     H+W-1 logits (eq. 1)
    A(i, j) = softmax of d(i, j), one over column and row
    X'(i, j) = γ Σ A(i, j) v over column and row + X(i, j)                    C     (eq. 2)

and RCCA is R passes with the same weights. γ is a scalar that starts at zero.

Differs from the paper: γ, which the released code has and eq. 2 has not.

Differs from the released code: nothing in the module; there the reducing and expanding 3×3 convolutions
around it belong to the same class, and here they are left to the network. Where C < 8, query and key have
one channel, and theirs none.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

# The parameters here, and what the authors call them.
_RELEASED = {
    "query": "cca.query_conv",
    "key": "cca.key_conv",
    "value": "cca.value_conv",
    "gamma": "cca.gamma",
}


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class RCCA(nn.Module):
    """Recurrent criss-cross attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        recurrence: R.
        implementation: ``"fast"`` keeps queries, keys and values as rows of one product, (N, H, W, C), of
            which columns and rows are strided views, and never forms the input of a later pass: with S the
            context so far, its q, k, v are those of X plus γ W S. ``"published"`` copies q, k, v once for
            columns and once for rows, and masks the own position in the column by adding -∞.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, recurrence: int = 2, implementation: Literal["fast", "published"] = "fast"
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        _at_least_one("recurrence", recurrence)
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.recurrence = recurrence
        self.implementation = implementation
        width = max(1, channels // 8)
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        if implementation == "published":
            self.column_affinity = MatMul()
            self.row_affinity = MatMul()
            self.softmax = nn.Softmax(dim=3)
            self.column_aggregate = MatMul()
            self.row_aggregate = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if self.implementation == "fast":
            return self._fast(x)
        for _ in range(self.recurrence):
            x = self._published_pass(x)
        return x

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict whose ``cca`` is the authors' ``CrissCrossAttention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _fast(self, x: Tensor) -> Tensor:
        """All R passes, (N, C, H, W) to the same shape. D = 2C' + C, the channels of q, k and v together."""
        batch, _, height, width = x.shape
        layers = (self.query, self.key, self.value)
        weight = torch.cat([layer.weight.flatten(1) for layer in layers]).t()  # (C, D)
        bias = torch.cat([layer.bias for layer in layers])  # type: ignore[misc]  # (D,)
        grid = (batch, height, width, -1)
        first = torch.baddbmm(  # (N, H·W, D): q, k, v of X
            bias,
            x.flatten(2).transpose(1, 2),  # (N, H·W, C)
            weight.expand(batch, -1, -1),  # (N, C, D)
        )
        context = self._criss_cross(first.view(grid))  # (N, H, W, D) to (N, H, W, C)
        for _ in range(self.recurrence - 1):
            rows = torch.baddbmm(  # (N, H·W, D): q, k, v of X + γ S
                first,
                context.flatten(1, 2),  # (N, H·W, C)
                (self.gamma * weight).expand(batch, -1, -1),  # (N, C, D)
            )
            context = context + self._criss_cross(rows.view(grid))  # (N, H, W, C), the S of all passes so far
        context = self.gamma * context
        across = context.permute(0, 3, 1, 2)  # (N, C, H, W)
        # The same view as ``across``, but the backward of as_strided writes the gradient in the layout of
        # ``context``, of which columns and rows are strided views; after permute's they would be copies.
        return x + context.as_strided(across.shape, across.stride())  # (N, C, H, W)

    def _criss_cross(self, projected: Tensor) -> Tensor:
        """(N, H, W, 2C' + C), the channels of q, k, v side by side, to the context (N, H, W, C)."""
        height = projected.shape[1]
        sizes = [layer.out_channels for layer in (self.query, self.key, self.value)]
        row_q, row_k, row_v = torch.split(projected, sizes, dim=3)  # (N, H, W, C') twice, (N, H, W, C)
        column_q, column_k, column_v = (
            t.transpose(1, 2)  # (N, W, H, C') twice, (N, W, H, C)
            for t in (row_q, row_k, row_v)
        )
        column_logits = column_q @ column_k.mT  # (N, W, H, H)
        squares = column_logits.view(*column_logits.shape[:2], height * height)  # (N, W, H·H)
        squares[:, :, :: height + 1].fill_(-torch.inf)  # (N, W, H), the own positions: the row counts them
        logits = torch.cat([column_logits.transpose(1, 2), row_q @ row_k.mT], dim=3)  # (N, H, W, H + W)
        column, row = logits.softmax(dim=3).tensor_split([height], dim=3)  # (N, H, W, H), (N, H, W, W)
        return row @ row_v + (column.transpose(1, 2) @ column_v).transpose(1, 2)  # (N, H, W, C)

    def _published_pass(self, x: Tensor) -> Tensor:
        """One pass, (N, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        q, k, v = self.query(x), self.key(x), self.value(x)
        column_q, column_k, column_v = (
            t.permute(0, 3, 1, 2).contiguous().flatten(0, 1)  # (N·W, C', H) twice, (N·W, C, H)
            for t in (q, k, v)
        )
        row_q, row_k, row_v = (
            t.permute(0, 2, 1, 3).contiguous().flatten(0, 1)  # (N·H, C', W) twice, (N·H, C, W)
            for t in (q, k, v)
        )
        # -∞ at the own position in the column: the row counts it.
        own = torch.full((height,), -torch.inf, dtype=x.dtype, device=x.device).diag()  # (H, H)
        column_logits = self.column_affinity(column_q.transpose(1, 2), column_k) + own  # (N·W, H, H)
        row_logits = self.row_affinity(row_q.transpose(1, 2), row_k)  # (N·H, W, W)
        column_logits = column_logits.view(batch, width, height, height).transpose(1, 2)  # (N, H, W, H)
        row_logits = row_logits.view(batch, height, width, width)  # (N, H, W, W)
        logits = torch.cat([column_logits, row_logits], dim=3)  # (N, H, W, H + W)
        column, row = self.softmax(logits).tensor_split([height], dim=3)
        column = column.transpose(1, 2).contiguous().flatten(0, 1)  # (N·W, H, H)
        row = row.contiguous().flatten(0, 1)  # (N·H, W, W)
        from_column = self.column_aggregate(column_v, column.transpose(1, 2))  # (N·W, C, H)
        from_row = self.row_aggregate(row_v, row.transpose(1, 2))  # (N·H, C, W)
        in_columns = from_column.view(batch, width, -1, height).permute(0, 2, 3, 1)  # (N, C, H, W)
        in_rows = from_row.view(batch, height, -1, width).transpose(1, 2)  # (N, C, H, W)
        y: Tensor = self.gamma * (in_columns + in_rows) + x
        return y
