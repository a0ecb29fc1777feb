"""ResNet, ResNeXt and MobileNetV2 with a gate in every block, as those papers have them that compare gates.

N images of H × W pixels, h × w the size of a map, C its channels; the outputs are (N, 1000).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ctxbench.networks.published import block as ours

DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks of each stage, by the number of layers."""
CLASSES, REDUCTION = 1000, 16
"""Classes of ImageNet, and how many times fewer channels a gate's MLP has inside."""


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _mlp(channels: int) -> nn.Sequential:
    """(N, C) to (N, C) through C/16, both layers with bias."""
    width = channels // REDUCTION
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, channels))


class SEGate(nn.Module):
    """Squeeze-and-excitation (Hu et al., CVPR 2018), with biases and with its pooling as a layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool, self.mlp, self.sigmoid = nn.AdaptiveAvgPool2d(1), _mlp(channels), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        gate = self.sigmoid(self.mlp(self.pool(x).flatten(1)))  # (N, C)
        y: Tensor = x * gate[..., None, None]
        return y


class CBAMGate(nn.Module):
    """CBAM (Woo et al., ECCV 2018): one MLP for the mean and for the maximum, then a 7×7 over both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean, self.maximum = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.mlp, self.sigmoid, self.spatial = _mlp(channels), nn.Sigmoid(), conv(2, 1, 7)
        self.last = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        pooled = [self.mlp(pool(x).flatten(1)) for pool in (self.mean, self.maximum)]
        x = x * self.sigmoid(pooled[0] + pooled[1])[..., None, None]  # (N, C, h, w)
        planes = torch.stack((x.amax(1), x.mean(1)), 1)  # (N, 2, h, w)
        y: Tensor = x * self.last(self.spatial(planes))
        return y


class SGEGate(nn.Module):
    """Spatial group-wise enhance (Li et al., arXiv 2019), with 64 groups and with its pooling as a layer."""

    def __init__(self, channels: int, groups: int = 64) -> None:
        super().__init__()
        self.groups, self.pool, self.sigmoid = groups, nn.AdaptiveAvgPool2d(1), nn.Sigmoid()
        self.weight = nn.Parameter(torch.zeros(1, groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, groups, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        n, _, height, width = x.shape
        grouped = x.reshape(n * self.groups, -1, height, width)  # (N·G, C/G, h, w)
        alike = (grouped * self.pool(grouped)).sum(1).flatten(1)  # (N·G, h·w)
        alike = alike - alike.mean(1, keepdim=True)
        alike = alike / (alike.std(1, keepdim=True) + 1e-5)
        gate = alike.reshape(n, self.groups, height, width) * self.weight + self.bias  # (N, G, h, w)
        gated: Tensor = grouped * self.sigmoid(gate.reshape(n * self.groups, 1, height, width))
        return gated.reshape(x.shape)


GATES: dict[str, Callable[..., nn.Module]] = {"se": SEGate, "cbam": CBAMGate, "sge": SGEGate}
"""Those whose pooling is a layer in the authors' code, and a function in our blocks of these names."""


def gate(name: str, channels: int, options: Mapping[str, Any]) -> nn.Module:
    """A gate of (N, C, h, w): one of :data:`GATES`, another block of ours by name, or nothing."""
    if not name:
        return nn.Identity()
    return GATES[name](channels, **options) if name in GATES else ours(name, channels, (7, 7), **options)


class Residual(nn.Module):
    """Convolutions with batch norms and a ReLU between two, the gate, what skips them, and a ReLU."""

    def __init__(self, layers: list[nn.Sequential], skip: nn.Module, gated: nn.Module) -> None:
        super().__init__()
        self.layers, self.relu = nn.Sequential(*layers), nn.ReLU()
        self.gate, self.skip = gated, skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C', h', w')."""
        first, *rest = self.layers
        y = first(x)
        for layer in rest:
            y = layer(self.relu(y))
        z: Tensor = self.relu(self.gate(y) + self.skip(x))
        return z


class ResNet(nn.Module):
    """He et al., CVPR 2016; Xie et al., CVPR 2017, where ``groups`` are given with the ``width`` of a group.

    Args:
        depth: 18, 50 or 101; 18 has blocks of two 3×3.
        in_blocks: the gate at the end of each block, by name, see :func:`gate`.
        options: the gate's.
        in_stages: the one after each stage but the last, as BAM stands.
        groups: of the 3×3.
        width: channels of a group in the first stage.
        caffe: whether a bottleneck's stride is in its first 1×1, as the first release had it in Caffe.

    """

    def __init__(
        self,
        depth: int,
        in_blocks: str = "",
        *,
        options: Mapping[str, Any] = {},
        in_stages: str = "",
        groups: int = 1,
        width: int = 64,
        caffe: bool = False,
    ) -> None:
        super().__init__()
        self.stem, self.relu, self.pool = conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        stages: list[nn.Module] = []
        inputs, grow = 64, 1 if depth < 50 else 4
        for stage, number in enumerate(DEPTHS[depth]):
            inner, outputs = groups * width * 2**stage, 64 * grow * 2**stage
            for block in range(number):
                stride = 2 if stage and not block else 1
                if grow == 1:
                    layers = [conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3)]
                else:
                    strides = (stride, 1) if caffe else (1, stride)
                    layers = [conv(inputs, inner, 1, strides[0]), conv(inner, inner, 3, strides[1], groups)]
                    layers.append(conv(inner, outputs, 1))
                skip = nn.Identity() if (stride, inputs) == (1, outputs) else conv(inputs, outputs, 1, stride)
                stages.append(Residual(layers, skip, gate(in_blocks, outputs, options)))
                inputs = outputs
            if in_stages and stage < 3:
                stages.append(gate(in_stages, outputs, {}))
        self.stages, self.last = nn.Sequential(*stages), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1000)."""
        y = self.stages(self.pool(self.relu(self.stem(x))))  # (N, C, H/32, W/32)
        logits: Tensor = self.fc(self.last(y).flatten(1))
        return logits


class Inverted(nn.Module):
    """A block of MobileNetV2: 1×1, depthwise 3×3, 1×1, and the gate."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, gated: nn.Module) -> None:
        super().__init__()
        width, self.adds = inputs * expand, stride == 1 and inputs == outputs
        first = [conv(inputs, width, 1), nn.ReLU6()] if expand > 1 else []
        depthwise = [conv(width, width, 3, stride, width), nn.ReLU6()]
        self.layers, self.gate = nn.Sequential(*first, *depthwise, conv(width, outputs, 1)), gated

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C', h', w')."""
        y: Tensor = self.gate(self.layers(x))
        return x + y if self.adds else y


class MobileNetV2(nn.Sequential):
    """Sandler et al., CVPR 2018, with a gate behind each projection: (N, 3, H, W) to (N, 1000)."""

    PLAN = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    """Of each stage the expansion, the channels and the blocks."""
    STRIDES = (1, 2, 2, 2, 1, 2, 1)

    def __init__(self, in_blocks: str = "", options: Mapping[str, Any] = {}) -> None:
        layers: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6()]
        inputs = 32
        for (expand, outputs, number), first in zip(self.PLAN, self.STRIDES, strict=True):
            for stride in (first, *[1] * (number - 1)):
                gated = gate(in_blocks, outputs, options)
                layers.append(Inverted(inputs, outputs, stride, expand, gated))
                inputs = outputs
        layers += [conv(320, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(1280, CLASSES))
