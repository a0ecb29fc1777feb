"""What executes a module when it is measured: one file a runtime, all behind one small interface.

A new runtime is a file here with a class of this interface, and a line in :data:`RUNTIMES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.subject.case import Runtime as Name
    from ctxbench.subject.interface import Given


@dataclass(frozen=True)
class Compilation:
    """What a runtime has made of a module so far, beside running it. Nothing, by default."""

    seconds: float | None = None
    """Spent on it; None where nothing is made."""
    times: int = 0
    """How often it was begun: a sample during which this grew is no time of the module."""
    graph_breaks: dict[str, int] = field(default_factory=dict)
    """Reasons for which a part was left to Python, each with how often."""


class Runtime(Protocol):
    """A module made ready to run, and run."""

    def prepare(self, module: nn.Module, given: Given) -> None:
        """Take a module in its case's dtype, memory format and mode, and the arguments it will be given.

        What takes long and is done once (compiling, exporting) belongs here or into the first :meth:`run`:
        neither is timed.
        """

    def run(self, given: Given) -> Any:
        """One forward pass; what the module returns, differentiable where autograd is on."""

    def versions(self) -> dict[str, str]:
        """Names and versions of what executes the module, beside the torch that every record names."""

    def threads(self) -> dict[str, int]:
        """CPU threads by library, as each says that it takes."""

    def compilation(self) -> Compilation:
        """What it has made of the module so far."""


RUNTIMES: dict[Name, str] = {"eager": "eager:Eager", "compile": "compile:Compile"}
"""Name, as :attr:`ctxbench.subject.case.Case.runtime` has it, to the file here and the class in it."""


def new_runtime(name: Name) -> Runtime:
    """A runtime that has nothing prepared yet."""
    file, _, cls = RUNTIMES[name].partition(":")
    runtime: Runtime = getattr(import_module(f"{__name__}.{file}"), cls)()
    return runtime
