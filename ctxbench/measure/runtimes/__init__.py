"""What executes a module when it is measured: one file a runtime, all behind one small interface.

A new runtime is a file here with a class of this interface, and a line in :data:`RUNTIMES`; one that takes
ONNX models derives from :class:`ctxbench.measure.runtimes.exported.Exported`. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.subject.case import Case
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
    decomposed: dict[str, int] = field(default_factory=dict)
    """Operations that an exporter wrote as several others, each with how often."""
    elsewhere: dict[str, int] = field(default_factory=dict)
    """Operations that ran otherwise than asked for: in another dtype, or on another device."""


class Runtime(Protocol):
    """A module made ready to run, and run."""

    has_torch_memory: bool = True
    """Whether it takes memory from torch's allocator, whose peak is measured."""

    def prepare(self, module: nn.Module, given: Given, threads: int | None = None) -> None:
        """Take a module in its case's dtype, memory format and mode, and the arguments it will be given.

        ``threads`` are those that the case asks for, None where each library takes as many as it does by
        itself; torch has been told already. What takes long and is done once (compiling, exporting) belongs
        here or into the first :meth:`run`: neither is timed.
        """

    def run(self, given: Given) -> Any:
        """One forward pass; what the module returns, differentiable where autograd is on."""

    def versions(self) -> dict[str, str]:
        """Names and versions of what executes the module, beside the torch that every record names."""
        return {}

    def threads(self) -> dict[str, int]:
        """CPU threads by library, as each says that it takes; a library of its own by the runtime's name."""

    def compilation(self) -> Compilation:
        """What it has made of the module so far."""
        return Compilation()

    def model(self) -> bytes | None:
        """The ONNX model that it runs, if that is what it runs."""
        return None

    def restart(self) -> None:
        """Be as before the first call, where memory is kept from one call to the next."""

    def rest(self) -> None:
        """Return when nothing of it works any more, so that the next case has the machine to itself."""


RUNTIMES: dict[Name, str] = {
    "eager": "eager:Eager",
    "compile": "compile:Compile",
    "onnxruntime": "onnxruntime:OnnxRuntime",
    "openvino": "openvino:OpenVino",
}
"""Name, as :attr:`ctxbench.subject.case.Case.runtime` has it, to the file here and the class in it."""

EXPORTED: tuple[Name, ...] = ("onnxruntime", "openvino")
"""Those that run an ONNX model of the module."""
EXPORTERS = ("onnx", "onnxscript")
"""Packages that torch's exporter needs."""


def refusal(case: Case) -> str:
    """Why its runtime cannot run a case, as far as that is known before anything runs; empty where it may."""
    name = case.runtime
    if name not in EXPORTED:
        return ""
    if missing := [package for package in (name, *EXPORTERS) if find_spec(package) is None]:
        return f"{name} cannot run here without {', '.join(missing)}: pip install 'ctxbench[runtimes]'"
    if case.mode == "train":
        return f"{name} has no backward pass: it runs in mode infer alone"
    if case.device != "cpu":
        return f"{name} is run on the CPU alone here, not on {case.device}"
    if case.layout != "contiguous":
        return f"{name} takes contiguous maps alone, and lays them out as it likes by itself"
    if name == "openvino" and case.dtype == "float64":
        return "openvino computes nothing in float64"
    return ""


def new_runtime(name: Name) -> Runtime:
    """A runtime that has nothing prepared yet."""
    file, _, cls = RUNTIMES[name].partition(":")
    runtime: Runtime = getattr(import_module(f"{__name__}.{file}"), cls)()
    return runtime
