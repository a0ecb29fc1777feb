from typing import ClassVar

import torch
from modules.contract import ModuleContract, randomise

from ctxbench_modules.isanet import InterlacedSparseAttention


class TestInterlacedSparseAttention(ModuleContract):
    cls = InterlacedSparseAttention
    bad_options = (
        {"key_channels": 0},
        {"value_channels": 1.5},
        {"down_factor": 8},
        {"down_factor": (8, 0)},
        {"fuse": 1},
        {"dropout": 2},
    )
    recordings: ClassVar = {"isa_block": {"key_channels": 16, "down_factor": (4, 4)}}


class TestInterlacedSparseAttentionFused(ModuleContract):
    """One group of all positions, and groups of one: factors that divide nothing."""

    cls = InterlacedSparseAttention
    options: ClassVar = {"down_factor": (1, 1), "fuse": True, "value_channels": 5}


def test_with_two_attentions_each_position_hears_of_every_other() -> None:
    module = InterlacedSparseAttention(16, down_factor=(2, 3)).double().eval()
    randomise(module)
    x = torch.randn(1, 16, 6, 6, dtype=torch.float64, requires_grad=True)
    module(x)[0, :, 5, 2].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum(1).min() > 0
