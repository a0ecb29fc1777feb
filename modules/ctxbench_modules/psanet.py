"""Point-wise spatial attention (PSA) of PSANet.

Hengshuang Zhao, Yi Zhang, Shu Liu, Jianping Shi, Chen Change Loy, Dahua Lin, Jiaya Jia. PSANet: Point-wise
Spatial Attention Network for Scene Parsing. ECCV 2018.
Paper: https://ecva.net/papers/eccv_2018/papers_ECCV/html/Hengshuang_Zhao_PSANet_Point-wise_Spatial_ECCV_2018_paper.php
Official code: https://github.com/hszhao/semseg

N is the batch size, C the number of channels, H×W the map; C' = C/4 channels are attended to on a grid of
h×w, h = (H - 1) // shrink + 1 and w likewise, m = h·w its positions. q and p are two of them. X is the input,
C×H×W. Two branches, collect and distribute, each with its own weights (section 3)::

    F = ReLU(BN(W X)) resampled bilinearly to h×w                     C'×m
    M = W₂ ReLU(BN(W₁ F))                        (2h-1)(2w-1)×m       over-completed map: a logit for every
                                                                      offset at every position
    collect:     A(q, p) = M(q - p at p)                              m×m   p takes from q what p asks for
    distribute:  A(q, p) = M(p - q at q)                              m×m   q gives to p what q decides
    Z = F · softmax over q of A                                       C'×m
    Y = [X; ReLU(BN(W_p [Z_collect; Z_distribute])) resampled to H×W] 2C×H×W

W₂ depends on the grid. An input of another size than the weights' is resampled to and from the same grid.

Differs from the paper: as in the released code, attention is soft-maxed over q, where the paper divides by
the number of positions.

Differs from the released code: always both branches, the soft-max, a map that covers every offset, and no
factor that divides Z (1 by default), which there are options; H - 1 need not be a multiple of the shrink
factor, and inputs of another size are accepted.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "collect.reduce": "reduce",
    "collect.attention": "attention",
    "distribute.reduce": "reduce_p",
    "distribute.attention": "attention_p",
    "project": "proj",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


def _conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """The three layers that map (N, ``in_channels``, H, W) to (N, ``out_channels``, H, W)."""
    return [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


class Branch(nn.Module):
    """Features and their over-completed map: (N, C, H, W) to (N, C', m) and (N, (2h-1)(2w-1), m)."""

    def __init__(self, channels: int, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        height, breadth = grid
        offsets = nn.Conv2d(width, (2 * height - 1) * (2 * breadth - 1), 1, bias=False)
        self.grid = grid
        self.reduce = nn.Sequential(*_conv_bn_relu(channels, width))
        self.attention = nn.Sequential(*_conv_bn_relu(width, width), offsets)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features F and the map M of (N, C, H, W)."""
        features = _resample(self.reduce(x), self.grid)  # (N, C', h, w)
        return features.flatten(2), self.attention(features).flatten(2)  # (N, C', m), (N, (2h-1)(2w-1), m)


class PSA(nn.Module):
    """Point-wise spatial attention: (N, C, H, W) to (N, 2C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        width: C', the channels that are attended to; C // 4 where not given (512 of 2048 as published).
        shrink: the factor between the input and the grid.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, size: tuple[int, int], width: int | None = None, shrink: int = 2
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        _at_least_one("shrink", shrink)
        if len(size) != 2:
            raise ValueError(f"size must be (height, width), got {size}")
        height, breadth = ((_at_least_one("size", side) - 1) // shrink + 1 for side in size)
        width = max(1, channels // 4) if width is None else _at_least_one("width", width)
        self.in_channels = channels
        self.out_channels = 2 * channels
        self.grid = (height, breadth)
        self.collect = Branch(channels, width, self.grid)
        self.distribute = Branch(channels, width, self.grid)
        self.project = nn.Sequential(*_conv_bn_relu(2 * width, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 2C, H, W); ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        offsets = self._offsets(x.device).expand(len(x), -1, -1)  # (N, m, m)
        collect_features, collect_map = self.collect(x)
        distribute_features, distribute_map = self.distribute(x)
        # A gathered (a, b) is the logit for the offset a - b at position b. To collect, a is q and b is p; to
        # distribute, a is p and b is q, hence the transposition. Both soft-maxes run over q.
        collected = collect_features @ collect_map.gather(1, offsets).softmax(dim=1)  # (N, C', m)
        distributed = distribute_features @ distribute_map.gather(1, offsets).mT.softmax(dim=1)  # (N, C', m)
        z = self.project(  # (N, C, h, w)
            torch.cat([collected, distributed], dim=1).view(len(x), -1, *self.grid)  # (N, 2C', h, w)
        )
        return torch.cat([x, _resample(z, (x.shape[2], x.shape[3]))], dim=1)  # (N, 2C, H, W)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, of both branches.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer = next(name for name in _RELEASED if key.startswith(f"{name}."))
            keys[key] = _RELEASED[layer] + key.removeprefix(layer)
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _offsets(self, device: torch.device) -> Tensor:
        """(m, m): the channel of the map in which the logit for the offset q - p stands, q down and p across.

        The offsets are numbered row by row, as the pixels of a (2h-1)×(2w-1) image whose centre is 0.
        """
        height, breadth = self.grid
        rows, columns = (torch.arange(length, device=device) for length in self.grid)  # (h,), (w,)
        down = rows[:, None] - rows + height - 1  # (h, h): the row of q - p, from 0 to 2h - 2
        across = columns[:, None] - columns + breadth - 1  # (w, w): its column, from 0 to 2w - 2
        index = (
            down[:, None, :, None] * (2 * breadth - 1) + across[None, :, None, :]
        )  # (h, w, h, w): q, then p
        return index.reshape(height * breadth, -1)  # (m, m)
