"""The one door to a count: what it answers, and that every verb goes through it."""

import re
from collections.abc import Callable

import pytest
import torch
from blocks import case  # noqa: F401  a fixture
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import ctxbench
from ctxbench.counters.describe import describe
from ctxbench.errors import UserError
from ctxbench.networks.heads import ContextHead
from ctxbench.report.sweep import sweep
from ctxbench.subject.case import Case
from ctxbench.tracing import NotCounted, Trace, count_case, trace_case, views

MakeCase = Callable[..., Case]


class Pooled(nn.Module):
    """A batch norm after global pooling, which one image gives one value a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pool(x)  # (N, C, H, W)


def test_a_case_is_counted_in_its_mode_or_another(case: MakeCase) -> None:  # noqa: F811
    good = case("Good", dtype="float64", batch=2)
    recorded, trained = count_case(good), count_case(good, "train")
    assert isinstance(recorded, Trace)
    assert isinstance(trained, Trace)
    assert (recorded.mode, recorded.dtype, recorded.shape) == ("infer", "float64", good.shape)
    assert views.macs(recorded) == 2 * 8 * 8 * 6 * 5
    assert trained.mode == "train"


def test_a_module_that_exists_stands_for_the_cases_own(case: MakeCase) -> None:  # noqa: F811
    recorded = trace_case(case("Raises"), subject=nn.Conv2d(8, 3, 1, bias=False))
    assert views.macs(recorded) == 8 * 3 * 6 * 5


def test_what_a_module_raises_is_one_line(case: MakeCase) -> None:  # noqa: F811
    answer = count_case(case("Raises"))
    assert isinstance(answer, NotCounted)
    assert answer.reason == "KeyError: 'no such map'"
    with pytest.raises(UserError, match=r"block fails forward and backward on \(1, 8, 6, 5\): KeyError"):
        trace_case(case("Raises", mode="train"), label="block")
    with pytest.raises(UserError, match=r"^Good: .*unexpected keyword argument 'loudness'"):
        trace_case(case("Good", options={"loudness": 3}))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_norm_with_one_value_is_named_with_the_way_out(batch: int) -> None:
    answer = count_case(Case("pooled", 4, 6, 5, batch=batch), "train", subject=Pooled())
    if batch == 2:
        assert isinstance(answer, Trace)
    else:
        assert isinstance(answer, NotCounted)
        assert answer.reason == (
            "the normalisation 'pool.2' has one value a channel to take a variance of in training; "
            "--batch 2 measures it"
        )


def test_inside_another_recording_a_module_that_asks_for_values_says_so_to_that_one() -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with FakeTensorMode(), pytest.raises(torch._subclasses.fake_tensor.DataDependentOutputException):
        count_case(Case("asks", 4, 6, 5), subject=Asks)
    assert isinstance(count_case(Case("asks", 4, 6, 5), subject=Asks), Trace)


def test_every_verb_gives_the_same_reason(case: MakeCase) -> None:  # noqa: F811
    raises = case("Raises")
    reason = "KeyError: 'no such map'"
    assert describe(raises, ())["reasons"]["macs"] == reason
    verbs: dict[str, Callable[[], object]] = {
        "trace": lambda: ctxbench.trace(raises.module, raises.shape),
        "count": lambda: ctxbench.count(raises.module, raises.shape),
        "sweep": lambda: sweep([case("Raises", height=n) for n in (4, 5, 6)]),
        "decode": lambda: ctxbench.decode(raises.module, "1G", shape=raises.shape),
        "head": lambda: ContextHead((8, 8, 8, 8), 3, channels=8, context=raises.module, size=(6, 5)),
    }
    for name, ask in verbs.items():
        with pytest.raises(UserError) as caught:
            ask()
        assert reason in str(caught.value), name
        assert re.search(r"fails (forward on \(1, 8, |on N C H W)", str(caught.value)), name
