"""Agent attention.

Dongchen Han, Tianzhu Ye, Yizeng Han, Zhuofan Xia, Siyuan Pan, Pengfei Wan, Shiji Song, Gao Huang. Agent
Attention: On the Integration of Softmax and Linear Attention. ECCV 2024.
Paper: https://arxiv.org/abs/2312.08874
Official code: https://github.com/LeapLabTHU/Agent-Attention (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of c = C/h
channels each, a the agents, of which there are √a×√a; the W are 1×1 convolutions. X is the input as C×n; for
each head::

    Q = W_q X + b_q,  K = W_k X + b_k,  V = W_v X + b_v              c×n
    A = adaptive mean of Q over √a×√a regions of the map             c×a    agents
    V_A = softmax over positions of (Aᵀ K/√c + B₁), times Vᵀ         a×c    agent aggregation
    Y = softmax over agents of (Qᵀ A/√c + B₂), times V_A             n×c    agent broadcast
    Z = W_o (Y + D V) + b_o over all heads                           C×n    D depthwise 3×3, with bias

B₁, a×n, is the sum of a bias of a×7×7 resampled to the map, bilinearly, of one of a×H and one of a×W; so is
B₂, n×a. They depend on the size; a map of another size than the weights' is resampled to that size and back,
bilinearly, corners aligned.

Differs from the paper: nothing.

Differs from the released code: the window is the whole map, and need not be square. ``heads`` has no default
there; here a head has 32 channels, or all where C is no multiple of 32. Its dropouts, zero by default, are
not here.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

_GRID = 7  # the side of the biases that are resampled

# The layers here, and what the authors call them.
_RELEASED = {
    "gather_grid": "an_bias",
    "gather_rows": "ah_bias",
    "gather_columns": "aw_bias",
    "spread_grid": "na_bias",
    "spread_rows": "ha_bias",
    "spread_columns": "wa_bias",
    "qkv": "qkv",
    "depthwise": "dwc",
    "proj": "proj",
}


class AgentAttention(nn.Module):
    """Agent attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        heads: h, a divisor of C; C/32 where not given, or one where C is no multiple of 32.
        agents: a, a square number.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, size: tuple[int, int], heads: int | None = None, agents: int = 49
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        heads = (1 if channels % 32 else channels // 32) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        if not isinstance(agents, int) or agents < 1 or math.isqrt(agents) ** 2 != agents:
            raise ValueError(f"agents must be a square number of at least 1, got {agents!r}")
        self.in_channels = self.out_channels = channels
        self.size = (size[0], size[1])
        self.heads = heads
        self.side = math.isqrt(agents)
        self.gather_grid = nn.Parameter(torch.empty(heads, agents, _GRID, _GRID))
        self.gather_rows = nn.Parameter(torch.empty(1, heads, agents, size[0], 1))
        self.gather_columns = nn.Parameter(torch.empty(1, heads, agents, 1, size[1]))
        self.spread_grid = nn.Parameter(torch.empty(heads, agents, _GRID, _GRID))
        self.spread_rows = nn.Parameter(torch.empty(1, heads, size[0], 1, agents))
        self.spread_columns = nn.Parameter(torch.empty(1, heads, 1, size[1], agents))
        for bias in self.parameters():
            nn.init.normal_(bias, std=0.02)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        resampled = _resample(x, self.size)
        q, k, v = self.qkv(resampled).chunk(3, dim=1)  # (N, C, H, W) each
        agents = self._split(functional.adaptive_avg_pool2d(q, self.side))  # (N, h, a, c)
        agents = agents / math.sqrt(agents.shape[3])  # for both products
        to_agents, from_agents = self._biases()  # (1, h, a, H·W), (1, h, H·W, a)
        gather = (agents @ self._split(k).mT + to_agents).softmax(dim=-1)  # (N, h, a, H·W)
        values = gather @ self._split(v)  # (N, h, a, c)
        spread = (self._split(q) @ agents.mT + from_agents).softmax(dim=-1)  # (N, h, H·W, a)
        y = (spread @ values).mT.reshape(q.shape)  # (N, C, H, W)
        return _resample(self.proj(y + self.depthwise(v)), (x.shape[2], x.shape[3]))

    def _split(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to its heads, (N, h, H·W, c)."""
        return x.reshape(len(x), self.heads, -1, x.shape[2] * x.shape[3]).mT  # (N, h, H·W, c)

    def _biases(self) -> tuple[Tensor, Tensor]:
        """B₁, (1, h, a, H·W), and B₂, (1, h, H·W, a)."""
        grids = (self.gather_grid, self.spread_grid)
        resized = (functional.interpolate(grid, self.size, mode="bilinear") for grid in grids)
        gather, spread = (grid.flatten(2).unsqueeze(0) for grid in resized)  # (1, h, a, H·W) each
        of_agents = (self.gather_rows + self.gather_columns).flatten(3)  # (1, h, a, H·W)
        of_positions = (self.spread_rows + self.spread_columns).flatten(2, 3)  # (1, h, H·W, a)
        return gather + of_agents, spread.mT + of_positions

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, of a window of ``size``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        own, keys = self.state_dict(), {}
        for key in own:
            layer, dot, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {key: state[keys[key]].reshape(own[key].shape) for key in own}  # (…) as here
        self.load_state_dict(weights)


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
