"""ParNet's block: RepVGG's, with skip-squeeze-and-excitation.

Ankit Goyal, Alexey Bochkovskiy, Jia Deng, Vladlen Koltun. Non-deep Networks. NeurIPS 2022.
Paper: https://arxiv.org/abs/2110.07641
Official code: https://github.com/imankgoyal/NonDeepNetworks (BSD-3-Clause)

N is the batch size, C the number of channels, H×W the map; F is a 3×3 convolution, the W are 1×1, none with a
bias. X is the input::

    B = BN(X)                                           C×H×W
    S = B ⊙ σ(W_s (mean over positions of B))           C×H×W    skip-squeeze-and-excitation
    Y = SiLU(BN(F X) + BN(W X) + S)                     C×H×W

``fast``, in evaluation, where a batch normalisation is a scale and a shift of each channel, merges F and W
into one 3×3 convolution and S into a scale of X: 9C²n + C² multiplications in place of 10C²n + C². The
merged kernel, 9C² numbers, is made in each pass and counts in its peak. In training it is the published
order.

Differs from the paper: nothing.

Differs from the released code: its strides, groups and blocks without S are not here.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "bn": "rbr_identity",
    "conv3": "rbr_dense.conv",
    "bn3": "rbr_dense.bn",
    "conv1": "rbr_1x1.conv",
    "bn1": "rbr_1x1.bn",
    "squeeze": "se.cvsig.conv",
}


class ParNetBlock(nn.Module):
    """ParNet's block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, implementation: Literal["fast", "published"] = "fast") -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.bn = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.squeeze = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if self.implementation == "fast" and not self.training:
            return functional.silu(self._merged(x))
        base = self.bn(x)  # (N, C, H, W)
        gate = self.squeeze(base.mean((2, 3), keepdim=True)).sigmoid()  # (N, C, 1, 1)
        return functional.silu(self.bn3(self.conv3(x)) + self.bn1(self.conv1(x)) + base * gate)

    def _merged(self, x: Tensor) -> Tensor:
        """What the last non-linearity takes, (N, C, H, W), by one convolution and one scale of X."""
        (of_x, shift), (of_3, shift_3), (of_1, shift_1) = map(_affine, (self.bn, self.bn3, self.bn1))
        means = x.mean((2, 3), keepdim=True) * of_x[:, 0] + shift  # (N, C, 1, 1), of B
        gate = self.squeeze(means).sigmoid()  # (N, C, 1, 1)
        bias = (shift_3 + shift_1).flatten()  # (C)
        y = functional.conv2d(x, self._kernel(of_3, of_1), bias, padding=1)
        return y + torch.addcmul(shift * gate, x, of_x[:, 0] * gate)  # (N, C, H, W)

    def _kernel(self, of_3: Tensor, of_1: Tensor) -> Tensor:
        """F and W, scaled by (C, 1, 1, 1) each, as one kernel (C, C, 3, 3)."""
        kernel = self.conv3.weight * of_3  # (C, C, 3, 3)
        kernel[:, :, 1:2, 1:2] += self.conv1.weight * of_1  # (C, C, 1, 1)
        return kernel

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``RepVGGBlock`` with ``se_block``, not yet merged.

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


def _affine(bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch normalisation in evaluation: its scale (C, 1, 1, 1) and its shift (C, 1, 1)."""
    scale = bn.weight * (bn.get_buffer("running_var") + bn.eps).rsqrt()  # (C,)
    shift = bn.bias - bn.get_buffer("running_mean") * scale  # (C,)
    return scale[:, None, None, None], shift[:, None, None]
