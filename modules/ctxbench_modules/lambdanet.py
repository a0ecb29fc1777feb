"""Lambda layer.

Irwan Bello. LambdaNetworks: Modeling Long-Range Interactions Without Attention. ICLR 2021.
Paper: https://arxiv.org/abs/2102.08602
Official code: none for PyTorch. Held against a port: https://github.com/lucidrains/lambda-networks (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of C/h channels
each, k the channels of queries and keys, u the intra-depth and r×r the neighbourhood. X is the input as C×n;
the W are 1×1 convolutions without bias (section 3)::

    q = BN(W_q X)                                  h·k×n
    K = softmax over positions of W_k X            u·k×n
    V = BN(W_v X)                                  u·C/h×n
    λ_c = Σ_depths K Vᵀ                            k×C/h      content
    λ_p = E ∗ V + b                                k×C/h×n    position: E k×u×r×r, one for all C/h channels
    y = (λ_c + λ_p)ᵀ q for each head               C×n

These are the positions of a local context (section 3.2, lambda convolution). With a global one, of a fixed
size, E is a table of (2H−1)×(2W−1)×k×u, and λ_p of a position is the sum over all positions of E at their
offset, times V, without b; a map of another size is resampled to that size and back, bilinearly, corners
aligned.

Differs from the paper: two dimensions; b, as in the port.

Differs from the port: E is the weight of a two-dimensional convolution, which the channels share as part of
the batch, in place of a three-dimensional one; a map of a global context need not be square. Where C is no
multiple of 4, ``heads`` is by default their greatest common divisor.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the port calls them.
_RELEASED = {
    "queries": "to_q",
    "keys": "to_k",
    "values": "to_v",
    "norm_q": "norm_q",
    "norm_v": "norm_v",
    "positions": "pos_conv",
    "table": "rel_pos_emb",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class LambdaLayer(nn.Module):
    """Lambda layer: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        key_width: k.
        heads: h, a divisor of C; where not given 4, or the greatest common divisor of 4 and C.
        depth: u.
        scope: r, odd, of a local context.
        context: ``"local"`` or ``"global"``.
        size: (H, W) of the weights of a global context, which wants it.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        key_width: int = 16,
        heads: int | None = None,
        depth: int = 1,
        scope: int = 23,
        context: Literal["local", "global"] = "local",
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        heads = math.gcd(4, channels) if heads is None else _at_least_one("heads", heads)
        if channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads}")
        _at_least_one("key_width", key_width)
        _at_least_one("depth", depth)
        if _at_least_one("scope", scope) % 2 == 0:
            raise ValueError(f"scope must be odd, got {scope}")
        if context not in ("local", "global"):
            raise ValueError(f"context must be 'local' or 'global', got {context!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.depth = depth
        self.queries = nn.Conv2d(channels, heads * key_width, 1, bias=False)
        self.keys = nn.Conv2d(channels, depth * key_width, 1, bias=False)
        self.values = nn.Conv2d(channels, depth * channels // heads, 1, bias=False)
        self.norm_q = nn.BatchNorm1d(heads * key_width)
        self.norm_v = nn.BatchNorm2d(depth * channels // heads)
        self.size: tuple[int, int] | None = None
        if context == "local":
            self.positions = nn.Conv2d(depth, key_width, scope, padding=scope // 2)
            return
        if size is None or len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        self.size = height, width = size[0], size[1]
        self.table = nn.Parameter(torch.randn(2 * height - 1, 2 * width - 1, key_width, depth))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if self.size is not None and x.shape[2:] != self.size:
            y = self(functional.interpolate(x, self.size, mode="bilinear", align_corners=True))
            return functional.interpolate(y, x.shape[2:], mode="bilinear", align_corners=True)
        batch, _, height, width = x.shape
        # Positions as rows, as the products want them. Normalised before that, the gradient would arrive with
        # the channels innermost, for which torch 2.13's batch norm on the CPU is wrong at N = 1.
        rows = self.norm_q(self.queries(x).flatten(2).mT.flatten(0, 1))  # (N·H·W, h·k)
        q = rows.view(batch, height * width, self.heads, -1)  # (N, H·W, h, k)
        k = self.keys(x).flatten(2).softmax(dim=2)  # (N, u·k, H·W)
        k = k.view(batch, self.depth, -1, height * width)  # (N, u, k, H·W)
        v = self.norm_v(self.values(x)).view(batch, self.depth, -1, height, width)  # (N, u, C/h, H, W)
        content = torch.einsum("nukp,nuvp->nkv", k, v.flatten(3))  # (N, k, C/h)
        places = self._places(v)  # (N, C/h, k, H·W)
        y = torch.einsum("nphk,nkv->nhvp", q, content)  # (N, h, C/h, H·W)
        y = y + torch.einsum("nphk,nvkp->nhvp", q, places)  # (N, h, C/h, H·W)
        return y.reshape(x.shape)  # (N, C, H, W)

    def _places(self, v: Tensor) -> Tensor:
        """V (N, u, C/h, H, W) to λ_p, (N, C/h, k, H·W)."""
        if self.size is None:
            planes = v.transpose(1, 2).flatten(0, 1)  # (N·C/h, u, H, W)
            places: Tensor = self.positions(planes)  # (N·C/h, k, H, W)
            return places.view(len(v), v.shape[2], -1, v.shape[3] * v.shape[4])  # (N, C/h, k, H·W)
        rows, columns = (torch.arange(side, device=v.device) for side in self.size)
        of_rows = rows - rows[:, None] + len(rows) - 1  # (H, H), of the position that sees and of the seen
        of_columns = columns - columns[:, None] + len(columns) - 1  # (W, W)
        offsets = of_rows[:, None, :, None], of_columns[None, :, None, :]
        apart = self.table[offsets].flatten(2, 3).flatten(0, 1)  # (H·W, H·W, k, u)
        return torch.einsum("pmku,nuvm->nvkp", apart, v.flatten(3))  # (N, C/h, k, H·W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the port's ``LambdaLayer``.

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
        loaded = {name: state[released] for name, released in keys.items()}
        if self.size is None:
            loaded["positions.weight"] = loaded["positions.weight"].squeeze(2)  # (k, u, r, r)
        self.load_state_dict(loaded)
