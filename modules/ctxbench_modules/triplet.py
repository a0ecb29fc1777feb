"""Triplet attention.

Diganta Misra, Trikay Nalamada, Ajay Uppili Arasanipalai, Qibin Hou. Rotate to Attend: Convolutional Triplet
Attention Module. WACV 2021.
Paper: https://arxiv.org/abs/2010.03045
Official code: https://github.com/landskape-ai/triplet-attention (MIT)

N is the batch size, C the number of channels, H×W the map. X is the input, C×H×W; each gate reads its maximum
and its mean over one of the three axes, the planes of Z (section 3.2)::

    s = σ(BN(f Z))            C×W  over H,  H×C  over W,  H×W  over C     f a convolution of 2 channels to 1
    Y = X ⊙ (s_H + s_W + s_C)/3                            C×H×W          each gate broadcast along its axis

f is 7×7, without bias; each gate has its own.

Differs from the paper: nothing.

Differs from the released code: the map is not turned, nor are three gated maps averaged, but the gates are
summed, which is the same to rounding. Its options that do nothing (reduction, kinds of pooling) and the one
that leaves out the gate over C are not here; ``kernel_size`` is no option there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The gates here, and what the authors call them.
_RELEASED = {"height": "ChannelGateH", "width": "ChannelGateW", "channel": "SpatialGate"}


class Gate(nn.Sequential):
    """σ(BN(f Z)): (N, 2, A, B) to (N, 1, A, B)."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__(
            nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(1, momentum=0.01),  # the authors' momentum, not torch's 0.1
            nn.Sigmoid(),
        )


def _pooled(x: Tensor, axis: int) -> Tensor:
    """(N, A, B, D) to its maximum and its mean over an axis, (N, 2, …) with the two others in order."""
    return torch.stack([x.amax(axis), x.mean(axis)], dim=1)  # (N, 2, …)


class TripletAttention(nn.Module):
    """Triplet attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        kernel_size: of f, odd.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, kernel_size: int = 7) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        self.in_channels = self.out_channels = channels
        self.height = Gate(kernel_size)
        self.width = Gate(kernel_size)
        self.channel = Gate(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        of_height = self.height(_pooled(x, 2)).transpose(1, 2)  # (N, C, 1, W)
        of_width = self.width(_pooled(x.transpose(1, 2), 3)).permute(0, 3, 2, 1)  # (N, C, H, 1)
        of_channel = self.channel(_pooled(x, 1))  # (N, 1, H, W)
        y: Tensor = x * ((of_height + of_width + of_channel) / 3)  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released_parts = {"0": "conv", "1": "bn"}
        keys = {}
        for key in self.state_dict():
            gate, part, name = key.split(".")
            keys[key] = f"{_RELEASED[gate]}.spatial.{released_parts[part]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
