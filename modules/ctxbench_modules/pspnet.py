"""Pyramid pooling module (PPM) of PSPNet.

Hengshuang Zhao, Jianping Shi, Xiaojuan Qi, Xiaogang Wang, Jiaya Jia. Pyramid Scene Parsing Network. CVPR
2017.
Paper: https://arxiv.org/abs/1612.01105
Official code: https://github.com/hszhao/semseg

N is the batch size, C the number of channels, H×W the map, D = C/4 the channels of a bin size. X is the
input, C×H×W. For each bin size s = 1, 2, 3, 6 (section 3.2)::

    p_s = average of X over the cells of an s×s grid          C×s×s
    y_s = ReLU(BN(W_s p_s)) resampled bilinearly to H×W       D×H×W
    Y   = [X; y_1; y_2; y_3; y_6]                             2C×H×W

Differs from the paper: nothing it states. As in the released code, the 1×1 convolutions have no bias and are
followed by batch normalisation and ReLU, and the corners of grid and map are aligned, which section 3.2
leaves open.

Differs from the released code: in training mode a batch normalisation that sees one value per channel
(batch 1 at bin size 1) has no batch statistics; it then uses its running ones, where torch raises.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class PooledConv(nn.Module):
    """The average over an s×s grid, a 1×1 convolution without bias, batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, bins: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(bins)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, s, s)."""
        y, bn = self.conv(self.pool(x)), self.bn  # (N, D, s, s)
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and y.numel() == y.shape[1]:
            y = functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            y = bn(y)
        out: Tensor = self.relu(y)
        return out


class PPM(nn.Module):
    """Pyramid pooling module: (N, C, H, W) to (N, C + len(bins)·``width``, H, W).

    Args:
        channels: C.
        width: D, the channels of each bin size; C // len(bins) where not given.
        bins: the sizes s of the grids.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, width: int | None = None, bins: Sequence[int] = (1, 2, 3, 6)
    ) -> None:
        super().__init__()
        if not isinstance(bins, Sequence) or not bins or any(not isinstance(b, int) or b < 1 for b in bins):
            raise ValueError(f"bins must be a sequence of integers of at least 1, got {bins!r}")
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        width = max(1, channels // len(bins)) if width is None else width
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be an integer of at least 1, got {width!r}")
        self.in_channels = channels
        self.out_channels = channels + len(bins) * width
        self.features = nn.ModuleList(PooledConv(channels, width, size) for size in bins)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``out_channels``, H, W); ValueError where ``x`` has other channels."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        maps = [
            functional.interpolate(feature(x), x.shape[2:], mode="bilinear", align_corners=True)
            for feature in self.features
        ]  # (N, D, H, W) each
        return torch.cat([x, *maps], dim=1)  # (N, C + len(bins)·D, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released_parts = {"conv": "1", "bn": "2"}  # the authors' nn.Sequential numbers its layers
        keys = {}
        for key in self.state_dict():
            keys[key] = ".".join(released_parts.get(part, part) for part in key.split("."))
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
