"""Multi-scale convolutional attention (MSCA), the attention block of SegNeXt.

Meng-Hao Guo, Cheng-Ze Lu, Qibin Hou, Zheng-Ning Liu, Ming-Ming Cheng, Shi-Min Hu. SegNeXt: Rethinking
Convolutional Attention Design for Semantic Segmentation. NeurIPS 2022.
Paper: https://arxiv.org/abs/2209.08575
Official code: https://github.com/Visual-Attention-Network/SegNeXt (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, k the lengths of the
strips; dw is a depthwise convolution, a W with an index the weight of a 1×1 one. X is the input as C×n; every
convolution has a bias (section 3.1)::

    Z = GELU(W₁ X)                                       C×n
    S = dw_{5×5}(Z)                                      C×n
    A = W₂ (S + Σ_k dw_{k×1}(dw_{1×k}(S)))               C×n    (eq. 1) the attention, no soft-max
    Y = X + W₃ (A ⊙ Z)                                   C×n    (eq. 2)

k is 7, 11 and 21: a pair of strips stands for a k×k.

Differs from the paper: nothing.

Differs from the released code: the strips are an option. Around this block the network has batch
normalisation, a skip connection and a scale per channel that starts at 0.01, none of which is here.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them; ``strips.K.S`` is their ``convK_(S+1)``.
_RELEASED = {
    "before": "proj_1",
    "local": "spatial_gating_unit.conv0",
    "mix": "spatial_gating_unit.conv3",
    "after": "proj_2",
}


class MSCA(nn.Module):
    """Multi-scale convolutional attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        strips: the k, odd.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, strips: Sequence[int] = (7, 11, 21)) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if (
            not isinstance(strips, Sequence)
            or not strips
            or any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in strips)
        ):
            raise ValueError(f"strips must be odd integers of at least 1, got {strips!r}")
        self.in_channels = self.out_channels = channels
        self.before = nn.Conv2d(channels, channels, 1)
        self.local = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.strips = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, (1, k), padding=(0, k // 2), groups=channels),
                nn.Conv2d(channels, channels, (k, 1), padding=(k // 2, 0), groups=channels),
            )
            for k in strips
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.after = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        z = functional.gelu(self.before(x))
        scales: Tensor = self.local(z)
        near = scales
        for strip in self.strips:
            scales = scales + strip(near)
        y: Tensor = self.after(self.mix(scales) * z) + x
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``SpatialAttention``; theirs has three strips.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, *inner, name = key.split(".")
            if layer == "strips":
                scale, step = map(int, inner)
                keys[key] = f"spatial_gating_unit.conv{scale}_{step + 1}.{name}"
            else:
                keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
