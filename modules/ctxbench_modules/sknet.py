"""Selective kernel convolution (SK).

Xiang Li, Wenhai Wang, Xiaolin Hu, Jian Yang. Selective Kernel Networks. CVPR 2019.
Paper: https://arxiv.org/abs/1903.06586
Official code: https://github.com/implus/SKNet (Caffe). Held against timm's ``SelectiveKernel``:
https://github.com/huggingface/pytorch-image-models (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, M the branches, G the
groups of their convolutions, r the reduction and L the least width of the bottleneck, d = max(C/r, L). X is
the input as C×n; no convolution has a bias (section 3.1)::

    U_m = ReLU(BN(3×3 of dilation m, G groups, X))     C×n    split, m = 1 … M; a dilation of 2 stands for 5×5
    s = mean over positions of Σ_m U_m                 C      fuse
    z = ReLU(BN(W s))                                  d      W d×C
    a_m = softmax over the branches of A_m z           C      select, A_m C×d
    Y = Σ_m a_m ⊙ U_m                                  C×n

Differs from the paper: nothing.

Differs from timm's module: as there with ``split_input=False``, each branch sees all channels; d is not
rounded to a multiple of 8. Where C is no multiple of 32, ``groups`` is by default their greatest common
divisor. In training, a batch of one, whose s has one value per channel and no variance, is normalised by the
running statistics; torch raises. The first author's own PyTorch port (implus/PytorchInsight) has a dense 3×3
and a grouped 3×3, both of dilation 1, and no L: not the paper's block, and not here.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what timm calls them.
_RELEASED = {
    "branches": "paths",
    "reduce": "attn.fc_reduce",
    "bn": "attn.bn",
    "select": "attn.fc_select",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class Branch(nn.Module):
    """A grouped 3×3 convolution, batch normalisation and ReLU: (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int, groups: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, 3, padding=dilation, dilation=dilation, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        y, bn = self.conv(x), self.bn
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and y.numel() == y.shape[1]:
            y = functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            y = bn(y)
        z: Tensor = self.relu(y)
        return z


class SelectiveKernel(nn.Module):
    """Selective kernel convolution: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        branches: M, at least 2.
        groups: G, a divisor of C; where not given 32, or the greatest common divisor of 32 and C.
        reduction: r.
        least_width: L.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        branches: int = 2,
        groups: int | None = None,
        reduction: int = 16,
        least_width: int = 32,
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        groups = math.gcd(32, channels) if groups is None else _at_least_one("groups", groups)
        if channels % groups:
            raise ValueError(f"groups must be a divisor of the channels, {channels}, got {groups}")
        if _at_least_one("branches", branches) < 2:
            raise ValueError(f"branches must be at least 2, got {branches}")
        width = max(
            channels // _at_least_one("reduction", reduction), _at_least_one("least_width", least_width)
        )
        self.in_channels = self.out_channels = channels
        self.branches = nn.ModuleList(Branch(channels, groups, 1 + m) for m in range(branches))
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.select = nn.Conv2d(width, branches * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        maps = [branch(x) for branch in self.branches]  # M of (N, C, H, W)
        fused = torch.stack([u.mean((2, 3), keepdim=True) for u in maps]).sum(0)  # (N, C, 1, 1)
        z, bn = self.reduce(fused), self.bn  # (N, d, 1, 1)
        if bn.training and isinstance(bn, nn.BatchNorm2d) and len(z) == 1:
            z = functional.batch_norm(z, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            z = bn(z)
        logits = self.select(functional.relu(z)).unflatten(1, (len(maps), -1))  # (N, M, C, 1, 1)
        weights = logits.softmax(dim=1).unbind(1)  # M of (N, C, 1, 1)
        y: Tensor = weights[0] * maps[0]
        for weight, u in zip(weights[1:], maps[1:], strict=True):
            y = y + weight * u
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of timm's ``SelectiveKernel``.

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
