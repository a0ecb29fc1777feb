"""Gated channel transformation (GCT).

Zongxin Yang, Linchao Zhu, Yu Wu, Yi Yang. Gated Channel Transformation for Visual Recognition. CVPR 2020.
Paper: https://arxiv.org/abs/1909.11519
Official code: https://github.com/z-x-yang/GCT (no licence)

N is the batch size, C the number of channels, H×W the map. X is the input as C×n, n = H·W; α, γ and β are of
C (section 3)::

    s = α ⊙ √(Σ_positions X² + ε)                 C      embedding       (eq. 2)
    ŝ = s/√(mean over channels of s² + ε)         C      normalisation   (eq. 3)
    Y = X ⊙ (1 + tanh(γ ⊙ ŝ + β))                 C×n    gating          (eq. 4)

ε = 10⁻⁵. With ``norm="l1"``, s = α ⊙ Σ_positions |X| and ŝ = s/(mean over channels of |s| + ε). α starts at
one, γ and β at zero, so that the block starts as the identity.

Differs from the paper: nothing.

Differs from the released code: its option for inputs that are positive already, which leaves out the
absolute value, is not here.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

_EPS = 1e-5  # ε of both roots


class GCT(nn.Module):
    """Gated channel transformation: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        norm: ``"l2"`` or ``"l1"``, over the positions and over the channels.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, norm: Literal["l2", "l1"] = "l2") -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if norm not in ("l2", "l1"):
            raise ValueError(f"norm must be 'l2' or 'l1', got {norm!r}")
        self.in_channels = self.out_channels = channels
        self.norm = norm
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if self.norm == "l2":
            embedding = self.alpha * (x.square().sum((2, 3), keepdim=True) + _EPS).sqrt()  # (N, C, 1, 1)
            length = (embedding.square().mean(1, keepdim=True) + _EPS).sqrt()  # (N, 1, 1, 1)
        else:
            embedding = self.alpha * x.abs().sum((2, 3), keepdim=True)  # (N, C, 1, 1)
            length = embedding.abs().mean(1, keepdim=True) + _EPS  # (N, 1, 1, 1)
        return x * (1 + (self.gamma * embedding / length + self.beta).tanh())

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)
