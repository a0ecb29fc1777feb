"""PyTorch as it is: every operation dispatched when Python reaches it."""

from torch import Tensor, nn


class Eager:
    """A :class:`~ctxbench.measure.runtimes.Runtime` that calls the module."""

    def __init__(self) -> None:
        self._module: nn.Module

    def prepare(self, module: nn.Module, x: Tensor) -> None:
        """Nothing has to be made ready."""
        self._module = module

    def run(self, x: Tensor) -> Tensor:
        """One forward pass, (N, C, H, W) to (N, C', H, W)."""
        y: Tensor = self._module(x)
        return y

    def versions(self) -> dict[str, str]:
        """Nothing beside torch."""
        return {}
