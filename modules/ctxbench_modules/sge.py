"""Spatial group-wise enhance (SGE).

Xiang Li, Xiaolin Hu, Jian Yang. Spatial Group-wise Enhance: Improving Semantic Feature Learning in
Convolutional Networks. arXiv 2019.
Paper: https://arxiv.org/abs/1905.09646
Official code: https://github.com/implus/PytorchInsight (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, G the groups of C/G
channels each. For each group, X its channels as C/G×n (section 3)::

    t = gᵀ X,  g = mean over positions of X       n     how alike each position is to the group's mean
    t̂ = (t − mean(t))/(std(t) + 10⁻⁵)             n
    Y = X ⊙ σ(γ t̂ + β)                            C/G×n

γ and β are a scalar for each group; γ starts at zero and β at one. The standard deviation is that of a
sample, with n − 1.

Differs from the paper: as in the released code, ε is added to the sample's standard deviation.

Differs from the released code: where C is no multiple of 64, ``groups`` is by default their greatest common
divisor. On a map of one position the standard deviation is zero, and theirs not a number.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class SGE(nn.Module):
    """Spatial group-wise enhance: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        groups: G, a divisor of C; where not given 64, or the greatest common divisor of 64 and C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, groups: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        groups = math.gcd(64, channels) if groups is None else groups
        if not isinstance(groups, int) or groups < 1 or channels % groups:
            raise ValueError(f"groups must be a divisor of the channels, {channels}, got {groups!r}")
        self.in_channels = self.out_channels = channels
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(1, groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, groups, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        grouped = x.reshape(len(x), self.groups, -1, *x.shape[2:])  # (N, G, C/G, H, W)
        alike = (grouped * grouped.mean((3, 4), keepdim=True)).sum(2)  # (N, G, H, W)
        centred = alike - alike.mean((2, 3), keepdim=True)  # (N, G, H, W)
        length: Tensor = torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True)  # (N, G, 1, 1)
        deviation = length / math.sqrt(max(1, x.shape[2] * x.shape[3] - 1))  # (N, G, 1, 1)
        gate = (centred / (deviation + 1e-5) * self.weight + self.bias).sigmoid()  # (N, G, H, W)
        y: Tensor = (grouped * gate.unsqueeze(2)).reshape(x.shape)  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)
