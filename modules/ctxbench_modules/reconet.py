"""Tensor Low-Rank Reconstruction for Semantic Segmentation (RecoNet).

Wanli Chen, Xinge Zhu, Ruoqi Sun, Junjun He, Ruiyu Li, Xiaoyong Shen, Bei Yu. ECCV 2020.
Paper: https://arxiv.org/abs/2008.00490
Official code: https://github.com/CWanli/RecoNet

N is the batch size, C the number of channels, H×W the map, r the rank; L stands for any one of C, H, W, the
length of an axis. The tensor generation module (TGM) and the tensor reconstruction module (TRM), with X the
input, C×H×W. For each rank i = 1…r, with P_i (C×C), Q_i (H×H), R_i (W×W) independent 1×1 convolutions without
bias::

    v_ci = σ(P_i · mean of X over H, W)    C
    v_hi = σ(Q_i · mean of X over C, W)    H
    v_wi = σ(R_i · mean of X over C, H)    W
    A_i  = v_ci ⊗ v_hi ⊗ v_wi              C×H×W    (the terms of eq. 1)
    A    = Σ λ_i A_i,  Σ λ_i = 1           C×H×W    (eq. 3)
    Y    = A ⊙ X                           C×H×W    (eq. 2)

λ is the soft-max of the parameter ``lambda_logits``, which starts at zero, so that each λ_i starts at 1/r: A
is a "weighted mean" of the A_i with a "learnable normalize factor" (section 3.3).

Differs from the paper: nothing at the size the module is built for and r > 1; where r = 1, the mean of one
map has λ = 1, which the paper's open interval (0, 1) leaves out. At another size, the pooled vectors are
resampled linearly to the built size before their generators, and the fragments back to the input's size;
multi-scale evaluation needs this, and the paper does not treat it.

Differs from the released code: there ``conv1_2`` reads the means of the columns but feeds the height axis,
and ``conv1_3`` those of the rows but feeds the width axis (so it runs at H = W only); λ is a soft-max too,
but of a tensor that is no parameter and so stays the constant 1/r; and the output is cat(X, ReLU(A ⊙ X)), 2C
channels. Here a generator feeds the axis it reads, so that weights of the released code give its A with
height and width exchanged.
"""

import math
from collections.abc import Mapping, MutableMapping
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


def _resample(vectors: Tensor, length: int) -> Tensor:
    """Vectors (A, B, L) to (A, B, ``length``), linearly; the same tensor where nothing changes."""
    if vectors.shape[-1] == length:
        return vectors
    return functional.interpolate(vectors, length, mode="linear")


class StackedGenerators(nn.Module):
    """The r generators of one axis in one product; ``weight`` is (r, L, L)."""

    def __init__(self, rank: int, length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rank, length, length))
        nn.init.normal_(self.weight, std=math.sqrt(2 / length))  # Kaiming normal, fan_out, as released

    def forward(self, pooled: Tensor) -> Tensor:
        """The means along the axis (N, L) to the fragments (r, N, L)."""
        rank, length, _ = self.weight.shape
        vectors = _resample(pooled.unsqueeze(1), length).squeeze(1)  # (N, L) of the built size
        fragments = functional.linear(vectors, self.weight.flatten(0, 1)).sigmoid()  # (N, r·L)
        return _resample(fragments.view(-1, rank, length).transpose(0, 1), pooled.shape[1])  # (r, N, L)


class ListedGenerators(nn.ModuleList):
    """The r generators of one axis as r convolutions, with the state dict of :class:`StackedGenerators`."""

    def __init__(self, rank: int, length: int) -> None:
        convolutions = [nn.Conv2d(length, length, 1, bias=False) for _ in range(rank)]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
        super().__init__(nn.Sequential(convolution, nn.Sigmoid()) for convolution in convolutions)
        self.length = length
        # A state dict holds one stacked weight, whichever form it comes from and goes to.
        self.register_state_dict_post_hook(_stack)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_unstack)  # type: ignore[no-untyped-call]

    def forward(self, pooled: Tensor) -> list[Tensor]:
        """The means along the axis (N, L) to the fragments, r times (N, L)."""
        vectors = _resample(pooled.unsqueeze(1), self.length).squeeze(1)[:, :, None, None]  # (N, L, 1, 1)
        fragments = [generator(vectors).flatten(1) for generator in self]  # (N, L) of the built size, r times
        return [
            _resample(fragment.unsqueeze(1), pooled.shape[1]).squeeze(1)  # (N, L)
            for fragment in fragments
        ]


def _stack(module: nn.Module, state: MutableMapping[str, Any], prefix: str, _: Mapping[str, Any]) -> None:
    """After ``state_dict()``: the r weights (L, L, 1, 1) become one (r, L, L)."""
    weights = [state.pop(f"{prefix}{i}.0.weight") for i, _ in enumerate(module.children())]
    state[f"{prefix}weight"] = torch.stack(weights)[..., 0, 0]  # (r, L, L)


def _unstack(module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: Any) -> None:
    """Before ``load_state_dict()``: the one weight (r, L, L) becomes r of (L, L, 1, 1)."""
    weights = state.pop(f"{prefix}weight", ())
    state.update({f"{prefix}{i}.0.weight": weight[..., None, None] for i, weight in enumerate(weights)})


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class TGMTRM(nn.Module):
    """Tensor generation and reconstruction: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        rank: r.
        implementation: ``"fast"`` keeps the generators of an axis stacked and applies them in one product,
            and reconstructs A in one product of the λ-scaled v_c with the Khatri–Rao product of v_h and
            v_w. ``"published"`` runs 3r convolutions and keeps a list of r full maps before it sums them.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        size: tuple[int, int],
        rank: int = 64,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        if len(size) != 2:
            raise ValueError(f"size must be (height, width), got {size}")
        height, width = (_at_least_one("size", side) for side in size)
        _at_least_one("rank", rank)
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.rank = rank
        self.implementation = implementation
        self.lambda_logits = nn.Parameter(torch.zeros(rank))
        generators = StackedGenerators if implementation == "fast" else ListedGenerators
        self.channel = generators(rank, channels)
        self.height = generators(rank, height)
        self.width = generators(rank, width)
        if implementation == "published":
            self.outer = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to A ⊙ X of the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        attention = self.attention_map(x)
        # Nobody else holds the map, so that without gradient the output may overwrite it.
        return attention * x if torch.is_grad_enabled() else attention.mul_(x)

    def attention_map(self, x: Tensor) -> Tensor:
        """A = Σ λ_i A_i of the input (N, C, H, W), in its shape (eq. 3)."""
        v_c, v_h, v_w = self._fragments(x)
        scale = self.lambda_logits.softmax(0)  # (r,): λ, which sums to one
        if self.implementation == "fast":
            scaled = (v_c * scale[:, None, None]).permute(1, 2, 0)  # (N, C, r)
            khatri_rao = (v_h.unsqueeze(3) * v_w.unsqueeze(2)).flatten(2)  # (r, N, H, W) to (r, N, H·W)
            khatri_rao = khatri_rao.transpose(0, 1)  # (N, r, H·W)
            return torch.bmm(scaled, khatri_rao).view(x.shape)  # (N, C, H, W)
        maps: list[Tensor] = []
        for lam, c, h, w in zip(scale, v_c, v_h, v_w, strict=True):
            plane = self.outer(c.unsqueeze(2), h.unsqueeze(1)).flatten(1)  # (N, C·H)
            maps.append(lam * self.outer(plane.unsqueeze(2), w.unsqueeze(1)).view(x.shape))  # (N, C, H, W)
        return reduce(torch.add, maps)

    def sub_attention(self, x: Tensor, index: int) -> Tensor:
        """The rank-1 map A_i, without λ_i, of the input (N, C, H, W), in its shape (figure 5).

        Raises:
            ValueError: ``index`` is not in 0…r-1.

        """
        if not 0 <= index < self.rank:
            raise ValueError(f"index must be in 0…{self.rank - 1}, got {index}")
        v_c, v_h, v_w = (fragments[index] for fragments in self._fragments(x))  # (N, C), (N, H), (N, W)
        return torch.einsum("nc,nh,nw->nchw", v_c, v_h, v_w)  # (N, C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``TGMandTRM``; λ becomes its constant 1/r.

        ``conv1_2`` becomes the width generators and ``conv1_3`` the height generators, after the means they
        read. The A of the released code is then ``attention_map(x).transpose(2, 3)``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released = {"channel": "conv1_1", "width": "conv1_2", "height": "conv1_3"}
        keys = {axis: [f"{name}.{i}.0.weight" for i in range(self.rank)] for axis, name in released.items()}
        expected = {key for axis in keys.values() for key in axis}
        missing, unexpected = expected - set(state), set(state) - expected
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {
            f"{axis}.weight": torch.stack([state[key] for key in keys[axis]])[..., 0, 0]  # (r, L, L)
            for axis in keys
        }
        self.load_state_dict({"lambda_logits": torch.zeros_like(self.lambda_logits), **weights})

    def _fragments(self, x: Tensor) -> tuple[Any, Any, Any]:
        """v_c, v_h and v_w of (N, C, H, W) for every rank: rank first, then (N, C), (N, H), (N, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        plane = x.mean(1)  # (N, H, W): its means are those over C and W, C and H, in one pass over x
        return self.channel(x.mean((2, 3))), self.height(plane.mean(2)), self.width(plane.mean(1))
