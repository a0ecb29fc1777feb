"""Scripted and traced modules are recorded as the modules they were made from."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ctxbench.tracing import Trace, trace, views

C = 8
LAYERS = {
    "pointwise": lambda: nn.Conv2d(C, C, 1),
    "conv": lambda: nn.Conv2d(C, C, 3, padding=1),
    "tall": lambda: nn.Conv2d(C, C, (5, 1), padding=(2, 0), bias=False),
    "grouped": lambda: nn.Conv2d(C, C, 3, padding=1, groups=4),
    "norm": lambda: nn.BatchNorm2d(C),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "pool": lambda: nn.AvgPool2d(3, 1, 1),
}


def numbers(recorded: Trace) -> list[int]:
    return [
        recorded.params,
        *(count(recorded, phase) for count in (views.macs, views.flops) for phase in ("forward", "backward")),
        views.saved_bytes(recorded),
    ]


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6),
    st.tuples(st.integers(1, 3), st.just(C), st.integers(3, 9), st.integers(3, 9)),
    st.sampled_from(("infer", "train")),
    st.booleans(),
)
def test_scripted_equals_unscripted(
    names: list[str], shape: tuple[int, int, int, int], mode: str, as_instance: bool
) -> None:
    plain = nn.Sequential(*(LAYERS[name]() for name in names))
    scripted = torch.jit.script(copy.deepcopy(plain))
    subject = scripted if as_instance else lambda: torch.jit.script(copy.deepcopy(plain))
    assert numbers(trace(subject, shape, mode=mode)) == numbers(trace(plain, shape, mode=mode))


class Stored(nn.Module):
    """Weights of one shape under several names, one of them tied."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(C, C, k, padding=k // 2) for k in (1, 3, 5))
        self.third.bias = self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x)))


@pytest.mark.parametrize("made", [torch.jit.script, lambda m: torch.jit.trace(m, torch.randn(2, C, 6, 5))])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_each_weight_stays_in_its_place_time_after_time(made: object, mode: str) -> None:
    plain = Stored()
    expected = numbers(trace(plain, (2, C, 6, 5), mode=mode))
    module = made(plain)  # type: ignore[operator]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    for _ in range(3):
        assert numbers(trace(module, (2, C, 6, 5), mode=mode)) == expected
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert expected[1] == 2 * 30 * C * C * (1 + 9 + 25)


def test_the_executor_of_a_scripted_module_is_left_as_it_was() -> None:
    assert torch._C._get_graph_executor_optimize()
    trace(torch.jit.script(nn.Conv2d(C, C, 1)), (1, C, 4, 4))
    assert torch._C._get_graph_executor_optimize()


class ByWindows(nn.Module):
    """Sizes that the module computes: a traced one stores this arithmetic as operations on whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(C, 3 * C)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        windows = x.permute(0, 2, 3, 1).reshape(n * h * w // 4, 4, c)  # (N·H·W/4, 4, C)
        qkv = self.layer(windows).reshape(n * h * w // 4, 4, 3, c)  # (N·H·W/4, 4, 3, C)
        q, k, v = (qkv[:, :, i] for i in range(3))  # (N·H·W/4, 4, C) each
        y = (q @ k.mT).softmax(-1) @ v
        return y.reshape(n, h, w, c).permute(0, 3, 1, 2)  # (N, C, H, W)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_sizes_that_a_traced_module_computes_are_no_operations_of_its(
    mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = ByWindows()
    traced = torch.jit.trace(copy.deepcopy(plain), torch.randn(2, C, 6, 4))
    recorded = trace(traced, (2, C, 6, 4), mode=mode)
    assert any(op.name.startswith("aten.floor_divide") for op in recorded.ops)
    assert numbers(recorded) == numbers(trace(plain, (2, C, 6, 4), mode=mode))
    assert (
        "Traceback" not in capfd.readouterr().err
    )  # which torch logs of fake tensors whose values are guessed
