"""Record a module once, as operations with shapes, bytes, module paths and storage lifetimes."""

from ctxbench.tracing.count import NotCounted, count_case, trace_case
from ctxbench.tracing.formulas import register_formula
from ctxbench.tracing.ops import MemoryEvent, Op, Trace
from ctxbench.tracing.record import trace

__all__ = [
    "MemoryEvent",
    "NotCounted",
    "Op",
    "Trace",
    "count_case",
    "register_formula",
    "trace",
    "trace_case",
]
