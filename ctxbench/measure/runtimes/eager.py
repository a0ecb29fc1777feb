"""PyTorch as it is: every operation dispatched when Python reaches it."""

from typing import Any

from torch import nn

from ctxbench.measure.runtimes import Runtime
from ctxbench.measure.threads import threads
from ctxbench.subject.interface import Given


class Eager(Runtime):
    """A :class:`~ctxbench.measure.runtimes.Runtime` that calls the module."""

    def __init__(self) -> None:
        self._module: nn.Module

    def prepare(self, module: nn.Module, given: Given, threads: int | None = None) -> None:
        """Nothing has to be made ready."""
        self._module = module

    def run(self, given: Given) -> Any:
        """One forward pass."""
        return self._module(*given.args, **given.kwargs)

    def threads(self) -> dict[str, int]:
        """Those of torch and what it calls."""
        return threads()
