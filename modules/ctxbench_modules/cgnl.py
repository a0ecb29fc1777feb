"""Compact generalised non-local block (CGNL), with the dot-product kernel.

Kaiyu Yue, Ming Sun, Yuchen Yuan, Feng Zhou, Errui Ding, Fuxin Xu. Compact Generalized Non-local Network.
NeurIPS 2018.
Paper: https://arxiv.org/abs/1810.13125
Official code: https://github.com/KaiyuYue/cgnl-network.pytorch (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, P = C/2 the width, G the
groups of channels, c = P/G the channels of one; a W with an index is the weight of a 1×1 convolution without
bias. X is the input as C×n (section 3)::

    θ = W_θ X,  φ = W_φ X,  g = W_g X                     P×n
    for each group: a = vec(φ)ᵀ vec(g)                    a scalar, over its c·n values
                    y = a vec(θ)                          c·n
    Z = X + GN(W_z y)                                     C×n    W_z in G groups, GN of G groups

Attention among all positions and channels of a group, θ φᵀ g on its c·n values as a vector, is θ times one
scalar when φᵀ g is formed first. The group normalisation starts at zero, so that the block starts as the
identity.

Differs from the paper: the dot-product kernel alone; as in the released code, the normalisation is by groups.

With ``scale`` a is divided by √(c·n), as it can be in the released code.

Differs from the released code: its kernel by Taylor expansion is not here. The default of 8 groups is, where
that does not divide P and C, their greatest common divisor with it.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn


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


class CGNL(nn.Module):
    """Compact generalised non-local block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        width: P; C // 2 where not given.
        groups: G, which divides C and P; the greatest common divisor of 8 and both where not given.
        scale: divide the scalar of a group by √(c·n).

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, width: int | None = None, groups: int | None = None, scale: bool = False
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        width = max(1, channels // 2) if width is None else _at_least_one("width", width)
        groups = math.gcd(8, channels, width) if groups is None else _at_least_one("groups", groups)
        if channels % groups or width % groups:
            raise ValueError(f"groups must divide {channels} and {width} channels, got {groups}")
        if not isinstance(scale, bool):
            raise ValueError(f"scale must be True or False, got {scale!r}")
        self.in_channels = self.out_channels = channels
        self.groups = groups
        self.scale = scale
        self.t = nn.Conv2d(channels, width, 1, bias=False)
        self.p = nn.Conv2d(channels, width, 1, bias=False)
        self.g = nn.Conv2d(channels, width, 1, bias=False)
        self.z = nn.Conv2d(width, channels, 1, groups=groups, bias=False)
        self.gn = nn.GroupNorm(groups, channels)
        for conv in (self.t, self.p, self.g, self.z):
            nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(self.gn.weight)
        self.affinity = MatMul()
        self.aggregate = MatMul()
        self.extend = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        theta, phi, g = (
            layer(x).reshape(len(x), self.groups, -1, 1)  # (N, G, c·H·W, 1)
            for layer in (self.t, self.p, self.g)
        )
        attention = self.affinity(phi.mT, g)  # (N, G, 1, 1)
        if self.scale:
            attention = attention / math.sqrt(phi.shape[2])  # c·n
        y = self.aggregate(theta, attention)  # (N, G, c·H·W, 1)
        # Groups as a batch of products: torch's convolution in groups took six times as long on a CPU.
        weight = self.z.weight.view(self.groups, -1, self.z.weight.shape[1])  # (G, C/G, c)
        z = self.extend(weight, y.view(*y.shape[:2], weight.shape[2], -1))  # (N, G, C/G, H·W)
        normalised: Tensor = self.gn(z.view(x.shape))  # (N, C, H, W)
        return x + normalised

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``SpatialCGNL``, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)
