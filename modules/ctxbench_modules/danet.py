"""Dual attention: the position (PAM) and the channel (CAM) attention module of DANet.

Jun Fu, Jing Liu, Haijie Tian, Yong Li, Yongjun Bao, Zhiwei Fang, Hanqing Lu. Dual Attention Network for Scene
Segmentation. CVPR 2019.
Paper: https://arxiv.org/abs/1809.02983
Official code: https://github.com/junfu1115/DANet

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, C' = C/8 the channels of
query and key; a W with an index is the weight of a 1×1 convolution, b its bias. X is the input as C×n.
Position attention (section 3.2)::

    q = W_q X + b_q,  k = W_k X + b_k        C'×n
    v = W_v X + b_v                          C×n
    A = softmax over each row of qᵀ k        n×n   (eq. 1)
    Y = γ v Aᵀ + X                           C×n   (eq. 2)

Channel attention (section 3.3)::

    E = X Xᵀ                                 C×C
    A = softmax over each row of max(E) − E  C×C   the row's maximum   (eq. 3)
    Y = γ A X + X                            C×n   (eq. 4)

γ is a scalar that starts at zero.

Differs from the paper: as in the released code, query and key have C/8 channels, where section 3.2 gives them
C, and the channel affinity is softmax(max(E) − E), where eq. 3 has softmax(E). The paper's α and β are γ
here.

Differs from the released code: nothing; where C < 8, query and key have one channel, and theirs none.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

_BLOCK = 512
"""Positions that attend at a time; neither 256 nor 1024 are quicker on a CPU at 64×64."""


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class _Gram(torch.autograd.Function):
    """E = X Xᵀ, (N, C, n) to (N, C, C); its gradient is one product, (dE + dEᵀ) X, where autograd has two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x @ x.mT  # (N, C, C)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gx: Tensor = (g + g.mT) @ x.to(g.dtype)  # (N, C, n); under autocast E and g are narrower than X
        return gx


class _Attention(nn.Module):
    """What PAM and CAM have in common: the options, the scalar γ, the checks and the released names."""

    def __init__(self, channels: int, implementation: str) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.gamma = nn.Parameter(torch.zeros(1))
        self.affinity = MatMul()
        self.aggregate = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        return self._fast(x) if self.implementation == "fast" else self._published(x)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{layer}_conv.{name}" if dot else key
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, in the quickest exact order."""
        raise NotImplementedError

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, in the authors' order."""
        raise NotImplementedError


class PAM(_Attention):
    """Position attention module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        implementation: ``"fast"`` attends 512 positions at a time, so that without gradient no n×n map is
            ever stored and with it one in place of two. It does not use torch's scaled-dot-product attention:
            with values wider than keys torch 2.13 has no fused kernel for the CPU, and its fallback is
            slower than ``"published"``, which stores logits and soft-max whole.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, implementation: Literal["fast", "published"] = "fast") -> None:
        super().__init__(channels, implementation)
        width = max(1, channels // 8)
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys (N, C', H·W) and values (N, C, H·W) of (N, C, H, W)."""
        return (
            self.query(x).flatten(2),  # (N, C', H·W)
            self.key(x).flatten(2),  # (N, C', H·W)
            self.value(x).flatten(2),  # (N, C, H·W)
        )

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; B is the block of positions that attend at a time."""
        q, k, v = self._projected(x)
        y = [
            v @ (block.mT @ k).softmax(dim=2).mT  # (N, C, H·W) by (N, H·W, B) is (N, C, B)
            for block in torch.split(q, _BLOCK, dim=2)
        ]
        return torch.addcmul(x, self.gamma, torch.cat(y, dim=2).view(x.shape))  # (N, C, H, W)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        q, k, v = self._projected(x)
        attention = self.affinity(q.mT, k).softmax(dim=2)  # (N, H·W, H·W), a row for each position that asks
        y: Tensor = self.gamma * self.aggregate(v, attention.mT).view(x.shape) + x  # (N, C, H, W)
        return y


class CAM(_Attention):
    """Channel attention module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        implementation: ``"fast"`` leaves out the maximum, which the soft-max cancels, and computes
            (γ A) X + X in one product, so that the output is the only C×n map made, and has three products of
            C×C×n in its backward pass. ``"published"`` makes A X and γ A X too, and has four.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, implementation: Literal["fast", "published"] = "fast") -> None:
        super().__init__(channels, implementation)

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        flat = x.flatten(2)  # (N, C, H·W)
        # A compiler makes a backward pass of its own.
        compiling = torch.compiler.is_compiling()
        energy = flat @ flat.mT if compiling else _Gram.apply(flat)  # type: ignore[no-untyped-call]  # (N, C, C)
        attention = energy.neg().softmax(dim=2)  # (N, C, C)
        return torch.baddbmm(flat, self.gamma * attention, flat).view(x.shape)  # (N, C, H, W)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        flat = x.flatten(2)  # (N, C, H·W)
        energy = self.affinity(flat, flat.mT)  # (N, C, C)
        attention = (energy.amax(dim=2, keepdim=True) - energy).softmax(dim=2)  # (N, C, C)
        y: Tensor = self.gamma * self.aggregate(attention, flat).view(x.shape) + x  # (N, C, H, W)
        return y
