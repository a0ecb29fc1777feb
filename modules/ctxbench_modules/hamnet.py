"""Hamburger of HamNet: matrix decomposition between two convolutions.

Zhengyang Geng, Meng-Hao Guo, Hongxu Chen, Xia Li, Ke Wei, Zhouchen Lin. Is Attention Better Than Matrix
Decomposition? ICLR 2021.
Paper: https://arxiv.org/abs/2109.04553
Official code: https://github.com/Gsunshine/Enjoy-Hamburger (GPL-3.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, D the channels that are
decomposed, R the bases, T the steps; a W with an index is the weight of a 1×1 convolution. X is the input as
C×n; the bases B of D×R start at random, each of length one (section 2)::

    Z = ReLU(W_l X + b_l)                          D×n    lower bread; the ReLU for NMF alone
    Z ≈ B A, without gradient but for A's last update     D×R by R×n, as ``decomposition`` says:
    Y = ReLU(X + W_u ReLU(BN(W_c B A)))            C×n    cheese and upper bread
    Y = ReLU(X + BN(W_u B A))                      C×n    without cheese

    nmf:  A = softmax_bases(BᵀZ); T times and once more for A:
              A ← A ⊙ BᵀZ/(BᵀB A + ε),  B ← B ⊙ Z Aᵀ/(B A Aᵀ + ε)
    vq:   T times:  A = softmax_bases(cos(B, Z)/t), each row of A divided by ε + its sum,  B = Z Aᵀ
          then      A = softmax_bases(cos(B, Z)/t), the length of Z without gradient
    cd:   T times:  as vq, B then divided by the lengths of its columns
          then      A = (BᵀB + β)⁻¹ BᵀZ

ε = 10⁻⁶, 1/t = 100, β = 0.1. The gradient is that of the last update alone (the paper's one-step gradient).

``fast`` uses the first BᵀZ of nmf twice, leaves out that of vq and cd, which the authors do not read, and
applies the convolution that follows to the bases in place of the positions, W (B A) = (W B) A: with cheese
D²R + DRn multiplications in place of DRn + D²n, where that is fewer.

Differs from the paper: the cheese, a second convolution, and the ReLU after the sum, as in the released code.

Differs from the released code: there the bases are drawn anew at every call, so that two evaluations of one
map differ; here those of evaluation are drawn once and kept. Its split into S parts, decomposition along the
channels, bases that are learnt online and the dual variant are not here.

In the authors' later head for light backbones, which SegNeXt and mmsegmentation took over, all updates have
their gradient, group normalisation is in the place of batch normalisation, and evaluation takes a step more:
``cheese=False, norm="group", eval_steps=7, one_step_gradient=False``.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-6  # ε
_SHARPNESS = 100  # 1/t of vq and cd
_BETA = 0.1  # β of cd
_GROUPS = 32

# The layers here, and what the authors call them with cheese and without.
_WITH_CHEESE = {"cheese": "cheese.conv", "bn": "cheese.bn", "upper": "upper_bread"}
_WITHOUT = {"upper": "upper_bread.0", "bn": "upper_bread.1"}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class Hamburger(nn.Module):
    """Hamburger: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        width: D; C where not given (512 of 512 as published).
        rank: R.
        steps: T.
        decomposition: ``"nmf"``, non-negative matrix factorisation; ``"vq"``, vector quantisation; ``"cd"``,
            concept decomposition.
        cheese: with the second convolution, as published for segmentation (the authors' version 2).
        norm: ``"batch"`` or ``"group"``.
        groups: of the group norm; where not given, the greatest number that divides 32 and the channels.
        eval_steps: T in evaluation; ``steps`` where not given.
        one_step_gradient: whether the last update of A alone has a gradient.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    bases: Tensor

    def __init__(
        self,
        channels: int,
        *,
        width: int | None = None,
        rank: int = 64,
        steps: int = 6,
        decomposition: Literal["nmf", "vq", "cd"] = "nmf",
        cheese: bool = True,
        norm: Literal["batch", "group"] = "batch",
        groups: int | None = None,
        eval_steps: int | None = None,
        one_step_gradient: bool = True,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        width = channels if width is None else _at_least_one("width", width)
        _at_least_one("rank", rank)
        if decomposition not in ("nmf", "vq", "cd"):
            raise ValueError(f"decomposition must be 'nmf', 'vq' or 'cd', got {decomposition!r}")
        for name, flag in (("cheese", cheese), ("one_step_gradient", one_step_gradient)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if norm not in ("batch", "group"):
            raise ValueError(f"norm must be 'batch' or 'group', got {norm!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.steps = _at_least_one("steps", steps)
        self.eval_steps = steps if eval_steps is None else _at_least_one("eval_steps", eval_steps)
        self.one_step_gradient = one_step_gradient
        self.decomposition = decomposition
        self.implementation = implementation
        self.lower = nn.Conv2d(channels, width, 1)
        self.cheese = nn.Conv2d(width, width, 1, bias=False) if cheese else None
        normed = width if cheese else channels
        groups = math.gcd(_GROUPS, normed) if groups is None else _at_least_one("groups", groups)
        if normed % groups:
            raise ValueError(f"groups must divide the {normed} channels of the norm, got {groups}")
        self.bn: nn.Module = (
            nn.BatchNorm2d(normed, momentum=3e-4) if norm == "batch" else nn.GroupNorm(groups, normed)
        )
        self.upper = nn.Conv2d(width, channels, 1, bias=False)
        for conv in (self.lower, self.cheese, self.upper):
            if conv is not None:
                nn.init.normal_(conv.weight, std=math.sqrt(2 / conv.out_channels))
        self.register_buffer("bases", self._drawn(torch.empty(1, width, rank)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; in training mode from bases that are drawn anew.

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        bases = self.bases.expand(len(x), -1, -1)  # (N, D, R)
        return self.forward_from_bases(x, self._drawn(torch.empty_like(bases)) if self.training else bases)

    def forward_from_bases(self, x: Tensor, bases: Tensor) -> Tensor:
        """(N, C, H, W) and the bases to start from, (N, D, R), to (N, C, H, W).

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        z = self.lower(x).flatten(2)  # (N, D, H·W)
        if self.decomposition == "nmf":
            bases, coefficients = self._nmf(z.relu(), bases)
        else:
            bases, coefficients = self._clustered(z, bases)
        first = self.upper if self.cheese is None else self.cheese
        width, rank, positions = *bases.shape[1:], z.shape[2]
        folded = first.out_channels * rank * (width + positions)
        if self.implementation == "fast" and folded < width * positions * (rank + first.out_channels):
            y = first.weight.flatten(1) @ bases @ coefficients  # (N, D or C, H·W)
            y = y.view(len(x), -1, *x.shape[2:])  # (N, D or C, H, W)
        else:
            y = first((bases @ coefficients).view(len(x), -1, *x.shape[2:]))  # (N, D or C, H, W)
        y = self.bn(y)
        if self.cheese is not None:
            y = self.upper(functional.relu(y))
        return functional.relu(y + x)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``HamburgerV2``, or ``HamburgerV1`` without cheese.

        It has no bases: those here stay.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        lower = "lower_bread.0" if self.decomposition == "nmf" else "lower_bread"
        released_layers = {"lower": lower, **(_WITHOUT if self.cheese is None else _WITH_CHEESE)}
        keys = {}
        for key in self.state_dict().keys() - {"bases"}:
            layer, _, name = key.partition(".")
            keys[key] = f"{released_layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        loaded = {name: state[released] for name, released in keys.items()}
        self.load_state_dict({**loaded, "bases": self.bases})

    def _drawn(self, like: Tensor) -> Tensor:
        """Bases at random, each of length one, of the shape, dtype and device of (N, D, R)."""
        drawn = like.uniform_() if self.decomposition == "nmf" else like.normal_()
        return functional.normalize(drawn, dim=1)

    def _nmf(self, z: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        """The final B (N, D, R) and A (N, R, n) of Z (N, D, n), not negative, from the first B."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.one_step_gradient):
            alike = bases.mT @ z  # (N, R, n)
            coefficients = alike.softmax(dim=1)  # (N, R, n)
            for step in range(self.steps if self.training else self.eval_steps):
                if step or self.implementation == "published":
                    alike = bases.mT @ z  # (N, R, n)
                coefficients = coefficients * alike / (bases.mT @ bases @ coefficients + _EPS)
                update = z @ coefficients.mT  # (N, D, R)
                bases = bases * update / (bases @ (coefficients @ coefficients.mT) + _EPS)
        return bases, coefficients * (bases.mT @ z) / (bases.mT @ bases @ coefficients + _EPS)

    def _clustered(self, z: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        """The final B (N, D, R) and A (N, R, n) of Z (N, D, n), from the first B, by vq or cd."""
        concepts = self.decomposition == "cd"
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.one_step_gradient):
            if self.implementation == "published":
                (_SHARPNESS * (bases.mT @ z)).softmax(dim=1)  # the authors' first A, which they do not read
            directions = functional.normalize(z, dim=1)  # (N, D, n)
            for _ in range(self.steps if self.training else self.eval_steps):
                turned = bases if concepts else functional.normalize(bases, dim=1, eps=_EPS)  # (N, D, R)
                assigned = (_SHARPNESS * (turned.mT @ directions)).softmax(dim=1)  # (N, R, n)
                bases = z @ (assigned / (_EPS + assigned.sum(dim=2, keepdim=True))).mT  # (N, D, R)
                if concepts:
                    bases = functional.normalize(bases, dim=1, eps=_EPS)
            length = _EPS + z.norm(dim=1, keepdim=True)  # (N, 1, n)
            turned = functional.normalize(bases, dim=1, eps=_EPS)  # (N, D, R)
        if not concepts:
            return bases, (_SHARPNESS * (turned.mT @ (z / length))).softmax(dim=1)
        identity = torch.eye(bases.shape[2], dtype=z.dtype, device=z.device)  # (R, R)
        gram = bases.mT @ bases + _BETA * identity  # (N, R, R)
        inverse = torch.linalg.inv(gram.to(torch.promote_types(z.dtype, torch.float32))).to(z.dtype)
        return bases, inverse @ (bases.mT @ z)
