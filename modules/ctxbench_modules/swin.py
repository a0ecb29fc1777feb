"""Window attention, regular and shifted (W-MSA and SW-MSA of the Swin Transformer).

Ze Liu, Yutong Lin, Yue Cao, Han Hu, Yixuan Wei, Zheng Zhang, Stephen Lin, Baining Guo. Swin Transformer:
Hierarchical Vision Transformer using Shifted Windows. ICCV 2021.
Paper: https://arxiv.org/abs/2103.14030
Official code: https://github.com/microsoft/Swin-Transformer (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d = C/h
channels each, and M the side of a window. For each window Z of C×M² (section 3.2)::

    [q, k, v] = W Z + b                                            C×M² each
    A = softmax over each row of qᵀ k / √d + B, for each head      M²×M²    (eq. 4)
    Y = W_p (v Aᵀ of all heads) + b_p                              C×M²

B(i, j) is a learned number for each head and each of the (2M−1)² offsets of two positions of a window. Heads
are C/32. Shifted, the map is rolled up and left by ⌊M/2⌋ before it is cut and back afterwards, and 100 is
taken from the logits of two positions that are not neighbours in the map.

Differs from the paper: nothing.

Differs from the released code: the layer normalisation before the block, the skip connection and the dropouts
are not here. A map that M does not divide is padded with zeros at the right and at the bottom, and these
positions take part as keys, as in the authors' code for segmentation; that for classification fails. A map
no larger than a window is there one window that is neither padded nor shifted. Where C/32 is no divisor of C,
the heads are their greatest common divisor.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "bias_table": "relative_position_bias_table",
    "qkv.weight": "qkv.weight",
    "qkv.bias": "qkv.bias",
    "proj.weight": "proj.weight",
    "proj.bias": "proj.bias",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class WindowAttention(nn.Module):
    """Window attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        window: M.
        heads: h, a divisor of C; where not given C // 32, or its greatest common divisor with C.
        shifted: the windows are those of the map rolled by ⌊M/2⌋.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, window: int = 7, heads: int | None = None, shifted: bool = False
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        _at_least_one("window", window)
        default = math.gcd(max(1, channels // 32), channels)
        heads = default if heads is None else _at_least_one("heads", heads)
        if channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads}")
        if not isinstance(shifted, bool):
            raise ValueError(f"shifted must be True or False, got {shifted!r}")
        self.in_channels = self.out_channels = channels
        self.window = window
        self.heads = heads
        self.shift = window // 2 if shifted else 0
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        batch, channels, height, width = x.shape
        m, heads = self.window, self.heads
        if height % m or width % m:
            x = functional.pad(x, (0, -width % m, 0, -height % m))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (2, 3))
        down, across = x.shape[2] // m, x.shape[3] // m
        z = x.view(batch, channels, down, m, across, m).permute(0, 2, 4, 3, 5, 1)  # (N, ↓, →, M, M, C)
        z = z.reshape(batch, down * across, m * m, channels)  # (N, windows, M², C)
        qkv = self.qkv(z).unflatten(3, (3, heads, -1))  # (N, windows, M², 3, h, d)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)  # (N, windows, h, M², d) each
        logits = (q * (channels // heads) ** -0.5) @ k.mT + self._bias()  # (N, windows, h, M², M²)
        if self.shift:
            logits = logits + self._apart(down, across, logits)[:, None]  # (windows, 1, M², M²)
        context = logits.softmax(dim=-1) @ v  # (N, windows, h, M², d)
        y: Tensor = self.proj(context.transpose(2, 3).flatten(3))  # (N, windows, M², C)
        y = y.view(batch, down, across, m, m, channels).permute(0, 5, 1, 3, 2, 4)  # (N, C, ↓, M, →, M)
        y = y.reshape(x.shape)  # (N, C, ↓·M, →·M)
        if self.shift:
            y = y.roll((self.shift, self.shift), (2, 3))
        return y[:, :, :height, :width]

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``WindowAttention``, whose table of indices is not needed.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        expected = {*_RELEASED.values(), "relative_position_index"}
        missing, unexpected = expected - set(state), set(state) - expected
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in _RELEASED.items()})

    def _bias(self) -> Tensor:
        """B, (h, M², M²): a query's row less a key's, times 2M−1, and the same of the columns."""
        m = self.window
        side = torch.arange(m, device=self.bias_table.device)
        offset = side[:, None] - side + m - 1  # (M, M), 0 … 2M-2
        index = offset[:, None, :, None] * (2 * m - 1) + offset[None, :, None, :]  # (M, M, M, M)
        return self.bias_table[index.reshape(m * m, m * m)].permute(2, 0, 1)  # (h, M², M²)

    def _apart(self, down: int, across: int, like: Tensor) -> Tensor:
        """−100 where two positions of a window come from opposite ends of the map, (windows, M², M²)."""
        m, parts = self.window, []
        for windows in (down, across):
            side = torch.arange(windows * m, device=like.device)
            rolled = side >= side.numel() - self.shift  # over the end
            parts.append(rolled.view(windows, m))  # (windows, M)
        rows, columns = parts
        region = 2 * rows[:, None, :, None].long() + columns[None, :, None, :]  # (↓, →, M, M)
        region = region.view(down * across, m * m)  # (windows, M²)
        return -100.0 * (region[:, :, None] != region[:, None, :]).to(like.dtype)  # (windows, M², M²)
