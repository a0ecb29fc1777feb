"""fvcore's FlopCountAnalysis: MACs (it calls them flops) over a JIT trace; executes the module."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.common import quietly, real, record, refusal, result, too_heavy
from ctxbench.tracing.formulas import MOVES


def count(build: Build, shape: Shape) -> dict[str, Any]:
    """MACs by fvcore; ``missed`` are the operations it names as unsupported, data movement aside."""
    with quietly():
        from fvcore.nn import FlopCountAnalysis

        if reason := too_heavy(record(build, shape)):
            return refusal(reason)
        analysis = FlopCountAnalysis(*real(build, shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        macs = analysis.total()
        return result(macs, {op: n for op, n in analysis.unsupported_ops().most_common() if not _is_free(op)})


def _is_free(name: str) -> bool:
    """Whether an operation of the JIT trace, ``aten::mT``, only moves data."""
    bare = name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, bare, None)
    views = packet is not None and all(getattr(packet, overload).is_view for overload in packet.overloads())
    return views or bare in MOVES
