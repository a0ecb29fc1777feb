"""Blocks that several tests share."""

from torch import Tensor, nn


class Tokens(nn.Module):
    """A self-attention layer over tokens (N, L, C) as a context module."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        t = x.flatten(2).transpose(1, 2)
        attends = isinstance(self.layer, nn.MultiheadAttention)
        y = self.layer(t, t, t, need_weights=False)[0] if attends else self.layer(t)
        return y.transpose(1, 2).reshape_as(x)


class LooksAtValues(nn.Module):
    """A block that fake tensors cannot run: a check of its input, then a sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.isfinite().all()
        return x.sigmoid()
