"""Views of a trace: every number here is a pure function of what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

from ctxbench.tracing.ops import Op, Phase, Trace

CUDA_BLOCK = 512
"""Bytes: the granularity of CUDA's caching allocator."""


def macs(trace: Trace, phase: Phase = "forward") -> int:
    """Multiply–accumulates of convolutions and matrix products, every call."""
    return sum(op.macs for op in trace.ops if op.phase == phase)


def flops(trace: Trace, phase: Phase = "forward") -> int:
    """2·MACs + element-wise operations, as defined in :mod:`ctxbench.tracing.formulas`."""
    return sum(op.flops for op in trace.ops if op.phase == phase)


def bytes_moved(trace: Trace, phase: Phase = "forward") -> int:
    """Bytes read and written, each operation counted as if nothing stayed in a cache."""
    return sum(op.bytes for op in trace.ops if op.phase == phase)


def saved_bytes(trace: Trace) -> int:
    """Activations kept for the backward pass, without parameters, buffers and the input."""
    return sum(trace.saved.values())


def timeline(trace: Trace, block: int = 1) -> list[int]:
    """Live bytes after each memory event; each storage is rounded up to a multiple of ``block`` bytes."""

    def rounded(size: int) -> int:
        return -(-abs(size) // block) * block * (1 if size > 0 else -1)

    return list(accumulate(rounded(event.bytes) for event in trace.events))


def peak_bytes(trace: Trace, block: int = 1) -> int:
    """Predicted peak of live storages above parameters, buffers, input and upstream gradient.

    ``block=CUDA_BLOCK`` rounds as CUDA's allocator does. Workspaces inside kernels are not seen.
    """
    return max(timeline(trace, block), default=0)


@dataclass(frozen=True)
class Share:
    """What a group of operations costs."""

    key: str
    calls: int
    macs: int
    elementwise: int
    bytes: int

    @property
    def flops(self) -> int:
        """2·MACs + element-wise operations."""
        return 2 * self.macs + self.elementwise


def _group(ops: Iterable[Op], key: Callable[[Op], str]) -> list[Share]:
    groups: dict[str, list[Op]] = {}
    for op in ops:
        groups.setdefault(key(op), []).append(op)
    shares = [
        Share(
            name, len(of), sum(o.macs for o in of), sum(o.elementwise for o in of), sum(o.bytes for o in of)
        )
        for name, of in groups.items()
    ]
    return sorted(shares, key=lambda share: -share.flops)


def by_op(trace: Trace, phase: Phase = "forward") -> list[Share]:
    """Cost by operation, most expensive first; views, which are free, are left out."""
    return _group((op for op in trace.ops if op.phase == phase and op.kind != "view"), lambda op: op.name)


def by_module(trace: Trace, phase: Phase = "forward") -> list[Share]:
    """Cost by innermost module path, most expensive first; the root's own operations stand under ``""``."""
    return _group((op for op in trace.ops if op.phase == phase and op.kind != "view"), lambda op: op.module)
