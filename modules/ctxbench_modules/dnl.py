"""Disentangled non-local block (DNL).

Minghao Yin, Zhuliang Yao, Yue Cao, Xiu Li, Zheng Zhang, Stephen Lin, Han Hu. Disentangled Non-Local Neural
Networks. ECCV 2020.
Paper: https://arxiv.org/abs/2006.06668
Official code: https://github.com/yinmh17/DNL-Semantic-Segmentation (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, P = C/2 the channels of
query and key; a W with an index is the weight of a 1×1 convolution, b its bias, μ a mean over positions. X is
the input as C×n::

    q = W_q X + b_q,  k = W_k X + b_k,  v = W_v X                 P×n, P×n, C×n
    A = softmax over each row of (q − μ_q)ᵀ (k − μ_k) / (T √P)    n×n    pairwise, whitened
    m = softmax over positions of W_m X + b_m                     1×n    unary
    Y = X + γ v Aᵀ + v mᵀ                                         C×n    v mᵀ at each position

The temperature T is 0.05; γ is a scalar that starts at zero.

The soft-max over a row cancels what is the same in all of it, and so μ_k: ``fast`` leaves it out, and attends
512 positions at a time.

Differs from the paper: as in the released code, logits are divided by T √P, and γ scales the pairwise term.

Differs from the released code: it can normalise q, k and m in further ways and subsample keys and values,
which is not here. mmsegmentation's head, another code, is ``project=True, norm=True, gate=False``.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 512
"""Positions that attend at a time, as in DANet's position attention."""


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


class DisentangledNonLocal(nn.Module):
    """Disentangled non-local block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        width: P, the channels of query and key; C // 2 where not given.
        temperature: T.
        scale: divide the logits by √P.
        whiten: what is subtracted from query and key, the mean of each ``"channel"`` over the positions, or
            one mean of the whole ``"image"``, over channels and positions (as released for ADE20K, with
            ``temperature=1, scale=False``).
        unary: the term v mᵀ.
        project: v has P channels and a bias, and a 1×1 convolution without bias leads back to C.
        norm: batch normalisation of both terms' sum, before X is added.
        gate: the scalar γ; without it the pairwise term is taken whole.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        width: int | None = None,
        temperature: float = 0.05,
        scale: bool = True,
        whiten: Literal["channel", "image"] = "channel",
        unary: bool = True,
        project: bool = False,
        norm: bool = False,
        gate: bool = True,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        width = max(1, channels // 2) if width is None else _at_least_one("width", width)
        if not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, got {temperature!r}")
        if whiten not in ("channel", "image"):
            raise ValueError(f"whiten must be 'channel' or 'image', got {whiten!r}")
        flags = {"scale": scale, "unary": unary, "project": project, "norm": norm, "gate": gate}
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.scale = 1 / (temperature * (math.sqrt(width) if scale else 1))
        self.whitened = (2,) if whiten == "channel" else (1, 2)
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width if project else channels, 1, bias=project)
        self.mask = nn.Conv2d(channels, 1, 1) if unary else None
        self.out = nn.Conv2d(width, channels, 1, bias=False) if project else None
        self.norm = nn.BatchNorm2d(channels) if norm else None
        self.gamma = nn.Parameter(torch.zeros(1)) if gate else None
        self.affinity = MatMul()
        self.aggregate = MatMul()
        self.pool = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))  # (N, P or C, H·W)
        q = q - q.mean(self.whitened, keepdim=True)  # (N, P, H·W)
        y = self._fast(q, k, v) if self.implementation == "fast" else self._published(q, k, v)
        y = y if self.gamma is None else self.gamma * y  # (N, P or C, H·W)
        if self.mask is not None:
            unary = functional.softmax(self.mask(x).flatten(2), dim=2)  # (N, 1, H·W)
            y = y + self.pool(v, unary.mT)  # (N, C, H·W), the sum over positions (N, C, 1) at each of them
        y = y.view(len(x), -1, *x.shape[2:])  # (N, P or C, H, W)
        y = y if self.out is None else self.out(y)  # (N, C, H, W)
        return x + (y if self.norm is None else self.norm(y))

    def _fast(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Centred q, k (N, P, H·W) and v (N, C, H·W) to the pairwise term (N, C, H·W), block by block."""
        y = [
            v @ (block.mT @ k).softmax(dim=2).mT  # (N, C, H·W) by (N, H·W, B) is (N, C, B)
            for block in torch.split(q * self.scale, _BLOCK, dim=2)
        ]
        return torch.cat(y, dim=2)  # (N, C, H·W)

    def _published(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Centred q, k (N, P, H·W) and v (N, C, H·W) to the pairwise term (N, C, H·W)."""
        k = k - k.mean(self.whitened, keepdim=True)  # (N, P, H·W)
        attention = (self.affinity(q.mT, k) * self.scale).softmax(dim=2)  # (N, H·W, H·W), a row a query
        y: Tensor = self.aggregate(v, attention.mT)  # (N, C, H·W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``NonLocal2d_bn`` or ``NonLocal2d_nowd``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        names = {"gamma": "gamma", "norm": "out_bn"}
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{names.get(layer, f'conv_{layer}')}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
