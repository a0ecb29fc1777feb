"""Outputs are held against eager's in float64 before a time is shown."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.measure.runtimes.eager import Eager
from ctxbench.measure.worker import outputs
from ctxbench.measure.worker.call import build_call
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Given

CASE = Case("block", channels=4, height=3, width=2, runtime="compile")


class Off(Eager):
    """A runtime whose output is off by a share of each value."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def run(self, given: Given) -> Tensor:
        y: Tensor = super().run(given)
        return y + self.share * y


class Gated(nn.Module):
    """``x + γ·f(x)`` with γ = 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.conv(x)


def checked(module: nn.Module, share: float, **conditions: Any) -> dict[str, Any]:
    case = replace(CASE, **conditions)
    return outputs.check(case, build_call(case, module, Off(share)))


@settings(max_examples=25)
@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=9).filter(any),
    st.floats(1e-6, 1e3),
)
def test_the_error_is_the_largest_difference_over_the_largest_value(values: list[float], off: float) -> None:
    exact = torch.tensor(values, dtype=torch.float64)
    found = exact.clone()
    found[-1] += off
    assert outputs.error_of(found, exact) == pytest.approx(off / max(map(abs, values)), rel=1e-6)
    assert outputs.error_of(exact, exact) == 0


def test_what_is_not_finite_in_one_of_two_is_infinitely_far() -> None:
    nan, inf, zero, one = (torch.tensor([x, 1.0]) for x in (math.nan, math.inf, 0.0, 1.0))
    assert outputs.error_of(nan, one) == outputs.error_of(one, nan) == outputs.error_of(inf, one) == math.inf
    assert outputs.error_of(nan, nan) == outputs.error_of(inf, inf) == 0
    assert outputs.error_of(zero[:1], one) == math.inf, "another shape"
    assert outputs.error_of(one[:1], zero[:1]) == math.inf
    assert outputs.error_of(zero[:1], zero[:1]) == 0


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_runtime_that_is_off_is_refused_with_the_figure(mode: str) -> None:
    torch.manual_seed(0)
    assert checked(Gated(), 2e-5, mode=mode)["output_error"] == pytest.approx(2e-5, rel=0.1)
    with pytest.raises(
        UserError, match=r"off by 0\.001 of .* 0\.0001 is tolerated in float32 \(eager itself: 0\)"
    ):
        checked(Gated(), 1e-3, mode=mode)


@pytest.mark.parametrize(("dtype", "off"), [("float64", 1e-8), ("float16", 0.05), ("bfloat16", 0.2)])
def test_each_dtype_has_a_tolerance(dtype: str, off: float) -> None:
    module = Gated()
    assert checked(module, 0.0, dtype=dtype)["output_error"] <= outputs.TOLERANCE[dtype]
    with pytest.raises(UserError, match=f"is tolerated in {dtype}"):
        checked(module, off, dtype=dtype)


class Ignores(Eager):
    """A runtime that leaves out what a gate of zero would hide."""

    def run(self, given: Given) -> Tensor:
        x: Tensor = given.args[0]
        return x.clone()


def test_no_gate_hides_a_wrong_output() -> None:
    module = Gated()
    before = {name: p.clone() for name, p in module.conv.named_parameters()}
    case = replace(CASE)
    assert outputs.check(case, build_call(case, module, Ignores()))["output_error"] == 0
    outputs.open_gates(module)
    assert module.gamma.item() != 0
    assert all(torch.equal(p, before[name]) for name, p in module.conv.named_parameters())
    with pytest.raises(UserError, match="is tolerated"):
        outputs.check(case, build_call(case, module, Ignores()))
    again = Gated()
    outputs.open_gates(again)
    assert torch.equal(again.gamma, module.gamma)


class Drops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


class Rounds(nn.Module):
    """A choice that rounding turns: in bfloat16 another channel may be the largest."""

    def forward(self, x: Tensor) -> Tensor:
        largest = (1 + 1e-4 * x).argmax(1, keepdim=True)
        return x.gather(1, largest)


class Single(nn.Module):
    """Works in float32 alone, and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [torch.randn(4, 4)]

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,cd->ndhw", x.mul_(2), self.weights[0])


class Random(Eager):
    """A runtime with random numbers of its own."""

    def run(self, given: Given) -> Any:
        torch.manual_seed(7)
        return super().run(given)


def test_what_cannot_be_held_against_eager_has_a_reason_and_is_timed() -> None:
    case = replace(CASE, mode="train")
    found = outputs.check(case, build_call(case, Drops(), Random()))
    assert found == {"reasons": {"output_error": "the module's own output differs from call to call"}}

    class Unique(Drops):
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("there is one of it")

    reasons = outputs.check(CASE, build_call(CASE, Unique(), Eager()))["reasons"]
    assert reasons["output_error"] == "nothing to hold the output against: TypeError: there is one of it"


def test_a_module_of_one_dtype_is_held_against_eager_in_that() -> None:
    found = checked(Single(), 0.0)
    assert found["output_error"] == 0
    assert "held against eager's in float32: in float64 it fails (RuntimeError" in found["warnings"][0]


def test_a_runtime_may_be_as_far_off_as_eager_is_itself() -> None:
    torch.manual_seed(0)
    found = checked(Rounds(), 0.0, dtype="bfloat16", height=16, width=16)
    assert found["output_error"] > outputs.TOLERANCE["bfloat16"]
