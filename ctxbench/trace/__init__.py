"""Record a module once, as operations with shapes, bytes, module paths and storage lifetimes."""

from ctxbench.trace.ops import MemoryEvent, Op, Trace
from ctxbench.trace.record import trace

__all__ = ["MemoryEvent", "Op", "Trace", "trace"]
