"""fvcore's FlopCountAnalysis: MACs (it calls them flops) over a JIT trace; executes the module."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import Lost, answer, refusal
from ctxbench.counters.common import quietly, real, too_heavy
from ctxbench.subject.interface import Interface
from ctxbench.tracing import Trace
from ctxbench.tracing.formulas import PRODUCTS

COMPOSITE_PRODUCTS = frozenset(("matmul", "einsum", "scaled_dot_product_attention", "bilinear", "conv2d"))
"""Products that our trace, below autograd, only ever sees in parts."""


def count_macs(build: Build, shape: Shape, recorded: Trace, interface: Interface) -> dict[str, Any]:
    """MACs by fvcore; lost is what it names as unsupported itself and is arithmetic on tensors."""
    with quietly():
        from fvcore.nn import FlopCountAnalysis

        if reason := too_heavy(recorded):
            return refusal(reason)
        analysis = FlopCountAnalysis(*real(build, shape, interface))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        macs = analysis.total()
        return answer(macs, _lost(analysis.unsupported_ops(), recorded))


def _lost(unsupported: Counter[str], recorded: Trace) -> Lost:
    """Sort what fvcore gave nothing to, by its names in the JIT graph: ``aten::softmax`` to calls.

    That graph holds Python's arithmetic on sizes too (the ``h * w`` of a reshape is an ``aten::mul``), and
    data movement. Element-wise work is therefore only what the trace has seen, and as often as it was seen.
    """
    traced = Counter(_bare(op.name.removeprefix("aten.")) for op in recorded.ops if op.flops)
    lost = Lost({}, {})
    for name, calls in unsupported.most_common():
        bare = _bare(name.removeprefix("aten::"))
        if bare in PRODUCTS or bare in COMPOSITE_PRODUCTS:
            lost.products[name] = calls
        elif bare in traced:
            lost.elementwise[name] = min(calls, traced[bare])
    return lost


def _bare(name: str) -> str:
    """The name that ``_softmax.default`` below autograd and ``softmax_`` in place share with ``softmax``."""
    return name.partition(".")[0].strip("_")
