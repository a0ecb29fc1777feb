"""Deformable attention of DAT.

Zhuofan Xia, Xuran Pan, Shiji Song, Li Erran Li, Gao Huang. Vision Transformer with Deformable Attention. CVPR
2022.
Paper: https://arxiv.org/abs/2201.00520
Official code: https://github.com/LeapLabTHU/DAT (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d = C/h
channels each, g the groups of C/g channels with offsets of their own, s the stride and k×k the kernel of the
convolution that finds them, m = ⌈H/s⌉·⌈W/s⌉ the sampled positions; the W are 1×1 convolutions, with bias but
for W_Δ. X is the input as C×n; coordinates run from −1 to 1 (section 3.2)::

    Q = W_q X + b_q                                                 C×n
    Δ = W_Δ GELU(LN(D Q))                   for each group          2×m     D depthwise k×k of stride s
    p = clamp(r + Δ, −1, 1)                 for each group          2×m     r the reference points
    X̃ = X at p, bilinearly                  for each group          C×m
    K = W_k X̃ + b_k,  V = W_v X̃ + b_v                               C×m
    A = softmax over the m of (Qᵀ K/√d + B((x_i − p_j)/2))          n×m     for each head; x_i a position
    Y = W_o (V Aᵀ of all heads) + b_o                               C×n

B is a table of (2H−1)×(2W−1) for each head, between whose entries it is bilinear too, and so has a value for
maps of any size. With ``offset_range`` R, p = r + R tanh(Δ)/(H_k − 1, W_k − 1), of H_k×W_k sampled ones.

``fast`` attends 512 positions at a time; B's n×m values of a head are never there at once.

Differs from the paper: it has the tanh, the published networks the clamp.

Differs from the released code: there r = 2(i + 1/2)/(H_k − 1) − 1 for i = 0 … H_k − 1, which is off by half a
cell and leaves the map at the far side; here, as in the paper, r = 2i/(H_k − 1) − 1, from corner to corner,
and theirs with ``half_cell``. A single row or column lies in the middle. Fixed positions, a logarithmic or
convolved position term and the dropouts are not here. ``heads`` and ``groups`` have no defaults there; here
they are as in the last stage of its networks, whose stride and kernel are the defaults too.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 512
"""Positions that attend at a time, as in DANet's position attention."""

# The layers here, and what the authors call them.
_RELEASED = {
    "bias_table": "rpe_table",
    "offset_conv": "conv_offset.0",
    "offset_norm": "conv_offset.1.norm",
    "offset": "conv_offset.3",
    "query": "proj_q",
    "key": "proj_k",
    "value": "proj_v",
    "proj": "proj_out",
}


def _divisor(name: str, value: int, of: int) -> int:
    """``value`` itself; raises ValueError where it is no divisor of ``of``."""
    if not isinstance(value, int) or value < 1 or of % value:
        raise ValueError(f"{name} must be a divisor of {of}, got {value!r}")
    return value


class DeformableAttention(nn.Module):
    """Deformable attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        heads: h, a divisor of C; C/32 where not given, or one where C is no multiple of 32.
        groups: g, a divisor of the heads; half of them where not given, or one where they are odd.
        kernel_size: k, odd.
        stride: s, less than k, or 1.
        offset_range: R, of at least 0; not given, positions are clamped.
        half_cell: the reference points of the released code, off by half a cell.
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
        groups: int | None = None,
        kernel_size: int = 3,
        stride: int = 1,
        offset_range: float | None = None,
        half_cell: bool = False,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        heads = _divisor(
            "heads", (1 if channels % 32 else channels // 32) if heads is None else heads, channels
        )
        groups = _divisor("groups", (1 if heads % 2 else heads // 2) if groups is None else groups, heads)
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        if not isinstance(stride, int) or not 1 <= stride <= max(1, kernel_size - 1):
            raise ValueError(f"stride must be an integer of at least 1, below kernel_size, got {stride!r}")
        if offset_range is not None and (
            not isinstance(offset_range, int | float) or not 0 <= offset_range < math.inf
        ):
            raise ValueError(f"offset_range must be a number of at least 0 or None, got {offset_range!r}")
        if not isinstance(half_cell, bool):
            raise ValueError(f"half_cell must be True or False, got {half_cell!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.size = (size[0], size[1])
        self.heads, self.groups = heads, groups
        self.offset_range, self.half_cell = offset_range, half_cell
        self.implementation = implementation
        width = channels // groups
        self.bias_table = nn.Parameter(torch.empty(heads, 2 * size[0] - 1, 2 * size[1] - 1))
        nn.init.normal_(self.bias_table, std=0.01)
        self.offset_conv = nn.Conv2d(
            width, width, kernel_size, stride=stride, padding=kernel_size // 2, groups=width
        )
        self.offset_norm = nn.LayerNorm(width)
        self.offset = nn.Conv2d(width, 2, 1, bias=False)
        self.query, self.key, self.value, self.proj = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        q = self.query(x)  # (N, C, H, W)
        at = self._positions(q)  # (N·g, m, 2)
        of_groups = x.reshape(len(at), -1, *x.shape[2:])  # (N·g, C/g, H, W)
        sampled = _sample(of_groups, at.unsqueeze(1))  # (N·g, C/g, 1, m)
        sampled = sampled.to(x.dtype).view(len(x), -1, 1, sampled.shape[3])  # (N, C, 1, m)
        split = (len(x), self.heads, x.shape[1] // self.heads, -1)
        q = q.reshape(split) / math.sqrt(split[2])  # (N, h, d, n)
        k, v = self.key(sampled).view(split), self.value(sampled).view(split)  # (N, h, d, m) each
        here = _grid(x.shape[2], x.shape[3], at, half_cell=False)  # (n, 2)
        block = _BLOCK if self.implementation == "fast" else len(here)
        y = [
            v @ (some.mT @ k + self._bias(of, at, q)).softmax(dim=3).mT  # (N, h, d, B)
            for some, of in zip(torch.split(q, block, dim=3), torch.split(here, block), strict=True)
        ]
        projected: Tensor = self.proj(torch.cat(y, dim=3).view(x.shape))  # (N, C, H, W)
        return projected

    def _positions(self, q: Tensor) -> Tensor:
        """Of Q (N, C, H, W) p, the column and row of each sampled position: (N·g, m, 2)."""
        of_groups = q.reshape(len(q) * self.groups, -1, *q.shape[2:])  # (N·g, C/g, H, W)
        found = self.offset_norm(self.offset_conv(of_groups).movedim(1, 3))  # (N·g, H_k, W_k, C/g)
        offset = self.offset(functional.gelu(found).movedim(3, 1))  # (N·g, 2, H_k, W_k)
        height, width = offset.shape[2:]
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        offset = offset.flip(1).flatten(2).mT  # (N·g, m, 2), W_Δ having the row first
        reference = _grid(height, width, offset, half_cell=self.half_cell)  # (m, 2)
        if self.offset_range is None:
            return torch.clamp(offset + reference, -1, 1)
        cells = offset.new_tensor([max(1, width - 1), max(1, height - 1)])  # (2,)
        ranged: Tensor = offset.tanh() * self.offset_range / cells + reference
        return ranged

    def _bias(self, here: Tensor, at: Tensor, like: Tensor) -> Tensor:
        """B between positions (B, 2) and sampled ones (N·g, m, 2), as ``like`` has it: (N, h, B, m)."""
        apart = torch.sub(here.unsqueeze(1) / 2, at.unsqueeze(1), alpha=0.5)  # (N·g, B, m, 2)
        table = self.bias_table.view(self.groups, -1, *self.bias_table.shape[1:])  # (g, h/g, 2H-1, 2W-1)
        bias = _sample(table.repeat(len(like), 1, 1, 1), apart)  # (N·g, h/g, B, m)
        return bias.to(like.dtype).view(len(like), self.heads, *apart.shape[1:3])  # (N, h, B, m)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``DAttentionBaseline``.

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


def _grid(height: int, width: int, like: Tensor, *, half_cell: bool) -> Tensor:
    """The columns and rows of a map's positions, from −1 to 1: (H·W, 2)."""
    first = 0.5 if half_cell else 0.0
    rows, columns = (
        (torch.arange(side, device=like.device, dtype=like.dtype) + first) * (2 / (side - 1)) - 1
        if side > 1
        else like.new_zeros(1)
        for side in (height, width)
    )
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)  # (H, W, 2)
    return places.flatten(0, 1)  # (H·W, 2)


def _sample(x: Tensor, at: Tensor) -> Tensor:
    """(N, c, H, W) at columns and rows (N, a, b, 2) from −1 to 1, bilinearly, zero outside: (N, c, a, b)."""
    return functional.grid_sample(x.to(at.dtype), at, align_corners=True)
