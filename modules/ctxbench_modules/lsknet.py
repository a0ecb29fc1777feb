"""Large selective kernel attention (LSK).

Yuxuan Li, Qibin Hou, Zhaohui Zheng, Ming-Ming Cheng, Jian Yang, Xiang Li. Large Selective Kernel Network for
Remote Sensing Object Detection. ICCV 2023.
Paper: https://arxiv.org/abs/2303.09030
Official code: https://github.com/zcablii/LSKNet (CC BY-NC 4.0)

N is the batch size, C the number of channels, H×W the map; the W are 1×1 convolutions, the D depthwise ones,
all with a bias. X is the input::

    Z = GELU(W_in X)                                             C×H×W
    U₁ = D₁ Z,  U₂ = D₂ U₁                                       C×H×W      5×5; 7×7 of dilation 3
    Ũ₁ = W₁ U₁,  Ũ₂ = W₂ U₂                                      C/2×H×W
    [m₁, m₂] = σ(F [mean over channels, maximum of [Ũ₁, Ũ₂]])    2×H×W      F 7×7
    Y = X + W_out (Z ⊙ W (m₁ ⊙ Ũ₁ + m₂ ⊙ Ũ₂))                    C×H×W

Differs from the paper: nothing.

Differs from the released code: nothing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "project_in": "proj_1",
    "near": "spatial_gating_unit.conv0",
    "far": "spatial_gating_unit.conv_spatial",
    "reduce_near": "spatial_gating_unit.conv1",
    "reduce_far": "spatial_gating_unit.conv2",
    "select": "spatial_gating_unit.conv_squeeze",
    "expand": "spatial_gating_unit.conv",
    "project_out": "proj_2",
}


class LSK(nn.Module):
    """Large selective kernel attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        self.in_channels = self.out_channels = channels
        half = max(1, channels // 2)
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.reduce_near = nn.Conv2d(channels, half, 1)
        self.reduce_far = nn.Conv2d(channels, half, 1)
        self.select = nn.Conv2d(2, 2, 7, padding=3)
        self.expand = nn.Conv2d(half, channels, 1)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        z = functional.gelu(self.project_in(x))  # (N, C, H, W)
        near = self.near(z)  # (N, C, H, W)
        near, far = self.reduce_near(near), self.reduce_far(self.far(near))  # (N, C/2, H, W) each
        both = torch.cat([near, far], dim=1)  # (N, C, H, W)
        pooled = torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], dim=1)  # (N, 2, H, W)
        masks = self.select(pooled).sigmoid()  # (N, 2, H, W)
        chosen = self.expand(near * masks[:, :1] + far * masks[:, 1:])  # (N, C, H, W)
        y: Tensor = self.project_out(z * chosen) + x  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``Attention``.

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
