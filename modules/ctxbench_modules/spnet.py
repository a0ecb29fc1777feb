"""Mixed pooling module (MPM) of SPNet, with strip pooling.

Qibin Hou, Li Zhang, Ming-Ming Cheng, Jiashi Feng. Strip Pooling: Rethinking Spatial Pooling for Scene
Parsing. CVPR 2020.
Paper: https://arxiv.org/abs/2003.13328
Official code: https://github.com/Andrew-Qibin/SPNet (MIT)

N is the batch size, C the number of channels, H×W the map, I = C/4 the channels of both paths; f with an
index is a convolution of the size given, without bias and with batch normalisation. X is the input, C×H×W
(section 3.2)::

    X₁ = ReLU(f₁ X),  X₂ = ReLU(f₂ X)                                        I×H×W    1×1
    short range: P₁ = f₃ X₁ + Σ_s up(f_s(mean over an s×s grid of X₁))       I×H×W    3×3, s = 20 and 12
    long range:  P₂ = f_w(mean over each column of X₂)                       I×1×W    1×3
                      + f_h(mean over each row of X₂)                        I×H×1    3×1, both broadcast
    Y = ReLU(X + f_o [ReLU(f₄ ReLU(P₁)); ReLU(f₅ ReLU(P₂))])                 C×H×W    f₄, f₅ 3×3, f_o 1×1

up is bilinear, corners aligned.

Differs from the paper: nothing. Its strip pooling module (SPM), a gate inside the blocks of the backbone, is
another block.

Differs from the released code: the strips are broadcast, where it resamples them to the map, which is the
same. Where C < 4, the paths have one channel, and theirs none. In training, a strip of one value per channel
is normalised by the running statistics, where theirs raises.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "short": "conv1_1",
    "long": "conv1_2",
    "local": "conv2_0",
    "grids.0": "conv2_1",
    "grids.1": "conv2_2",
    "columns": "conv2_3",
    "rows": "conv2_4",
    "short_out": "conv2_5",
    "long_out": "conv2_6",
    "project": "conv3",
}


class ConvBN(nn.Module):
    """A convolution without bias that keeps the size, and batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.conv(x)  # (N, D, H, W)
        bn = self.bn
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and y.numel() == y.shape[1]:
            y = functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            y = bn(y)
        return y


class MPM(nn.Module):
    """Mixed pooling module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        pools: the sizes s of the two grids.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, pools: Sequence[int] = (20, 12)) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if (
            not isinstance(pools, Sequence)
            or len(pools) != 2
            or any(not isinstance(side, int) or side < 1 for side in pools)
        ):
            raise ValueError(f"pools must be two integers of at least 1, got {pools!r}")
        width = max(1, channels // 4)
        self.in_channels = self.out_channels = channels
        self.pools = tuple(pools)
        self.short = ConvBN(channels, width, (1, 1))
        self.long = ConvBN(channels, width, (1, 1))
        self.local = ConvBN(width, width, (3, 3))
        self.grids = nn.ModuleList(ConvBN(width, width, (3, 3)) for _ in pools)
        self.columns = ConvBN(width, width, (1, 3))
        self.rows = ConvBN(width, width, (3, 1))
        self.short_out = ConvBN(width, width, (3, 3))
        self.long_out = ConvBN(width, width, (3, 3))
        self.project = ConvBN(2 * width, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        relu, size = functional.relu, x.shape[2:]
        narrow = relu(self.short(x))  # (N, I, H, W)
        short = self.local(narrow)  # (N, I, H, W)
        for side, layer in zip(self.pools, self.grids, strict=True):
            pooled = layer(functional.adaptive_avg_pool2d(narrow, side))  # (N, I, s, s)
            short = short + functional.interpolate(pooled, size, mode="bilinear", align_corners=True)
        narrow = relu(self.long(x))  # (N, I, H, W)
        long = self.columns(narrow.mean(2, keepdim=True)) + self.rows(narrow.mean(3, keepdim=True))
        both = torch.cat(  # (N, 2I, H, W)
            [relu(self.short_out(relu(short))), relu(self.long_out(relu(long)))], dim=1
        )
        return relu(x + self.project(both))

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``StripPooling``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released_parts = {"conv": "0", "bn": "1"}  # the authors' nn.Sequential numbers its layers
        keys = {}
        for key in self.state_dict():
            layer, part, name = key.rsplit(".", 2)
            keys[key] = f"{_RELEASED[layer]}.{released_parts[part]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
