import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.measure import runtimes
from ctxbench.measure.runtimes import EXPORTED, RUNTIMES, Compilation, new_runtime
from ctxbench.measure.runtimes.eager import Eager
from ctxbench.measure.worker import latency
from ctxbench.measure.worker.call import build_call
from ctxbench.measure.worker.measurement import TRIES, Measurement
from ctxbench.subject.case import Case, Runtime
from ctxbench.subject.interface import Given

CASE = Case("block", channels=4, height=6, width=5)
COMPILED = Case("block", channels=4, height=6, width=5, runtime="compile")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu() + x


@pytest.fixture(autouse=True)
def _nothing_that_a_runtime_sets_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It sets what holds for its process, which in a run is of one case alone."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "set by the runtime")
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=False):
        yield


def test_a_case_names_a_runtime_there_is() -> None:
    assert set(get_args(Runtime)) == set(RUNTIMES)


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({}, ""),
        ({"dtype": "bfloat16", "threads": 2}, ""),
        ({"mode": "train"}, "has no backward pass: it runs in mode infer alone"),
        ({"device": "cuda"}, "is run on the CPU alone here, not on cuda"),
        ({"layout": "channels_last"}, "takes contiguous maps alone, and lays them out as it likes by itself"),
    ],
)
def test_what_a_runtime_cannot_run_is_known_beforehand(
    name: Runtime, conditions: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda package: package)
    assert runtimes.refusal(replace(CASE, runtime=name, **conditions)) == (f"{name} {said}" if said else "")
    assert runtimes.refusal(replace(CASE, **conditions)) == ""


def test_a_runtime_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda package: None if package.startswith("o") else package)
    case = replace(CASE, runtime="openvino", mode="train")
    assert runtimes.refusal(case) == (
        "openvino cannot run here without openvino, onnx, onnxscript: pip install 'ctxbench[runtimes]'"
    )
    assert runtimes.refusal(COMPILED) == ""


@pytest.mark.parametrize("name", ["eager", "compile"])
def test_every_runtime_of_torch_gives_what_the_module_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor itself takes a C++ compiler and half a minute; what stands before it does not."""
    compiled: list[nn.Module] = []

    def without_inductor(module: nn.Module) -> nn.Module:
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", without_inductor)
    module, x = Block(), torch.randn(1, 4, 6, 5)
    runtime = new_runtime(name)
    given = Given((x,), {}, (x,))
    runtime.prepare(module, given)
    assert torch.equal(runtime.run(given), module(x))
    assert runtime.run(given).requires_grad
    assert compiled == ([module] if name == "compile" else [])


def test_a_call_goes_through_the_runtime_it_is_given() -> None:
    class Twice:
        def prepare(self, module: nn.Module, given: Given, threads: int | None = None) -> None:
            self.module, self.shape = module, given.tensors[0].shape

        def run(self, given: Given) -> Tensor:
            y: Tensor = 2 * self.module(*given.args)
            return y

        def versions(self) -> dict[str, str]:
            return {}

        def threads(self) -> dict[str, int]:
            return {}

        def compilation(self) -> Compilation:
            return Compilation()

    block, runtime = Block().eval(), Twice()
    call = build_call(CASE, block, runtime)
    assert runtime.shape == CASE.shape
    assert torch.equal(call(), 2 * block(*call.given.args))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine, which Inductor would call")
def test_a_compiled_case_says_which_compiler_its_code_went_through(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = new_runtime("compile")
    x = torch.zeros(CASE.shape)
    runtime.prepare(Block(), Given((x,), {}, (x,)))
    assert re.search(r"\d+\.\d+", runtime.versions()["cxx"])
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert runtime.versions() == {}
    assert new_runtime("eager").versions() == {}


class Breaks(Block):
    """Python that a compiler cannot see through, once."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        torch._dynamo.graph_break()
        return y.relu() + x


class Loops(Block):
    """The same in a loop, for which torch.compile leaves the whole to Python."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.conv(x)
            torch._dynamo.graph_break()
        return x


class Counts(Block):
    """Reads a number that it changes: compiled code holds for one call."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.conv(x) * self.calls


@pytest.fixture
def _without_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo breaks, skips and compiles again; what it hands its graphs to runs them as they are."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.usefixtures("_without_inductor")
def test_a_compiled_case_says_how_often_and_where_its_graph_breaks() -> None:
    compiled = new_runtime("compile")
    build_call(COMPILED, Breaks().eval(), compiled)
    found = compiled.compilation()
    assert found.times == 2
    assert found.seconds
    ((reason, number),) = found.graph_breaks.items()
    assert reason.startswith("User-inserted graph break")
    assert "\n" not in reason
    assert number == 1
    whole = new_runtime("compile")
    build_call(COMPILED, Block().eval(), whole)
    assert whole.compilation().graph_breaks == {}, "of this module alone"
    assert whole.compilation().times == 1
    assert new_runtime("eager").compilation() == Compilation()


@pytest.mark.usefixtures("_without_inductor")
def test_what_runs_in_eager_is_not_called_compiled() -> None:
    runtime = new_runtime("compile")
    build_call(COMPILED, Loops().eval(), runtime)
    with pytest.raises(UserError, match="left all of it to Python"):
        runtime.compilation()
    runtime = new_runtime("compile")
    call = build_call(COMPILED, Counts().eval(), runtime)

    def often() -> None:
        for _ in range(20):
            call()

    with pytest.raises(Exception, match="recompile_limit"):
        often()


class Compiling(Eager):
    """Says at each look how often it has compiled."""

    def __init__(self, times: list[int]) -> None:
        self.times = times

    def compilation(self) -> Compilation:
        return Compilation(1.0, self.times.pop(0))


def test_a_round_in_which_something_was_compiled_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([[900.0, 1.0], [1.0, 1.0]])
    monkeypatch.setattr(latency, "sample", lambda *_: next(rounds))
    measurement = Measurement(CASE)
    measurement._call, measurement._clock = None, latency.CpuClock()  # type: ignore[assignment]
    measurement._runtime = Compiling([1, 2, 2, 2])  # type: ignore[assignment]
    assert measurement.sample(0.1) == ([1.0, 1.0], False, None)
    monkeypatch.setattr(latency, "sample", lambda *_: [900.0])
    measurement._runtime = Compiling(list(range(2 * TRIES)))  # type: ignore[assignment]
    with pytest.raises(UserError, match="compiled again in each of 3 rounds"):
        measurement.sample(0.1)
