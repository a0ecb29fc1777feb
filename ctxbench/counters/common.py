"""What the counters share: a real module to run, and our trace to hold theirs against."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import Lost
from ctxbench.tracing import Op, Trace, views

MAX_GMACS = 200.0
"""A counter that must execute the module is not asked to do more than this (seconds on a laptop)."""


@contextmanager
def quietly() -> Iterator[None]:
    """Without gradients, and without the deprecation warnings of libraries that are no longer kept."""
    with warnings.catch_warnings(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield


def too_heavy(recorded: Trace) -> str:
    """Why a counter that executes the module should not; empty if it may."""
    need, have = views.peak_bytes(recorded), psutil.virtual_memory().available
    if need > have / 2:
        return f"it executes the module, which needs {need / 2**20:.0f} MiB of {have / 2**20:.0f} available"
    if views.macs(recorded) > MAX_GMACS * 1e9:
        return f"it executes the module: {views.macs(recorded) / 1e9:.0f} GMACs, limit {MAX_GMACS:.0f}"
    return ""


def real(build: Build, shape: Shape) -> tuple[torch.nn.Module, Tensor]:
    """The module in eval mode with an input, on the CPU."""
    module = build().eval()
    return module.requires_grad_(False), torch.randn(shape)  # the JIT traces no constants with gradients


def lost_ops(recorded: Trace, counted: Callable[[Op], bool]) -> Lost:
    """Operations that do arithmetic by our trace and for which ``counted`` is False, most expensive first."""
    lost = [op for op in recorded.ops if op.flops and not counted(op)]
    cost: Counter[str] = Counter()
    for op in lost:
        cost[op.name] += op.flops
    calls = Counter(op.name for op in lost)
    products = {op.name for op in lost if op.macs}
    ordered = {name: calls[name] for name, _ in cost.most_common()}
    return Lost(
        {name: n for name, n in ordered.items() if name in products},
        {name: n for name, n in ordered.items() if name not in products},
    )
