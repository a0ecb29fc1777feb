from typing import ClassVar

import torch
from modules.contract import ModuleContract

from ctxbench_modules.a2net import DoubleAttention


class TestDoubleAttention(ModuleContract):
    cls = DoubleAttention
    bad_options = (
        {"mid_channels": 0},
        {"attention_channels": 0},
        {"reconstruct": "no"},
        {"residual": True, "reconstruct": False},
    )
    recordings: ClassVar = {
        "a2net_gjylt": {
            "mid_channels": 16,
            "attention_channels": 8,
            "reconstruct": False,
            "residual": False,
        },
        "a2net_nguyenvo": {"mid_channels": 16, "attention_channels": 8, "residual": False},
    }


class TestDescriptorsOnly(ModuleContract):
    cls = DoubleAttention
    options: ClassVar = {
        "mid_channels": 12,
        "attention_channels": 5,
        "reconstruct": False,
        "residual": False,
    }


class TestFewFeatures(ModuleContract):
    """c_m so small that the published order is the cheapest."""

    cls = DoubleAttention
    options: ClassVar = {"mid_channels": 2, "attention_channels": 12}


def test_published_leaves():
    module = DoubleAttention(
        8, mid_channels=8, attention_channels=4, reconstruct=False, residual=False, implementation="published"
    )
    calls = []
    for name, leaf in module.named_children():
        leaf.register_forward_hook(lambda _, args, y, name=name: calls.append((name, y.numel())))
    module(torch.zeros(1, 8, 3, 5))
    assert sorted(calls) == [
        ("attention_map", 4 * 15),
        ("attention_vector", 4 * 15),
        ("descriptors", 8 * 4),
        ("distribute", 8 * 15),
        ("feature", 8 * 15),
        ("gather", 8 * 4),
    ]
