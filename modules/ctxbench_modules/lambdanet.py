"""Lambda layer with local positions.

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

Differs from the paper: two dimensions; b, as in the port. The positions are those of the local context
(section 3.2, lambda convolution); its table for a global context of a fixed size is not here.

Differs from the port: E is the weight of a two-dimensional convolution, which the channels share as part of
the batch, in place of a three-dimensional one. Where C is no multiple of 4, ``heads`` is by default their
greatest common divisor.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The layers here, and what the port calls them.
_RELEASED = {
    "queries": "to_q",
    "keys": "to_k",
    "values": "to_v",
    "norm_q": "norm_q",
    "norm_v": "norm_v",
    "positions": "pos_conv",
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
        scope: r, odd.

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
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.depth = depth
        self.queries = nn.Conv2d(channels, heads * key_width, 1, bias=False)
        self.keys = nn.Conv2d(channels, depth * key_width, 1, bias=False)
        self.values = nn.Conv2d(channels, depth * channels // heads, 1, bias=False)
        self.norm_q = nn.BatchNorm1d(heads * key_width)
        self.norm_v = nn.BatchNorm2d(depth * channels // heads)
        self.positions = nn.Conv2d(depth, key_width, scope, padding=scope // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        batch, _, height, width = x.shape
        # Positions as rows, as the products want them. Normalised before that, the gradient would arrive with
        # the channels innermost, for which torch 2.13's batch norm on the CPU is wrong at N = 1.
        rows = self.norm_q(self.queries(x).flatten(2).mT.flatten(0, 1))  # (N·H·W, h·k)
        q = rows.view(batch, height * width, self.heads, -1)  # (N, H·W, h, k)
        k = self.keys(x).flatten(2).softmax(dim=2)  # (N, u·k, H·W)
        k = k.view(batch, self.depth, -1, height * width)  # (N, u, k, H·W)
        v = self.norm_v(self.values(x)).view(batch, self.depth, -1, height, width)  # (N, u, C/h, H, W)
        content = torch.einsum("nukp,nuvp->nkv", k, v.flatten(3))  # (N, k, C/h)
        planes = v.transpose(1, 2).flatten(0, 1)  # (N·C/h, u, H, W)
        places = self.positions(planes).view(batch, *content.shape[:0:-1], -1)  # (N, C/h, k, H·W)
        y = torch.einsum("nphk,nkv->nhvp", q, content)  # (N, h, C/h, H·W)
        y = y + torch.einsum("nphk,nvkp->nhvp", q, places)  # (N, h, C/h, H·W)
        return y.reshape(x.shape)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the port's ``LambdaLayer`` with a local context.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        loaded = {name: state[released] for name, released in keys.items()}
        loaded["positions.weight"] = loaded["positions.weight"].squeeze(2)  # (k, u, r, r)
        self.load_state_dict(loaded)
