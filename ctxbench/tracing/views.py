"""Views of a trace: every number here is a pure function of what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ctxbench.tracing.ops import INSIDE, Op, Phase, Trace

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


def block_of(device: str) -> int:
    """The multiple of bytes that storages are rounded up to on a device, for :func:`peak_bytes`."""
    return CUDA_BLOCK if device.startswith("cuda") else 1


def timeline(trace: Trace, block: int = 1) -> list[int]:
    """Live bytes after each memory event.

    ``block=CUDA_BLOCK`` is for CUDA: each storage is rounded up to a multiple of so many bytes, and what the
    CPU's kernels take inside a call is left out.
    """
    sizes: Counter[int] = Counter()  # of each storage, which may change while it lives
    live: list[int] = []
    for number, change in ((event.storage, event.bytes) for event in trace.events):
        if block == 1 or number != INSIDE:
            before = -(-sizes[number] // block) * block
            sizes[number] += change
            live.append((live[-1] if live else 0) - before + -(-sizes[number] // block) * block)
    return live


def peak_bytes(trace: Trace, block: int = 1) -> int:
    """Predicted peak of live storages above parameters, buffers, input and upstream gradient.

    On the CPU it holds what PyTorch's kernels take inside a call, and oneDNN's where its rules are known;
    :func:`peak_note` says which are not. ``block=CUDA_BLOCK`` is for CUDA, without workspaces.
    """
    return max(timeline(trace, block), default=0)


SCRATCH = 2**20
"""Bytes that a kernel of unknown scratch may take besides copies of all its operands and results."""


def peak_note(trace: Trace) -> str:
    """What the predicted peak lacks or rests on, in words; empty where it is PyTorch's own allocations alone.

    A kernel of a library is named where the true peak may lie inside it: its scratch is not known, but taken
    to be at most two copies of what it reads and writes, and 1 MiB.
    """
    live = timeline(trace)
    peak = max(live, default=0)
    without, fitted = dict[str, None](), dict[str, None]()
    for event, most in zip(trace.events, live, strict=True):
        if event.storage != INSIDE or event.bytes < 0 or event.op not in trace.inside:
            continue
        inside = trace.inside[event.op]
        if inside.library and most + 2 * trace.ops[event.op].bytes + SCRATCH > peak:
            without[inside.library] = None
        if inside.fitted and most == peak:
            fitted[inside.fitted] = None
    parts = [f"without the scratch of {', '.join(without)}"] if without else []
    parts += [f"by rules for {', '.join(fitted)} fitted on AVX-512"] if fitted else []
    return "; ".join(parts)


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
