"""fvcore's FlopCountAnalysis: MACs (it calls them flops) over a JIT trace; executes the module."""

from __future__ import annotations

from typing import Any

from ctxbench.counters import Build, Shape
from ctxbench.counters.common import quietly, real, record, refusal, result, too_heavy


def count(build: Build, shape: Shape) -> dict[str, Any]:
    """MACs by fvcore; ``missed`` are the operations it names as unsupported."""
    with quietly():
        from fvcore.nn import FlopCountAnalysis

        if reason := too_heavy(record(build, shape)):
            return refusal(reason)
        analysis = FlopCountAnalysis(*real(build, shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        macs = analysis.total()
        return result(macs, dict(analysis.unsupported_ops().most_common()))
