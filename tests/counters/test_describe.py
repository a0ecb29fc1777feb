from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ctxbench import api
from ctxbench.counters import DEFAULT
from ctxbench.counters.describe import describe
from ctxbench.measure.records import Record
from ctxbench.subject.case import Case
from ctxbench.subject.cases import cases
from ctxbench.tracing import Trace, views
from ctxbench.tracing.one_pass import Recording

EMAU = Case("emau", 16, 6, 5, options={"bases": 4})


def test_it_fills_every_static_field() -> None:
    found = describe(EMAU, ("torch",))
    record = Record(EMAU, **found)
    published = describe(replace(EMAU, implementation="published"), ())
    assert record.reasons == {}
    assert record.note == ""
    assert record.unknown_ops == {}
    assert record.published_macs == published["macs"] == published["published_macs"]
    assert record.macs is not None
    assert record.flops is not None
    assert record.flops > 2 * record.macs
    assert record.bwd_macs
    assert record.counters["torch"]["gmacs"] is not None
    assert record.leaf_rule["config"] == "bases=4"
    assert record.leaf_rule["gflops"] > 0


def test_reserved_memory_is_simulated_for_a_case_on_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = describe(EMAU, ())["reserved_sim_bytes"]
    assert reserved == describe(replace(EMAU, device="cuda"), ())["reserved_sim_bytes"]
    assert reserved == 22 * 2**20  # one small segment, and one for cuBLAS's workspace
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert describe(EMAU, ())["reserved_sim_bytes"] == 34 * 2**20
    monkeypatch.setenv("PYTORCH_NO_CUDA_MEMORY_CACHING", "1")
    found = describe(EMAU, ())
    assert "reserved_sim_bytes" not in found
    assert "reserved memory stays 0" in found["reasons"]["reserved_sim_bytes"]


def test_the_predicted_peak_follows_mode_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    infer = describe(EMAU, ())["peak_pred_bytes"]
    train = describe(replace(EMAU, mode="train"), ())["peak_pred_bytes"]
    on_cuda = describe(replace(EMAU, device="cuda"), ())
    cuda = on_cuda["peak_pred_bytes"]
    assert "dispatches to on the CPU" in on_cuda["note"]
    assert infer < train
    assert infer < cuda
    assert cuda % views.CUDA_BLOCK == 0


@pytest.mark.parametrize(
    ("case", "passes"),
    [
        (EMAU, 3),  # inference and training, and inference of the published form
        (replace(EMAU, implementation="published"), 2),
        (replace(EMAU, dtype="float64"), 4),  # the counters are given the published form in float32
    ],
    ids=lambda value: value.id if isinstance(value, Case) else "",
)
def test_every_pass_is_recorded_once_however_many_counters_are_asked(
    case: Case, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = []
    run = Recording.run

    def noted(self: Recording) -> Trace:
        recorded.append(self)
        return run(self)

    monkeypatch.setattr(Recording, "run", noted)
    counters = describe(case, DEFAULT)["counters"]
    assert len(recorded) == passes
    assert all(counters[name]["gmacs"] for name in DEFAULT)


def test_an_explanation_records_what_the_counters_see_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    run = Recording.run
    monkeypatch.setattr(Recording, "run", lambda self: passes.append(1) or run(self))
    for counters in ((), DEFAULT):
        api.explain("emau", EMAU.shape, counters=counters, options=EMAU.options)
    assert len(passes) == 2 * 3  # the fast form in inference and training, the published one in inference


def test_what_cannot_be_counted_has_a_reason(case: Callable[..., Case]) -> None:
    found = describe(case("Raises"), ("torch",))
    why = "KeyError: 'no such map'"
    fields = (
        "params",
        "macs",
        "flops",
        "bytes",
        "bwd_macs",
        "act_bytes",
        "peak_pred_bytes",
        "reserved_sim_bytes",
        "published_macs",
    )
    assert {name: found["reasons"][name] for name in fields} == dict.fromkeys(fields, why)
    assert not found.keys() & set(fields)
    assert found["counters"]["torch"]["gmacs"] is None
    assert found["counters"]["torch"]["reason"] == why
    assert found["counters"]["leaf_rule"] == {"reason": why}


class Doubled(torch.autograd.Function):
    """An operation with a backward pass whose cost has no formula."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        y: Tensor = torch.linalg.qr(gradients[0]).Q
        return y


class Odd(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > torch.inf:
            return x
        y: Tensor = Doubled.apply(x)  # type: ignore[no-untyped-call]
        return y


def test_what_is_odd_about_a_trace_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxbench.tracing.count.build_case", lambda case: Odd())
    found = describe(EMAU, ())
    assert found["unknown_ops"] == {"aten.linalg_qr.default": 1}
    assert "control flow depends on data" in found["note"]
    assert Record(EMAU, **found).note == found["note"]


def test_the_leaf_rule_counts_the_published_form_as_the_preset_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[Case] = []

    def count(build: Callable[[], torch.nn.Module], *_: object) -> dict[str, object]:
        built.append(build.args[0])  # type: ignore[attr-defined]
        return {"gflops": 1.0}

    monkeypatch.setattr("ctxbench.counters.leaf_rule.count", count)
    (case,) = cases("latentgnn", preset="table10", channels=16, sizes=[(6, 5)])
    assert "merge=sum" in describe(case, ())["counters"]["leaf_rule"]["config"]
    (other,) = cases("latentgnn", channels=16, sizes=[(6, 5)], options={"latent_dims": (3,)})
    describe(other, ())
    assert [c.implementation for c in built] == ["published", "published"]
    assert case.rule_options
    assert built[0].options == {**case.options, **case.rule_options}
    assert built[1].options == {"latent_dims": (3,)}
