"""External attention (EA).

Meng-Hao Guo, Zheng-Ning Liu, Tai-Jiang Mu, Shi-Min Hu. Beyond Self-Attention: External Attention using Two
Linear Layers for Visual Tasks. 2021; TPAMI 2022.
Paper: https://arxiv.org/abs/2105.02358
Official code: https://github.com/MenghaoGuo/EANet (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, and S the units of the two
memories; W₁ and W₂ are the weights of 1×1 convolutions. X is the input as C×n (section 3.2)::

    F = W₁ X + b₁                               C×n
    A = softmax over positions of M_k F         S×n    M_k S×C, the memory of keys
    A = A / (10⁻⁹ + Σ_units A)                  S×n    double normalisation
    Y = ReLU(X + BN(W₂ M_v A))                  C×n    M_v C×S, the memory of values

``fast`` applies the convolutions to the memories in place of the map, there being nothing between them:
M_k F = (M_k W₁) X + M_k b₁ and W₂ (M_v A) = (W₂ M_v) A. That is 2SCn + 2SC² multiplications in place of
2C²n + 2SCn, where that is fewer.

Differs from the paper: as in the released code, a convolution goes before the block, and one with batch
normalisation, a skip connection and a ReLU after it.

Differs from the released code: S, 64 there, is an option. There M_v is built as a view of M_kᵀ and shares its
memory until the module is moved to another device or dtype; here they start equal and are two.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {"conv1": "conv1", "keys": "linear_0", "values": "linear_1", "conv2": "conv2.0", "bn2": "conv2.1"}


class ExternalAttention(nn.Module):
    """External attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        units: S.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, units: int = 64, implementation: Literal["fast", "published"] = "fast"
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("units", units)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.keys = nn.Conv1d(channels, units, 1, bias=False)
        self.values = nn.Conv1d(units, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, momentum=3e-4)
        for conv in (self.conv1, self.conv2, self.values):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / channels))
        with torch.no_grad():
            self.keys.weight.copy_(self.values.weight.transpose(0, 1))  # (S, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        units, positions = self.keys.out_channels, x.shape[2] * x.shape[3]
        folded = self.implementation == "fast" and units < positions
        y = self._folded(x) if folded else self._published(x)
        return functional.relu(self.bn2(y) + x)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

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
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _published(self, x: Tensor) -> Tensor:
        """W₂ M_v A of (N, C, H, W), of the same shape."""
        logits = self.keys(self.conv1(x).flatten(2))  # (N, S, H·W)
        y: Tensor = self.conv2(self.values(_normalised(logits)).view(x.shape))  # (N, C, H, W)
        return y

    def _folded(self, x: Tensor) -> Tensor:
        """W₂ M_v A of (N, C, H, W), of the same shape, with the convolutions applied to the memories."""
        keys, values = self.keys.weight.squeeze(2), self.values.weight.squeeze(2)  # (S, C), (C, S)
        # The soft-max over positions cancels M_k b₁, which is here so that b₁ has its gradient, zero.
        bias = (keys * self.conv1.get_parameter("bias")).sum(1, keepdim=True)  # (S, 1)
        weight = (keys @ self.conv1.weight.flatten(1)).expand(len(x), -1, -1)  # (N, S, C)
        attention = _normalised(torch.baddbmm(bias, weight, x.flatten(2)))  # (N, S, H·W)
        return (self.conv2.weight.flatten(1) @ values @ attention).view(x.shape)  # (N, C, H, W)


def _normalised(logits: Tensor) -> Tensor:
    """(N, S, n) soft-maxed over the n positions, then divided by its sum over the S units."""
    attention = logits.softmax(dim=2)
    return attention / (1e-9 + attention.sum(dim=1, keepdim=True))
