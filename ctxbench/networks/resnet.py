"""ResNet with dilated convolutions and output stride 8, under the parameter names of torchvision.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; the dilation after Yu et al., Dilated
Residual Networks, CVPR 2017; the deep stem (three 3×3 for the 7×7) after Zhao et al., Pyramid Scene Parsing
Network, CVPR 2017. Section 3.5 of the RecoNet paper: "apply dilation strategy to the output of Res-4 and
Res-5", section 4.3: "we replace the first 7×7 convolution in ResNet with three consequent 3×3".

N images of H × W pixels; ⌈·⌉ rounds up. C2 to C5 are the outputs of Res-2 to Res-5.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from ctxbench.errors import UserError

Stem = Literal["deep", "deep-narrow", "plain"]
StrideIn = Literal["3x3", "1x1"]

EXPANSION = 4
OUTPUT_STRIDE = 8


def feature_size(side: int) -> int:
    """Return H or W of C3, C4 and C5 for that of the input: ceil(side / 8)."""
    return -(-side // OUTPUT_STRIDE)


def initialise(module: nn.Module) -> None:
    """Kaiming normal (fan in) for every convolution, bias 0; batch norms have weight 1 and bias 0 already."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = False
) -> list[nn.Module]:
    """Return a convolution that keeps the size at stride 1, its batch norm and a ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _deep_stem(channels: int) -> nn.Module:
    """Three 3×3, the first at stride 2: (N, 3, H, W) to (N, ``channels``, ⌈H/2⌉, ⌈W/2⌉)."""
    inner = channels // 2
    steps = [*conv_bn_relu(3, inner, 3, stride=2), *conv_bn_relu(inner, inner, 3)]
    return nn.Sequential(*steps, nn.Conv2d(inner, channels, 3, padding=1, bias=False))


def _plain_stem(channels: int) -> nn.Module:
    """One 7×7 at stride 2: (N, 3, H, W) to (N, ``channels``, ⌈H/2⌉, ⌈W/2⌉)."""
    return nn.Conv2d(3, channels, 7, 2, 3, bias=False)


STEMS: dict[Stem, tuple[Callable[[int], nn.Module], int]] = {
    "deep": (_deep_stem, 2),
    "deep-narrow": (_deep_stem, 1),
    "plain": (_plain_stem, 1),
}
"""How each stem is built, and how many channels it gives in widths of the network."""
STRIDES: dict[StrideIn, Callable[[int], tuple[int, int]]] = {
    "3x3": lambda stride: (1, stride),
    "1x1": lambda stride: (stride, 1),
}
"""The strides of a bottleneck's first 1×1 and of its 3×3."""


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 with a shortcut: (N, ``inputs``, H, W) to (N, 4·``planes``, ⌈H/stride⌉, ⌈W/stride⌉).

    The 3×3 has the ``dilation``. Where the stride is differs between published weights: on the 3×3
    (torchvision, "3x3") or on the first 1×1 (the authors' Caffe models and Keras, "1x1").
    """

    def __init__(self, inputs: int, planes: int, *, stride: int, dilation: int, stride_in: StrideIn) -> None:
        super().__init__()
        outputs = EXPANSION * planes
        first, second = STRIDES[stride_in](stride)
        self.conv1 = nn.Conv2d(inputs, planes, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, second, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4·planes, ⌈H/stride⌉, ⌈W/stride⌉)."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))  # (N, planes, H, W), or strided here
        y = self.relu(self.bn2(self.conv2(y)))  # (N, planes, ⌈H/stride⌉, ⌈W/stride⌉)
        y = self.bn3(self.conv3(y))  # (N, 4·planes, ⌈H/stride⌉, ⌈W/stride⌉)
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)  # as y
        y = self.relu(y + shortcut)
        return y


class ResNet(nn.Module):
    """(N, 3, H, W) to the outputs of Res-2 to Res-5, at strides 4, 8, 8 and 8 (sides rounded up).

    Res-4 and Res-5 keep their resolution; their convolutions are dilated by 2 and 4, so that each position
    computes what the network of output stride 32 would there: ImageNet weights stay valid. A layer's first
    3×3 reads the resolution before the layer's stride, and so keeps the dilation of the layer before, unless
    the stride is on the 1×1 ahead of it.

    Args:
        layers: blocks in each of Res-2 to Res-5.
        width: planes of Res-2; the four outputs have 4, 8, 16 and 32 times as many channels.
        stem: "deep", three 3×3 to ``width``, ``width``, 2·``width`` channels (the paper's); "deep-narrow",
            half of each, which is timm's resnet50c and mmsegmentation's ResNetV1c; "plain", one 7×7.
        stride_in: see :class:`Bottleneck`.
        dilations: of the 3×3 of each block of Res-5, where they are not those. With others, such as 2, 8 and
            16 (the multi-grid of DeepLab v3), a position computes something else than ImageNet weights were
            trained for.

    Raises:
        UserError: an option is not one of those, or there are not as many dilations as blocks.

    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        *,
        width: int = 64,
        stem: Stem = "deep",
        stride_in: StrideIn = "3x3",
        dilations: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise UserError(f"no stem {stem!r}; one of {', '.join(STEMS)}")
        if stride_in not in STRIDES:
            raise UserError(f"stride_in is {' or '.join(STRIDES)}, not {stride_in!r}")
        self.stem = stem
        self.stride_in = stride_in
        self.channels = (EXPANSION * width, 8 * width, 16 * width, 32 * width)
        build_stem, widths = STEMS[stem]
        entry = widths * width
        self.conv1 = build_stem(entry)
        self.bn1 = nn.BatchNorm2d(entry)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        usual = self._dilations(layers[3], 4)
        self.dilations = usual if dilations is None else tuple(dilations)
        if len(self.dilations) != len(usual) or any(
            not isinstance(dilation, int) or dilation < 1 for dilation in self.dilations
        ):
            raise UserError(
                f"dilations are a whole number for each block of Res-5, such as {list(usual)}, "
                f"not {list(self.dilations)}"
            )
        self.layer1 = self._layer(entry, width, self._dilations(layers[0], 1))
        self.layer2 = self._layer(4 * width, 2 * width, self._dilations(layers[1], 1), stride=2)
        self.layer3 = self._layer(8 * width, 4 * width, self._dilations(layers[2], 2))
        self.layer4 = self._layer(16 * width, 8 * width, self.dilations)
        initialise(self)

    def _dilations(self, blocks: int, dilation: int) -> tuple[int, ...]:
        """Of the 3×3 of each block of a layer that is dilated in the place of its stride."""
        # the first 3×3 still reads the resolution before the stride, if it is the one that strides
        strides_itself = STRIDES[self.stride_in](2)[1] > 1
        before = max(dilation // 2, 1) if strides_itself else dilation
        return before, *[dilation] * (blocks - 1)

    def _layer(self, inputs: int, planes: int, dilations: Sequence[int], *, stride: int = 1) -> nn.Sequential:
        first = Bottleneck(inputs, planes, stride=stride, dilation=dilations[0], stride_in=self.stride_in)
        rest = (
            Bottleneck(EXPANSION * planes, planes, stride=1, dilation=dilation, stride_in=self.stride_in)
            for dilation in dilations[1:]
        )
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to [C2, C3, C4, C5]: (N, 4·width, ⌈H/4⌉, ⌈W/4⌉), then 8, 16 and 32·width at ⌈H/8⌉."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, entry, ⌈H/2⌉, ⌈W/2⌉)
        x = self.maxpool(x)  # (N, entry, ⌈H/4⌉, ⌈W/4⌉)
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


BACKBONES: dict[str, Callable[..., ResNet]] = {
    "resnet50": partial(ResNet, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, (3, 8, 36, 3)),
    "resnet-tiny": partial(ResNet, (1, 1, 1, 1), width=16),
    "resnet-small": partial(ResNet, (1, 1, 1, 1), width=24),
}
"""Builders by name; they take ``stem``, ``stride_in`` and ``dilations``. The last two, which see equally far,
are for the generated data set."""
