"""timm's SwinV2 as inference may have it: its position biases, which no image changes, are tables."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor, nn


class Table(nn.Module):
    """What a network makes of inputs that never change, made once; it stays, for its parameters."""

    table: Tensor

    def __init__(self, network: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("table", network(inputs).detach(), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs of before, of any shape, to what was made of them."""
        return self.table


def swin_v2(name: str) -> nn.Module:
    """SwinV2 (Liu et al., CVPR 2022) by timm's name, without the products of its networks of position biases.

    The authors' own ``flops()`` leaves them out: they are the same for every image.
    """
    network: nn.Module = import_module("timm").create_model(name)
    attentions: list[Any] = [module for module in network.modules() if hasattr(module, "cpb_mlp")]
    for attention in attentions:
        attention.cpb_mlp = Table(attention.cpb_mlp, attention.relative_coords_table)
    return network
