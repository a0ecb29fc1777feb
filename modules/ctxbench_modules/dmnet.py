"""Dynamic convolutional module (DCM) of DMNet.

Junjun He, Zhongying Deng, Yu Qiao. Dynamic Multi-Scale Filters for Semantic Segmentation. ICCV 2019.
Paper: https://openaccess.thecvf.com/content_ICCV_2019/html/He_Dynamic_Multi-Scale_Filters_for_Semantic_Segmentation_ICCV_2019_paper.html
Official code: https://github.com/Junjun2016/DMNet, which is the block of mmsegmentation (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, D the reduced channels, k the side of the filter;
a W with an index is the weight of a 1×1 convolution, b its bias. X is the input, C×H×W::

    F  = W_f P(X) + b_f              D×k×k    P the average over the cells of a k×k grid
    X' = ReLU(BN(W_r X))             D×H×W
    Y  = ReLU(BN(F ⊛ X'))            D×H×W    each channel with the filter made of this very image

⊛ is depthwise correlation on zeros beyond the map, of which an even k has one more on the left and above.
With ``fusion`` a 1×1 convolution, batch normalisation and ReLU follow. The network puts modules of k = 1, 3,
5, 7 beside each other.

Differs from the paper: nothing it states; fusion is off, as in the authors' configuration.

Differs from the released code: nothing.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class ConvNorm(nn.Module):
    """A 1×1 convolution without bias, batch normalisation and ReLU: (N, C, H, W) to (N, D, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        return functional.relu(self.bn(self.conv(x)))


class DCM(nn.Module):
    """Dynamic convolutional module: (N, C, H, W) to (N, ``width``, H, W).

    Args:
        channels: C.
        filter_size: k; the network has modules of 1, 3, 5 and 7.
        width: D; 512 as published or, where that is fewer, C.
        fusion: end with a 1×1 convolution, batch normalisation and ReLU.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, filter_size: int = 3, width: int | None = None, fusion: bool = False
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        width = min(512, channels) if width is None else _at_least_one("width", width)
        if not isinstance(fusion, bool):
            raise ValueError(f"fusion must be True or False, got {fusion!r}")
        self.in_channels = channels
        self.out_channels = width
        self.filter_size = _at_least_one("filter_size", filter_size)
        self.pool = nn.AdaptiveAvgPool2d(filter_size)
        self.filter = nn.Conv2d(channels, width, 1)
        self.reduce = ConvNorm(channels, width)
        self.norm = nn.BatchNorm2d(width)
        self.fusion = ConvNorm(width, width) if fusion else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W); ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        before, after = self.filter_size // 2, (self.filter_size - 1) // 2
        filters = self.filter(self.pool(x)).flatten(0, 1).unsqueeze(1)  # (N·D, 1, k, k)
        reduced = self.reduce(x).flatten(0, 1).unsqueeze(0)  # (1, N·D, H, W)
        if before > after:
            reduced = functional.pad(reduced, (1, 0, 1, 0))  # (1, N·D, H + 1, W + 1)
        y = functional.conv2d(reduced, filters, padding=after, groups=len(filters))  # (1, N·D, H, W)
        y = functional.relu(self.norm(y.view(len(x), -1, *x.shape[2:])))  # (N, D, H, W)
        return y if self.fusion is None else self.fusion(y)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``DCM``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {"filter": "filter_gen_conv", "reduce": "input_redu_conv", "fusion": "fusion_conv"}
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{layers.get(layer, layer)}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
