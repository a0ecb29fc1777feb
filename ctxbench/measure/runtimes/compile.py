"""torch.compile with its default backend, Inductor, which generates C++ on a CPU and Triton on a GPU."""

import os
import subprocess
from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch
from torch import nn

from ctxbench.subject.interface import Given


class Compile:
    """A :class:`~ctxbench.measure.runtimes.Runtime` that compiles the module at its first pass."""

    def __init__(self) -> None:
        self._compiled: Callable[..., Any]
        self._device = "cpu"

    def prepare(self, module: nn.Module, given: Given) -> None:
        """Wrap the module; torch compiles it when it is first run."""
        self._compiled = torch.compile(module)
        self._device = given.tensors[0].device.type

    def run(self, given: Given) -> Any:
        """One forward pass."""
        return self._compiled(*given.args, **given.kwargs)

    def versions(self) -> dict[str, str]:
        """The compiler that Inductor's code goes through; empty where it does not say its version."""
        if self._device == "cuda":
            try:
                return {"triton": metadata.version("triton")}
            except metadata.PackageNotFoundError:
                return {}
        compiler = os.environ.get("CXX", "g++")  # Inductor's own rule
        try:
            answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return {}
        return {"cxx": answer.stdout.partition("\n")[0]}
