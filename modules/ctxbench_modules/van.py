"""Large kernel attention (LKA), the attention block of the Visual Attention Network.

Meng-Hao Guo, Cheng-Ze Lu, Zheng-Ning Liu, Ming-Ming Cheng, Shi-Min Hu. Visual Attention Network.
Computational Visual Media 2023.
Paper: https://arxiv.org/abs/2202.09741
Official code: https://github.com/Visual-Attention-Network/VAN-Classification (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, K the kernel that is
decomposed and d its dilation; dw is a depthwise convolution, a W with an index the weight of a 1×1 one. X is
the input as C×n; every convolution has a bias (sections 3.1 and 3.2)::

    Z = GELU(W₁ X)                                              C×n
    A = W₂ dw_{⌈K/d⌉×⌈K/d⌉, dilation d}(dw_{(2d−1)×(2d−1)}(Z))  C×n    (eq. 1) the attention, no soft-max
    Y = X + W₃ (A ⊙ Z)                                          C×n    (eq. 2)

With K = 21 and d = 3 the two are a 5×5 and a 7×7 of dilation 3.

Differs from the paper: nothing.

Differs from the released code: K and d are options. Around this block the network has batch normalisation, a
skip connection and a scale per channel that starts at 0.01, none of which is here.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "before": "proj_1",
    "local": "spatial_gating_unit.conv0",
    "dilated": "spatial_gating_unit.conv_spatial",
    "mix": "spatial_gating_unit.conv1",
    "after": "proj_2",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class LKA(nn.Module):
    """Large kernel attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        kernel_size: K, such that ⌈K/d⌉ is odd.
        dilation: d.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, kernel_size: int = 21, dilation: int = 3) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        wide = -(-_at_least_one("kernel_size", kernel_size) // _at_least_one("dilation", dilation))
        if wide % 2 == 0:
            raise ValueError(f"kernel_size / dilation, rounded up, must be odd, got {wide}")
        self.in_channels = self.out_channels = channels
        self.before = nn.Conv2d(channels, channels, 1)
        self.local = nn.Conv2d(channels, channels, 2 * dilation - 1, padding=dilation - 1, groups=channels)
        self.dilated = nn.Conv2d(
            channels, channels, wide, padding=wide // 2 * dilation, dilation=dilation, groups=channels
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.after = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        z = functional.gelu(self.before(x))
        attention = self.mix(self.dilated(self.local(z)))
        y: Tensor = self.after(attention * z) + x
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
