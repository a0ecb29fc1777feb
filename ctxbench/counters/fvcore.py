"""fvcore's FlopCountAnalysis: MACs (it calls them flops) over a JIT trace; executes the module."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import refusal
from ctxbench.counters.common import Lost, quietly, real, result, too_heavy
from ctxbench.tracing import trace
from ctxbench.tracing.formulas import MOVES, PRODUCTS

COMPOSITE_PRODUCTS = frozenset(("matmul", "einsum", "scaled_dot_product_attention", "bilinear", "conv2d"))
"""Products that our trace, below autograd, only ever sees in parts."""


def count_macs(build: Build, shape: Shape) -> dict[str, Any]:
    """MACs by fvcore; lost is what it names as unsupported itself, data movement aside."""
    with quietly():
        from fvcore.nn import FlopCountAnalysis

        if reason := too_heavy(trace(build, shape)):
            return refusal(reason)
        analysis = FlopCountAnalysis(*real(build, shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        macs = analysis.total()
        lost = Lost({}, {})
        for name, calls in analysis.unsupported_ops().most_common():
            bare = name.removeprefix("aten::").rstrip("_")
            if bare in PRODUCTS or bare in COMPOSITE_PRODUCTS:
                lost.products[name] = calls
            elif not _only_moves_data(bare):
                lost.elementwise[name] = calls
        return result(macs, lost)


def _only_moves_data(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    is_view = packet is not None and all(getattr(packet, overload).is_view for overload in packet.overloads())
    return is_view or name in MOVES
