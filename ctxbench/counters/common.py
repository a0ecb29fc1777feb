"""What the counters share: a real module to run, and our trace to hold theirs against."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor, nn

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import Lost
from ctxbench.subject.interface import PLAIN, Given, Interface
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


class OfTensors(nn.Module):
    """A module as one of tensors alone, by position, which is all that some counters can call."""

    def __init__(self, module: nn.Module, interface: Interface, given: Given) -> None:
        super().__init__()
        self.module, self._interface, self._given = module, interface, given

    def forward(self, *tensors: Tensor) -> Tensor:
        """The output that is looked at, of the call with other tensors in the places of its own."""
        others = dict(zip(map(id, self._given.tensors), tensors, strict=True))
        given = self._given.replaced(lambda tensor: others[id(tensor)])
        return self._interface.pick(self.module(*given.args, **given.kwargs))


def called(
    module: nn.Module, shape: Shape, interface: Interface, device: str = "cpu"
) -> tuple[nn.Module, tuple[Tensor, ...], str]:
    """A module, the tensors to call it with, and what stands before the paths of its parts.

    One that takes anything but one map, or returns several things, is wrapped.
    """
    given = interface.given(module, shape, lambda sides, _: torch.randn(sides, device=device))
    if interface == PLAIN:
        return module, given.tensors, ""
    return OfTensors(module, interface, given), given.tensors, "module."


def real(build: Build, shape: Shape, interface: Interface) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The module in eval mode with its inputs, on the CPU."""
    module = build()
    module.eval()
    called_one, tensors, _ = called(module.requires_grad_(False), shape, interface)
    return called_one, tensors  # without gradients, since the JIT traces no constants with them


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
