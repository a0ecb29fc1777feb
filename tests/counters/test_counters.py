"""Counters asked on modules whose true count is known in closed form: each must name what it missed."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ctxbench.counters import COUNTERS, DEFAULT, Build, available, common
from ctxbench.tracing import trace

SHAPE = (1, 8, 6, 5)
CONV = 8 * 8 * 30 / 1e9


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Attends(Plain):
    def forward(self, x: Tensor) -> Tensor:
        t = self.conv(x).flatten(2).mT.contiguous()[:, None]
        return F.scaled_dot_product_attention(t, t, t)[:, 0].mT.reshape_as(x)


def counted(name: str, build: Build) -> dict[str, Any]:
    return COUNTERS[name](build, SHAPE, trace(build, SHAPE))


installed = [
    pytest.param(name, marks=() if available(name) else pytest.mark.skip(f"{name} is an extra"))
    for name in COUNTERS
]


@pytest.mark.parametrize("name", installed)
def test_every_counter_agrees_on_a_convolution(name: str) -> None:
    answer = counted(name, Plain)
    assert answer["gmacs"] == pytest.approx(CONV)
    assert not answer["missed"]


def test_the_defaults_are_installed() -> None:
    assert all(available(name) for name in DEFAULT)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("fvcore", "aten::scaled_dot_product_attention"),
        ("thop", "aten._scaled_dot_product_flash_attention_for_cpu.default"),
    ],
)
def test_what_a_counter_misses_is_named(name: str, operation: str) -> None:
    answer = counted(name, Attends)
    assert answer["gmacs"] == pytest.approx(CONV)
    assert next(iter(answer["missed"])) == operation


def test_a_module_given_whole_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    module = Plain()
    before, rng = copy.deepcopy(module.state_dict()), torch.random.get_rng_state()
    for name in DEFAULT:
        counted(name, Plain)
    assert list(module.state_dict()) == list(before)
    assert torch.equal(rng, torch.random.get_rng_state())


def test_a_counter_that_must_execute_declines_what_is_too_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "MAX_GMACS", 1e-9)
    answer = counted("fvcore", Plain)
    assert answer["gmacs"] is None
    assert "executes the module" in answer["reason"]


def test_a_counter_that_fails_says_why() -> None:
    def fail() -> nn.Module:
        raise RuntimeError("no module today\nreally")

    assert COUNTERS["torch"](fail, SHAPE, trace(Plain, SHAPE)) == {
        "gmacs": None, "missed": {}, "elementwise": {}, "reason": "RuntimeError: no module today",
    }  # fmt: skip


def test_thop_gives_nothing_to_what_it_has_only_a_zero_rule_for() -> None:
    answer = counted("thop", lambda: nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.ReLU()))
    assert answer["elementwise"] == {"aten.relu.default": 1}


class Reshapes(Plain):
    """A convolution and shapes worked out in Python, which the JIT graph holds as ``aten::mul``."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return super().forward(x).reshape(n, c, h * w).reshape(n, c, h, w)  # (N, C, H·W), (N, C, H, W)


class Scales(Reshapes):
    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) * x).tanh_().flatten(2).softmax(-1).view_as(x)  # (N, C, H·W), (N, C, H, W)


def test_fvcore_is_said_to_lose_only_arithmetic_on_tensors() -> None:
    assert counted("fvcore", Reshapes)["elementwise"] == {}
    lost = counted("fvcore", Scales)["elementwise"]
    assert lost == {"aten::mul": 1, "aten::tanh_": 1, "aten::softmax": 1}
