"""Efficient channel attention (ECA).

Qilong Wang, Banggu Wu, Pengfei Zhu, Peihua Li, Wangmeng Zuo, Qinghua Hu. ECA-Net: Efficient Channel Attention
for Deep Convolutional Neural Networks. CVPR 2020.
Paper: https://arxiv.org/abs/1910.03151
Official code: https://github.com/BangguWu/ECANet (MIT)

N is the batch size, C the number of channels, H×W the map, and k an odd number of neighbouring channels. X is
the input as C×n, n = H·W (section 3.2)::

    z = mean over positions of X     C
    s = σ(w ∗ z)                     C      w one kernel of k weights along the channels, padded with zeros
    Y = s ⊙ X                        C×n

Without ``kernel_size``, k = |(log₂ C + 1)/2| rounded to an odd number, the paper's rule with γ = 2 and
b = 1: 3 for 64 channels, 5 for 512.

Differs from the paper: nothing.

Differs from the released code: its module does not know the rule and has k = 3 by default.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn


class ECA(nn.Module):
    """Efficient channel attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        kernel_size: k, odd; that of the rule above where not given.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, kernel_size: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if kernel_size is None:
            below = int((math.log2(channels) + 1) / 2)
            kernel_size = below if below % 2 else below + 1
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        self.in_channels = self.out_channels = channels
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        gate = self.conv(x.mean((2, 3)).unsqueeze(1)).sigmoid().squeeze(1)  # (N, C)
        y: Tensor = x * gate[:, :, None, None]  # (N, C, 1, 1) scales (N, C, H, W)
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
