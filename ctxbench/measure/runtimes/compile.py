"""torch.compile with its default backend, Inductor, which generates C++ on a CPU and Triton on a GPU."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from multiprocessing.util import Finalize
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import torch
from torch import nn

from ctxbench.errors import UserError
from ctxbench.measure.runtimes import Compilation, Runtime
from ctxbench.measure.threads import threads
from ctxbench.subject.interface import Given

CACHE = "TORCHINDUCTOR_CACHE_DIR"


class Compile(Runtime):
    """A :class:`~ctxbench.measure.runtimes.Runtime` that compiles the module at its first pass.

    It finds nothing in torch's caches, which go to a folder of its own: a time to compile is of all of it,
    and code is never what was generated for other threads.
    """

    def __init__(self) -> None:
        self._compiled: Callable[..., Any]
        self._device = "cpu"
        self._began_s = self._seconds = 0.0
        self._times = 0
        self._before: dict[str, Counter[str]] = {}
        """Torch's counts before the module was compiled: of all that this process has compiled."""

    def prepare(self, module: nn.Module, given: Given, threads: int | None = None) -> None:
        """Wrap the module; torch compiles it when it is first run, and its backward pass likewise."""
        from torch._dynamo import config
        from torch._dynamo.callback import callback_handler
        from torch._dynamo.utils import counters

        os.environ[CACHE] = cache = mkdtemp(prefix="ctxbench-compile-")
        Finalize(None, rmtree, (cache, True), exitpriority=0)  # at the end of a worker too, unlike atexit
        config.fail_on_recompile_limit_hit = True  # what is compiled too often would run in eager
        callback_handler.register_start_callback(self._begin)
        callback_handler.register_end_callback(self._end)
        self._before = {name: Counter(counts) for name, counts in counters.items()}
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

    def threads(self) -> dict[str, int]:
        """Those of torch, which Inductor's code takes."""
        return threads()

    def compilation(self) -> Compilation:
        """Seconds that torch was compiling, how often it began, and its graph breaks.

        Raises UserError where it left the whole module to Python, which runs as in eager then.
        """
        if not self._counted("stats")["unique_graphs"]:
            why = "; ".join(map(_in_one_line, self._counted("unimplemented")))
            raise UserError(f"torch.compile left all of it to Python{why and f': {why}'}")
        breaks: Counter[str] = Counter()
        for reason, number in self._counted("graph_break").items():
            breaks[_in_one_line(reason)] += number
        return Compilation(self._seconds, self._times, dict(breaks))

    def _counted(self, name: str) -> Counter[str]:
        """What torch has counted under a name since the module was prepared."""
        from torch._dynamo.utils import counters

        return Counter(counters[name]) - self._before.get(name, Counter())

    def _begin(self, _: object) -> None:
        self._began_s = time.perf_counter()
        self._times += 1

    def _end(self, _: object) -> None:
        self._seconds += time.perf_counter() - self._began_s


def _in_one_line(reason: str) -> str:
    """Of torch's explanation of a graph break, which goes on with hints, the line that names its cause."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    explained = [line.partition(":")[2].strip() for line in lines if line.startswith("Explanation:")]
    return [*explained[-1:], *lines, "not explained"][0]
