"""A user's file of blocks, whose work is counted by hand where they are used: C channels, H×W positions."""

import sys

import torch
from torch import Tensor, nn

C, H, W, K = 16, 7, 23, 3
CONV = 2 * C * C * H * W
OUT = 2 * C * H * W
PRODUCTS = (2 * C * W * H * W, 2 * C * H * K * W)
"""MACs of the two calls of Small's product."""


class MatMul(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class Small(nn.Module):
    """A biased convolution, a norm, a ReLU, and one product leaf called twice, with a functional sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, 2 * channels, 1)
        self.norm, self.relu, self.product = nn.BatchNorm2d(2 * channels), nn.ReLU(), MatMul()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm(self.project(x)))  # (N, 2C, H, W)
        square = self.product(y.mT, y)  # (N, 2C, W, W)
        return torch.sigmoid(y + self.product(y[..., :K], square[..., :K, :]))


class Fails(Small):
    """Runs at one size alone."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != W:
            raise RuntimeError("so many columns, please")
        return super().forward(x)


class Pointwise(nn.Module):
    """C²·H·W MACs and nothing else."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x)
        return y


class Affinity(nn.Module):
    """Two products of C·(H·W)² MACs each, and a gate of C·H·W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(2)  # (N, C, H·W)
        z = y @ (y.mT @ y)  # (N, C, H·W)
        return self.gate(x) * x + z.reshape(x.shape)  # (N, C, H, W)


class Branches(Pointwise):
    """Asks for a value after its leaf, which no fake tensor has: it is built and run again, for real."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if y.sum() > 0 else -y


class Drawn(nn.Module):
    """A convolution that is called as often as the constructor draws."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.times = int(torch.randint(1, 100, ()))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.conv(x)
        return x


class Halves(nn.Module):
    """Two 1×1, to twice the channels and back, as two parts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up, self.down = (
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.up(x))
        return y


class Leaves(nn.Module):
    """Ends the process that builds it, as scripts of strangers do where something is missing."""

    def __init__(self) -> None:
        sys.exit(3)
