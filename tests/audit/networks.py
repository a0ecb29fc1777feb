"""Networks in a few lines, as papers and their counters have them: those that the package does not."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.audit.networks.mixers import Encoder
from ctxbench.audit.networks.pyramids import Layer
from ctxbench.audit.networks.resnets import conv


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


class DeiTSmall(nn.Module):
    """Touvron et al., ICML 2021, at 224×224: 196 patches and the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 384, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, 384))
        self.places = nn.Parameter(torch.zeros(1, 197, 384))
        self.blocks = nn.Sequential(*(Encoder(384, 6) for _ in range(12)))
        self.norm, self.fc = nn.LayerNorm(384), nn.Linear(384, 1000)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).mT  # (N, 196, C)
        x = torch.cat((self.token.expand(len(x), -1, -1), patches), 1) + self.places  # (N, 197, C)
        return self.fc(self.norm(self.blocks(x))[:, 0])  # (N, 1000)


class Pooling(nn.Module):
    """What the average of a position's neighbours adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x


def poolformer_m48() -> nn.Module:
    """Yu et al., CVPR 2022."""

    def layer(width: int) -> nn.Module:
        mlp = nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1))
        return Layer(width, Pooling(), mlp, partial(nn.GroupNorm, 1), scaled=True)

    widths, depths, layers, inputs = (96, 192, 384, 768), (8, 8, 24, 8), [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        layers.append(nn.Conv2d(inputs, width, 3, 2, 1) if stage else nn.Conv2d(3, width, 7, 4, 2))
        layers += [layer(width) for _ in range(depth)]
        inputs = width
    layers += [nn.GroupNorm(1, inputs), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return nn.Sequential(*layers)


class SharedMemory(nn.Module):
    """External attention with one memory for both of its products, between 1×1; ours has two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.memory = nn.Parameter(torch.zeros(64, channels))
        self.last = conv(channels, channels, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x).flatten(2)  # (N, C, H·W)
        attention = (self.memory @ tokens).softmax(-1)  # (N, 64, H·W)
        attention = attention / attention.sum(1, keepdim=True)
        mixed = self.memory.mT @ attention  # (N, C, H·W)
        return self.relu(self.last(mixed.reshape(x.shape)) + x)  # (N, C, H, W)
