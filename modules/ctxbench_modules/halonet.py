"""Halo attention: blocks of queries look at their block and a halo around it.

Ashish Vaswani, Prajit Ramachandran, Aravind Srinivas, Niki Parmar, Blake Hechtman, Jonathon Shlens. Scaling
Local Self-Attention for Parameter Efficient Visual Backbones. CVPR 2021.
Paper: https://arxiv.org/abs/2103.12731
Official code: none for PyTorch. Held against a port: https://github.com/huggingface/pytorch-image-models
(Apache-2.0)

N is the batch size, C the number of channels, H×W the map, h the heads of c = C/h channels each, b×b a block
of queries, a the halo, s = b + 2a the side of the window of its keys; o is a position in the block, p one in
the window, in rows (index r) and columns (index t). X is the input; the W are 1×1 convolutions without bias::

    Q = W_q X,  K = W_k X,  V = W_v X                                            c×n for each head
    E(o, p) = q_o·k_p/√c + q_o·R_rows(p_r − o_r) + q_o·R_columns(p_t − o_t)      b²×s² for each block
    y_o = Σ_p softmax over p of E(o, p) v_p                                      c×b²

The two tables R, of (2s−1)×c, are shared by the heads.

Differs from the paper: it is held against the port alone, so that, as there, positions outside the map take
part, with keys and values of zero; the terms of position are not divided by √c; no projection follows.

Differs from the port: a side that is no multiple of b is padded with zeros at its end, which take part as
those outside the map do. Where C is no multiple of 8, ``heads`` is by default their greatest common divisor.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The parameters here, and what the port calls them.
_RELEASED = {
    "rows": "pos_embed.height_rel",
    "columns": "pos_embed.width_rel",
    "query.weight": "q.weight",
    "key_value.weight": "kv.weight",
}


class HaloAttention(nn.Module):
    """Halo attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        block: b.
        halo: a.
        heads: h, a divisor of C; where not given 8, or the greatest common divisor of 8 and C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, block: int = 8, halo: int = 3, heads: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(block, int) or block < 1:
            raise ValueError(f"block must be an integer of at least 1, got {block!r}")
        if not isinstance(halo, int) or halo < 0:
            raise ValueError(f"halo must be an integer of at least 0, got {halo!r}")
        heads = math.gcd(8, channels) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        self.in_channels = self.out_channels = channels
        self.block = block
        self.halo = halo
        self.heads = heads
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        width, side = channels // heads, block + 2 * halo
        self.rows = nn.Parameter(torch.randn(2 * side - 1, width) / math.sqrt(width))
        self.columns = nn.Parameter(torch.randn(2 * side - 1, width) / math.sqrt(width))
        for conv in (self.query, self.key_value):
            nn.init.normal_(conv.weight, std=1 / math.sqrt(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        (batch, channels, height, width), b, heads = x.shape, self.block, self.heads
        if height % b or width % b:
            x = functional.pad(x, (0, -width % b, 0, -height % b))  # (N, C, R·b, T·b)
        r, t = x.shape[2] // b, x.shape[3] // b
        q = self.query(x).view(batch, heads, -1, r, b, t, b)  # (N, h, c, R, b, T, b)
        q = q.permute(0, 1, 3, 5, 4, 6, 2).flatten(2, 3)  # (N, h, R·T, b, b, c)
        side = b + 2 * self.halo
        windows = functional.unfold(self.key_value(x), side, padding=self.halo, stride=b)  # (N, 2C·s², R·T)
        shape = (batch, heads, 2, channels // heads, side * side, r * t)
        keys_values = windows.view(shape)  # (N, h, 2, c, s², R·T)
        k, v = keys_values.permute(2, 0, 1, 5, 3, 4).unbind()  # (N, h, R·T, c, s²) twice
        content = q.flatten(3, 4) @ k / math.sqrt(channels // heads)  # (N, h, R·T, b², s²)
        attention = (content + self._places(q, side)).softmax(dim=-1)  # (N, h, R·T, b², s²)
        y = (attention @ v.mT).view(batch, heads, r, t, b, b, -1)  # (N, h, R, T, b, b, c)
        y = y.permute(0, 1, 6, 2, 4, 3, 5).reshape(x.shape)  # (N, C, R·b, T·b)
        cropped: Tensor = y[:, :, :height, :width]  # (N, C, H, W)
        return cropped

    def _places(self, q: Tensor, side: int) -> Tensor:
        """Queries (N, h, R·T, b, b, c) to their terms of position, (N, h, R·T, b², s²)."""
        of_rows, of_columns = q @ self.rows.t(), q @ self.columns.t()  # (N, h, R·T, b, b, 2s-1) each
        spans = [slice(side - 1 - i, 2 * side - 1 - i) for i in range(self.block)]  # p - i for each p
        by_row = [of_rows[..., i, :, span] for i, span in enumerate(spans)]
        by_column = [of_columns[..., i, span] for i, span in enumerate(spans)]
        of_rows = torch.stack(by_row, dim=3)  # (N, h, R·T, b, b, s)
        of_columns = torch.stack(by_column, dim=4)  # (N, h, R·T, b, b, s)
        both = of_rows.unsqueeze(-1) + of_columns.unsqueeze(-2)  # (N, h, R·T, b, b, s, s)
        return both.flatten(5, 6).flatten(3, 4)  # (N, h, R·T, b², s²)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the port's ``HaloAttn``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(_RELEASED.values()) - set(state), set(state) - set(_RELEASED.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in _RELEASED.items()})
