"""Networks in a few lines, as papers and their counters have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
