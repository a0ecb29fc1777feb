"""Networks in a few lines, as papers and their counters have them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench_modules.triplet import TripletAttention


class Layers(nn.Module):
    """One of each layer that counters treat differently, and products that no hook on a leaf sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.bn, self.relu = nn.BatchNorm2d(16), nn.ReLU()
        self.pool = nn.AvgPool2d(2)
        self.ln, self.linear = nn.LayerNorm(16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.relu(self.bn(self.conv(x))))  # (N, 16, H/2, W/2)
        tokens = self.linear(self.ln(y.flatten(2).mT))  # (N, H·W/4, 16)
        mixed = torch.matmul(tokens, torch.matmul(tokens.mT, tokens))  # (N, H·W/4, 16)
        z = mixed.mT.reshape(y.shape)  # (N, 16, H/2, W/2)
        return functional.interpolate(z, scale_factor=2, mode="bilinear")  # (N, 16, H, W)


def layers() -> nn.Module:
    return Layers()


class Gated(nn.Module):
    """Biased layers, both poolings, and an element-wise product, which counters treat differently too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.mean, self.gate, self.sigmoid = nn.AvgPool2d((32, 24)), nn.Conv2d(16, 16, 1), nn.Sigmoid()
        self.norm, self.linear = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x))  # (N, 16, H, W)
        y = self.pool(y * self.sigmoid(self.gate(self.mean(y))))  # (N, 16, H/2, W/2)
        classes: Tensor = self.linear(self.norm(y.flatten(2).mT))  # (N, H·W/4, 10)
        return classes


def gated() -> nn.Module:
    return Gated()


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class SE(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Linear(channels, channels // 16), nn.Linear(channels // 16, channels)
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.sigmoid(self.fc2(self.relu(self.fc1(self.pool(x).flatten(1)))))  # (N, C)
        return x * gate[..., None, None]


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, *, se: bool, caffe: bool) -> None:
        super().__init__()
        self.a = conv(inputs, width, 1, stride if caffe else 1)
        self.b = conv(width, width, 3, 1 if caffe else stride)
        self.c, self.relu = conv(width, 4 * width, 1), nn.ReLU()
        self.gate = SE(4 * width) if se else nn.Identity()
        self.skip = conv(inputs, 4 * width, 1, stride) if stride > 1 or inputs != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.gate(self.c(self.relu(self.b(self.relu(self.a(x))))))
        return self.relu(y + self.skip(x))


class ResNet(nn.Module):
    """He et al., CVPR 2016, with 1000 classes; ``caffe`` has strides in the first 1×1."""

    def __init__(self, depths: Sequence[int], *, se: bool = False, caffe: bool = False) -> None:
        super().__init__()
        self.stem, self.relu, self.pool = conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        blocks, inputs = [], 64
        for stage, depth in enumerate(depths):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(inputs, 64 * 2**stage, stride, se=se, caffe=caffe))
                inputs = 256 * 2**stage
        self.blocks, self.last, self.fc = (
            nn.Sequential(*blocks),
            nn.AdaptiveAvgPool2d(1),
            nn.Linear(inputs, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.blocks(self.pool(self.relu(self.stem(x))))).flatten(1))  # (N, 1000)


def resnet50(*, se: bool = False, caffe: bool = False) -> nn.Module:
    return ResNet((3, 4, 6, 3), se=se, caffe=caffe)


def resnet101() -> nn.Module:
    return ResNet((3, 4, 23, 3))


class Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, kernel: int) -> None:
        super().__init__()
        width, self.adds = inputs * expand, stride == 1 and inputs == outputs
        first = [conv(inputs, width, 1), nn.ReLU6()] if expand > 1 else []
        self.layers = nn.Sequential(
            *first, conv(width, width, 3, stride, width), nn.ReLU6(), conv(width, outputs, 1)
        )
        self.gate = TripletAttention(outputs, kernel_size=kernel)

    def forward(self, x: Tensor) -> Tensor:
        y = self.gate(self.layers(x))
        return x + y if self.adds else y


def mobilenet_v2_triplet(kernel: int) -> nn.Module:
    """MobileNetV2 (CVPR 2018) with a triplet gate after each projection."""
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    layers: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    for expand, outputs, depth, stride in plan:
        for block in range(depth):
            layers.append(Inverted(inputs, outputs, 1 if block else stride, expand, kernel))
            inputs = outputs
    layers += [conv(320, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = (
            heads,
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (N, heads, L, d)
        mixed = (q @ k.mT).softmax(-1) @ v  # (N, heads, L, d)
        return self.out(mixed.transpose(1, 2).reshape(n, length, channels))  # (N, L, C)


class Encoder(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mix = Attention(channels, heads)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DeiT(nn.Module):
    """Touvron et al., ICML 2021, at 224×224: 196 patches and the class token."""

    def __init__(self, channels: int = 384, heads: int = 6, depth: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, channels))
        self.places = nn.Parameter(torch.zeros(1, 197, channels))
        self.blocks = nn.Sequential(*(Encoder(channels, heads) for _ in range(depth)))
        self.norm, self.fc = nn.LayerNorm(channels), nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).mT  # (N, 196, C)
        x = torch.cat((self.token.expand(len(x), -1, -1), patches), 1) + self.places  # (N, 197, C)
        return self.fc(self.norm(self.blocks(x))[:, 0])  # (N, 1000)


def deit_small() -> nn.Module:
    return DeiT()


class PoolMixer(nn.Module):
    """A block of PoolFormer: what the average of the neighbours adds, then an MLP of 1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1)
        )
        self.scales = nn.Parameter(torch.ones(2, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.scales[0] * (self.pool(y) - y)
        return x + self.scales[1] * self.mlp(self.norm2(x))


def poolformer_m48() -> nn.Module:
    """Yu et al., CVPR 2022."""
    widths, depths, layers, inputs = (96, 192, 384, 768), (8, 8, 24, 8), [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        layers.append(nn.Conv2d(inputs, width, 3, 2, 1) if stage else nn.Conv2d(3, width, 7, 4, 2))
        layers += [PoolMixer(width) for _ in range(depth)]
        inputs = width
    layers += [nn.GroupNorm(1, inputs), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return nn.Sequential(*layers)


class SharedMemory(nn.Module):
    """External attention with one memory for both of its products, between 1×1."""

    def __init__(self, channels: int, units: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.memory = nn.Parameter(torch.zeros(units, channels))
        self.last = conv(channels, channels, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x).flatten(2)  # (N, C, H·W)
        attention = (self.memory @ tokens).softmax(-1)  # (N, units, H·W)
        attention = attention / attention.sum(1, keepdim=True)
        mixed = self.memory.mT @ attention  # (N, C, H·W)
        return self.relu(self.last(mixed.reshape(x.shape)) + x)  # (N, C, H, W)
