import re
import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ctxbench.measure.runtimes import RUNTIMES, new_runtime
from ctxbench.measure.worker.call import build_call
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Given

CASE = Case("block", channels=4, height=6, width=5)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu() + x


def test_a_case_names_a_runtime_there_is() -> None:
    assert {CASE.runtime, replace(CASE, compile=True).runtime} == set(RUNTIMES)


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_gives_what_the_module_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        def prepare(self, module: nn.Module, given: Given) -> None:
            self.module, self.shape = module, given.tensors[0].shape

        def run(self, given: Given) -> Tensor:
            y: Tensor = 2 * self.module(*given.args)
            return y

        def versions(self) -> dict[str, str]:
            return {}

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
