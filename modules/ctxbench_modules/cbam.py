"""Convolutional block attention module (CBAM).

Sanghyun Woo, Jongchan Park, Joon-Young Lee, In So Kweon. CBAM: Convolutional Block Attention Module. ECCV
2018.
Paper: https://arxiv.org/abs/1807.06521
Official code: https://github.com/Jongchan/attention-module

N is the batch size, C the number of channels, H×W the map, and r the reduction of the bottleneck. X is the
input, C×H×W; the channel gate comes first, then the spatial one (section 3)::

    MLP(z) = W₁ ReLU(W₀ z + b₀) + b₁                                C     W₀ C/r×C, W₁ C×C/r
    s_c = σ(MLP(mean over positions of X) + MLP(maximum over positions of X))   C       (eq. 2)
    X' = s_c ⊙ X                                                    C×H×W   (eq. 1)
    s_s = σ(BN(f([maximum over channels of X'; mean over channels of X'])))     1×H×W   (eq. 3)
    Y = s_s ⊙ X'                                                    C×H×W   (eq. 1)

f is a convolution from two channels to one, 7×7, without bias.

Differs from the paper: as in the released code, the MLP has biases, a batch normalisation follows f, and f
reads the maximum before the mean, where eq. 3 has the mean first (the same block with f's two planes
exchanged).

Differs from the released code: nothing at its defaults. ``kernel_size`` is not an option there; its options
to pool in other ways and to leave out the spatial gate are not here. Where C < r, the bottleneck has one
channel, and theirs none.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The layers here, and what the authors call them.
_RELEASED = {
    "mlp.0": "ChannelGate.mlp.1",
    "mlp.2": "ChannelGate.mlp.3",
    "spatial.0": "SpatialGate.spatial.conv",
    "spatial.1": "SpatialGate.spatial.bn",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class CBAM(nn.Module):
    """Convolutional block attention module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        reduction: r; the bottleneck of the MLP has at least one channel.
        kernel_size: of f, odd.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        width = max(1, _at_least_one("channels", channels) // _at_least_one("reduction", reduction))
        if _at_least_one("kernel_size", kernel_size) % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.in_channels = self.out_channels = channels
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, channels))
        self.spatial = nn.Sequential(
            nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(1, momentum=0.01),  # the authors' momentum, not torch's 0.1
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        gate = (self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).sigmoid()  # (N, C)
        x = x * gate[:, :, None, None]  # (N, C, 1, 1) scales (N, C, H, W)
        y: Tensor = x * self.spatial(  # (N, 1, H, W) scales (N, C, H, W)
            torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)  # (N, 2, H, W)
        )
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.rpartition(".")
            keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
