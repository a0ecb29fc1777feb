"""The leaf rule: each of its lines by hand, and the digits of a printed table that it gives."""

import pytest
import torch
from torch import Tensor, nn

from ctxbench.audit.quantity import prints_as
from ctxbench.counters import leaf_rule
from ctxbench.paper.printed.table10 import table10
from ctxbench.subject.bind import build
from ctxbench.subject.presets import preset

SHAPE = (2, 4, 8, 6)
N = 2 * 4 * 8 * 6


class MatMul(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class Product(nn.Module):
    """Calls one leaf as often as ``calls`` says, with ever wider operands."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.matmul, self.calls = MatMul(), calls

    def forward(self, x: Tensor) -> Tensor:
        for width in range(1, self.calls + 1):
            self.matmul(x[..., :width], x[..., :width].mT)
        return x


@pytest.mark.parametrize(
    ("leaf", "flops"),
    [
        (nn.Conv2d(4, 5, 3, padding=1, bias=False), 2 * 5 * 48 * 36),
        (nn.Conv2d(4, 5, 1), 2 * 5 * 48 * (4 + 1)),
        (nn.BatchNorm2d(4), 2 * N),
        (nn.ReLU(), N),
        (nn.MaxPool2d(2), N),
        (nn.AvgPool2d(2), N),
        (nn.AdaptiveAvgPool2d((2, 2)), ((6 // 2) ** 2 + 1) * 2 * 4 * 4),
        (nn.AdaptiveAvgPool2d(2), (6 // 2 + 1) * 2 * 4 * 4),
        (nn.Sigmoid(), 0),
        (nn.Softmax(1), 0),
    ],
)
def test_rules(leaf: nn.Module, flops: int) -> None:
    assert leaf_rule.count(lambda: nn.Sequential(leaf), SHAPE)["gflops"] == pytest.approx(flops / 1e9)


def test_memory_is_the_leaves_outputs_without_the_batch_at_four_bytes() -> None:
    assert leaf_rule.count(lambda: nn.Sequential(nn.ReLU(), nn.ReLU()), SHAPE)["mib"] == 2 * 4 * 192 / 2**20


def test_the_last_call_of_a_shared_leaf_wins_and_every_call_is_told() -> None:
    counted = leaf_rule.count(lambda: Product(3), SHAPE)
    one = 2 * 2 * 4 * 8 * 8 / 1e9
    assert counted["gflops"] == pytest.approx(3 * one)
    assert counted["every_call_gflops"] == pytest.approx((1 + 2 + 3) * one)
    assert counted["repeated"] == {"matmul": 3}


@pytest.mark.parametrize("module", sorted(table10()))
def test_table_10_lands_on_the_printed_digits(module: str) -> None:
    row, printed = preset("table10").row(module), table10()[module]
    options = {**row.options(512), **row.rule_options}
    counted = leaf_rule.count(lambda: build(module, 512, (64, 64), "published", **options), (1, 512, 64, 64))
    reproduced = prints_as(counted["gflops"], printed.gflops) and prints_as(counted["mib"], printed.mib)
    assert reproduced is (module != "rcca"), counted


def test_no_hook_is_left_behind() -> None:
    leaf_rule.count(lambda: Product(2), SHAPE)
    assert not torch.nn.modules.module._has_any_global_hook()


class ThroughNumpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * float(x.numpy().mean())


class Lazy(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.LazyConv2d(8, 1))


@pytest.mark.parametrize("make", [ThroughNumpy, Lazy])
def test_a_module_that_fails_on_fake_tensors_is_run(make: type[nn.Module]) -> None:
    (cost,) = leaf_rule.count(make, (1, 4, 3, 5))["leaves"].values()
    assert cost == [8 * 3 * 5 * (4 + 1), 4 * 8 * 3 * 5]
