"""Bottleneck attention module (BAM).

Jongchan Park, Sanghyun Woo, Joon-Young Lee, In So Kweon. BAM: Bottleneck Attention Module. BMVC 2018.
Paper: https://arxiv.org/abs/1807.06514
Official code: https://github.com/Jongchan/attention-module (MIT)

N is the batch size, C the number of channels, H×W the map, r the reduction of both branches and d the
dilation; a W with an index is the weight of a layer on channels, b its bias. X is the input, C×H×W (section
3)::

    M_c = W₁ ReLU(BN(W₀ z + b₀)) + b₁,  z = mean over positions of X      C        W₀ C/r×C, W₁ C×C/r
    F = ReLU(BN(W₂ X + b₂))                                               C/r×H×W
    twice: F = ReLU(BN(f(F)))                                             C/r×H×W  f 3×3, dilated by d, biased
    M_s = w F + b                                                         1×H×W    w 1×C/r
    Y = X ⊙ (1 + σ(M_c + M_s))                                            C×H×W    (eq. 1, 2)

Differs from the paper: as in the released code, the batch normalisations stand inside both branches, where
the paper has one at the end of each (eq. 3, 4).

Differs from the released code: it multiplies M_c and M_s, where the paper adds them; ``combine="product"``
does as it does. As released it raises NameError, and it pools by H×H, so that only square maps run. Where
C < r, the branches have one channel, and theirs none. In training, a batch of one is normalised in the
channel branch by the running statistics, where theirs raises.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "channel.reduce": "channel_att.gate_c.gate_c_fc_0",
    "channel.bn": "channel_att.gate_c.gate_c_bn_1",
    "channel.expand": "channel_att.gate_c.gate_c_fc_final",
    "spatial.0": "spatial_att.gate_s.gate_s_conv_reduce0",
    "spatial.1": "spatial_att.gate_s.gate_s_bn_reduce0",
    "spatial.3": "spatial_att.gate_s.gate_s_conv_di_0",
    "spatial.4": "spatial_att.gate_s.gate_s_bn_di_0",
    "spatial.6": "spatial_att.gate_s.gate_s_conv_di_1",
    "spatial.7": "spatial_att.gate_s.gate_s_bn_di_1",
    "spatial.9": "spatial_att.gate_s.gate_s_conv_final",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class ChannelBranch(nn.Module):
    """M_c: (N, C, H, W) to (N, C)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, width)
        self.bn = nn.BatchNorm1d(width)
        self.expand = nn.Linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C)."""
        z, bn = self.reduce(x.mean((2, 3))), self.bn  # (N, C/r)
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class,
        # has more values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm1d) and len(z) == 1:
            z = functional.batch_norm(z, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            z = bn(z)
        y: Tensor = self.expand(functional.relu(z))  # (N, C)
        return y


class BAM(nn.Module):
    """Bottleneck attention module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        reduction: r; both branches have at least one channel.
        dilation: d.
        combine: ``"sum"`` of M_c and M_s, as the paper, or their ``"product"``, as the released code.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        dilation: int = 4,
        combine: Literal["sum", "product"] = "sum",
    ) -> None:
        super().__init__()
        width = max(1, _at_least_one("channels", channels) // _at_least_one("reduction", reduction))
        _at_least_one("dilation", dilation)
        if combine not in ("sum", "product"):
            raise ValueError(f"combine must be 'sum' or 'product', got {combine!r}")
        self.in_channels = self.out_channels = channels
        self.combine = combine
        self.channel = ChannelBranch(channels, width)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(2):
            dilated = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
            layers += [dilated, nn.BatchNorm2d(width), nn.ReLU()]
        self.spatial = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        of_channels = self.channel(x)[:, :, None, None]  # (N, C, 1, 1)
        of_positions = self.spatial(x)  # (N, 1, H, W)
        logits = of_channels + of_positions if self.combine == "sum" else of_channels * of_positions
        y: Tensor = x * (1 + logits.sigmoid())  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module; build this with ``combine="product"`` for its outputs.

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
