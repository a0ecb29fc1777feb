from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ctxbench.measure.worker.behaviour import changed, not_finite, state_of
from ctxbench.measure.worker.call import build_call, placed
from ctxbench.subject.case import Case


class Plain(nn.Module):
    """Layers that keep what they are given, batch norm's running statistics in training aside."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # (N, C, H, W)


class Root(Plain):
    """Its gradient is Inf where the root's argument is 0."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + (0 * x).abs().sqrt()


class Log(Plain):
    """Inf in every output."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) - (x - x).log()


class Average(Plain):
    """Moves a buffer along, as EM attention's bases are in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bases", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.bases = 0.9 * self.bases + 0.1
        return super().forward(x)


class Hidden(Plain):
    """Changes a parameter past autograd's version counter."""

    def forward(self, x: Tensor) -> Tensor:
        self.body[0].weight.data.mul_(0.5)
        return super().forward(x)


class Switches(Plain):
    """Leaves the mode it was put in."""

    def forward(self, x: Tensor) -> Tensor:
        self.body[2].train(not self.body[2].training)
        return super().forward(x)


class FirstTime(Plain):
    """Sets itself up from the first input it sees."""

    started = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.started:
            self.started = True
            with torch.no_grad():
                self.body[0].bias.fill_(2.0)
        return super().forward(x)


class OneValue(Plain):
    """The kernel itself takes one value a channel without complaint."""

    def forward(self, x: Tensor) -> Tensor:
        norm = self.body[1]
        mean = x.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        return x + torch.batch_norm(
            mean, norm.weight, norm.bias, norm.running_mean, norm.running_var, self.training, 0.1, 1e-5, False
        )


def lines(module: nn.Module, mode: Any = "infer", **conditions: Any) -> list[str]:
    """What a row says of the module."""
    case = Case("block", 4, 6, 5, mode=mode, **conditions)
    module = placed(case, module)
    before = state_of(module)
    call = build_call(case, module)
    return [*changed(before, module), *not_finite(call)]


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize(
    "conditions", [{}, {"dtype": "bfloat16"}, {"layout": "channels_last", "batch": 2}], ids=str
)
def test_nothing_is_said_of_a_module_that_behaves(mode: str, conditions: dict[str, Any]) -> None:
    assert lines(Plain(), mode, **conditions) == []


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_lazy_layers_come_into_being_and_are_not_said_to_change(mode: str) -> None:
    assert lines(nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d()), mode) == []


def test_inf_and_nan_are_told_apart_and_found_in_gradients_too() -> None:
    assert lines(Log()) == ["its output holds Inf"]
    assert lines(Root()) == []
    assert lines(Root(), "train") == ["the gradient of its input holds NaN"]
    said = lines(Log(), "train")
    assert said[0] == "its output holds Inf"
    assert said[1] == "the gradient of its input holds NaN"


def test_gradients_of_many_parameters_are_counted() -> None:
    class Overflows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(4)))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) * 1e38 * 1e38

    said = lines(Overflows(), "train")
    assert "the gradients of body.0.weight, body.0.bias, body.1.weight and 5 more hold " in said[-1]


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize(
    ("module", "what"),
    [
        (Average, "the buffer bases"),
        (Hidden, "the parameter body.0.weight"),
        (FirstTime, "the parameter body.0.bias"),
    ],
)
def test_a_state_that_a_pass_changes_is_named(module: type[nn.Module], what: str, mode: str) -> None:
    assert lines(module(), mode) == [f"a pass changed its own state: {what}"]


def test_a_mode_that_a_pass_changes_is_named() -> None:
    module = placed(Case("block", 4, 6, 5), Switches())
    before = state_of(module)
    module(torch.zeros(1, 4, 6, 5))
    assert changed(before, module) == ["a pass changed its own state: the mode of body.2"]


def test_statistics_of_one_value_are_said() -> None:
    assert lines(OneValue(), "train") == ["NaN in its buffers: body.1.running_var"]
