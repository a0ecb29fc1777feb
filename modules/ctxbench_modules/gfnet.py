"""Global filter layer (GFNet).

Yongming Rao, Wenliang Zhao, Zheng Zhu, Jiwen Lu, Jie Zhou. Global Filter Networks for Image Classification.
NeurIPS 2021.
Paper: https://arxiv.org/abs/2107.00645
Official code: https://github.com/raoyongming/GFNet (MIT)

N is the batch size, C the number of channels, H×W the map; F is the two-dimensional discrete Fourier
transform of each channel, divided by √(H·W), and K a learned complex number for each frequency and channel.
The input X is real, and half of its frequencies say all (section 3.2)::

    S = F(X)              C×H×(⌊W/2⌋+1)    (eq. 8)
    Y = F⁻¹(K ⊙ S)        C×H×W            (eq. 9, 10)

which is a circular depthwise convolution with a kernel of H×W. K depends on the size of the map; a map of
another size than the weights' is resampled to that size and back, bilinearly, corners aligned.

Differs from the paper: there K is interpolated for another size.

Differs from the released code: maps in place of rows of tokens. Theirs computes in float32 whatever the input
is; here only what is of less precision than that is. Maps of another size are accepted.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class GlobalFilter(nn.Module):
    """Global filter layer: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        self.in_channels = self.out_channels = channels
        self.size = (size[0], size[1])
        height, width = self.size
        self.complex_weight = nn.Parameter(0.02 * torch.randn(height, width // 2 + 1, channels, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        y = _resample(x, self.size)
        wide = torch.promote_types(y.dtype, torch.float32)  # there is no transform of bfloat16
        weight = torch.view_as_complex(self.complex_weight.to(wide)).permute(2, 0, 1)  # (C, H, W/2+1)
        spectrum = torch.fft.rfft2(y.to(wide), norm="ortho") * weight  # (N, C, H, W/2+1)
        y = torch.fft.irfft2(spectrum, s=self.size, norm="ortho").to(x.dtype)  # (N, C, H, W)
        return _resample(y, (x.shape[2], x.shape[3]))

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``GlobalFilter``, whose name is that of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
