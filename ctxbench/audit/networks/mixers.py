"""What mixes the positions in transformers that papers print numbers of: (N, C, H, W) to the same shape.

Where a block of ours has the same arithmetic, it stands in :mod:`ctxbench.audit.networks.pyramids` instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Last(nn.Sequential):
    """Layers of a map that take its channels last: (N, C, H, W) to (N, C', H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn the map there and back."""
        y = x.movedim(1, -1)  # (N, H, W, C)
        for layer in self:
            y = layer(y)
        return y.movedim(-1, 1)  # (N, C', H, W)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Soft-max attention of (N, L, C) to (N, S, C), in ``heads``, as two products: (N, L, C).

    ``bias``, (heads, L, S), is added to the logits.
    """
    q, k, v = (
        rows.reshape(len(rows), -1, heads, rows.shape[2] // heads) for rows in (q, k, v)
    )  # (N, …, heads, d)
    logits = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)  # (N, heads, L, S)
    logits = logits if bias is None else logits + bias
    mixed = logits.softmax(-1) @ v.transpose(1, 2)  # (N, heads, L, d)
    return mixed.transpose(1, 2).flatten(2)  # (N, L, C)


class Attention(nn.Module):
    """Self-attention of rows, as of a ViT: (N, L, C) to the same shape."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        q, k, v = self.qkv(x).chunk(3, -1)  # (N, L, C) each
        y: Tensor = self.out(attend(q, k, v, self.heads))
        return y


class Encoder(nn.Module):
    """A layer of a ViT: self-attention or another ``mix``, and an MLP, each behind a norm and with a skip."""

    def __init__(self, channels: int, heads: int, mix: nn.Module | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mix, wide = mix or Attention(channels, heads), 4 * channels
        self.mlp = nn.Sequential(nn.Linear(channels, wide), nn.GELU(), nn.Linear(wide, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        x = x + self.mix(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class PoolingAttention(nn.Module):
    """P2T's (Wu et al., TPAMI 2022): all positions attend to the means of four grids."""

    def __init__(self, channels: int, heads: int, ratios: Sequence[int], shared: nn.ModuleList) -> None:
        super().__init__()
        self.heads, self.ratios, self.shared = heads, ratios, shared
        self.q, self.kv = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.norm, self.out = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        means = []
        for ratio, near in zip(self.ratios, self.shared, strict=True):
            height, width = (round(side / ratio) for side in x.shape[2:])
            mean = functional.adaptive_avg_pool2d(x, (height, width))
            means.append((mean + near(mean)).flatten(2))  # (N, C, height·width)
        k, v = self.kv(self.norm(torch.cat(means, 2).mT)).chunk(2, -1)  # (N, S, C) each
        y: Tensor = self.out(attend(self.q(x.flatten(2).mT), k, v, self.heads))  # (N, H·W, C)
        return y.mT.reshape(x.shape)  # (N, C, H, W)


class Neighbourhood(nn.Module):
    """NAT's (Hassani et al., CVPR 2023): each position attends to the 7×7 around it.

    Their own kernel computes it without copies; here the 49 are copied first, and the two products are the
    same, but for positions at the border, whose 7×7 is moved inside there and padded here.
    """

    def __init__(self, channels: int, kernel: int = 7) -> None:
        super().__init__()
        self.heads, self.kernel = channels // 32, kernel
        self.bias = nn.Parameter(torch.zeros(self.heads, 2 * kernel - 1, 2 * kernel - 1))
        self.qkv, self.out = Last(nn.Linear(channels, 3 * channels)), Last(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        n, _, height, width = x.shape
        q, k, v = self.qkv(x).chunk(3, 1)  # (N, C, H, W) each
        q = q.reshape(n, self.heads, -1, height * width).mT[..., None, :]  # (N, heads, H·W, 1, d)
        k, v = (
            functional.unfold(y, self.kernel, padding=self.kernel // 2)
            .reshape(n, self.heads, -1, self.kernel**2, height * width)
            .movedim(4, 2)
            for y in (k, v)
        )  # (N, heads, H·W, d, 49) each
        inside = slice(self.kernel // 2, -(self.kernel // 2))
        logits = q @ k + self.bias[:, inside, inside].flatten(1)[:, None, None]  # (N, heads, H·W, 1, 49)
        mixed = (logits.softmax(-1) @ v.mT).squeeze(3)  # (N, heads, H·W, d)
        y: Tensor = self.out(mixed.mT.reshape(x.shape))  # (N, C, H, W)
        return y


class CrossStripes(nn.Module):
    """CSWin's (Dong et al., CVPR 2022): half the channels attend in columns ``split`` wide, half in rows.

    Where ``split`` is 0, all attend to all.
    """

    def __init__(self, channels: int, heads: int, split: int) -> None:
        super().__init__()
        self.heads, self.split = heads, split
        self.qkv, self.out = Last(nn.Linear(channels, 3 * channels)), Last(nn.Linear(channels, channels))
        half = channels // 2 if split else channels
        self.near = nn.ModuleList(
            nn.Conv2d(half, half, 3, padding=1, groups=half) for _ in range(2 if split else 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        n, _, height, width = x.shape
        sides = [(height, self.split), (self.split, width)] if self.split else [(height, width)]
        maps = self.qkv(x).reshape(n, 3, len(sides), -1, height, width).unbind(2)  # (N, 3, C', H, W) each
        mixed = [self._in_windows(*each) for each in zip(maps, sides, self.near, strict=True)]
        y: Tensor = self.out(torch.cat(mixed, 1))
        return y

    def _in_windows(self, qkv: Tensor, sides: tuple[int, int], near: nn.Module) -> Tensor:
        """(N, 3, C', H, W) to (N, C', H, W), in windows of ``sides``, with a depthwise 3×3 of the values."""
        n, _, channels, height, width = qkv.shape
        down, across = height // sides[0], width // sides[1]
        windows = qkv.reshape(n, 3, channels, down, sides[0], across, sides[1])
        windows = windows.permute(1, 0, 3, 5, 2, 4, 6).flatten(1, 3)  # (3, N·windows, C', h, w)
        q, k, v = windows.flatten(3).mT  # (N·windows, h·w, C') each
        mixed: Tensor = attend(q, k, v, self.heads // len(self.near)).mT.reshape(windows.shape[1:])
        mixed = mixed + near(windows[2])  # (N·windows, C', h, w)
        mixed = mixed.reshape(n, down, across, channels, *sides).permute(0, 3, 1, 4, 2, 5)
        return mixed.reshape(n, channels, height, width)
