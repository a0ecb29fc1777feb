from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract

from ctxbench.tracing import trace, views
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


class TestManyFeatures(ModuleContract):
    """c_m so large, and c_n so small, that the reordered form is the cheapest."""

    cls = DoubleAttention
    options: ClassVar = {"mid_channels": 12, "attention_channels": 2}


class TestFewFeatures(ModuleContract):
    """c_m so small that the published order is the cheapest at any size."""

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


@pytest.mark.parametrize(("side", "reordered"), [(4, False), (16, True)])
def test_multiplications_of_the_quicker_order(side, reordered):
    c, c_m, c_n, n = 64, 32, 16, side**2
    module = DoubleAttention(c, mid_channels=c_m, attention_channels=c_n)
    macs = views.macs(trace(module, (1, c, side, side)))
    each = c * c_n * (n + c_m) if reordered else c_m * (c + c_n) * n
    assert macs == 2 * each + 2 * c * c_n * n
