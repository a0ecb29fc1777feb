from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ctxbench.counters.describe import describe
from ctxbench.measure.records import Record
from ctxbench.subject.case import Case
from ctxbench.subject.registry import spec
from ctxbench.tracing import views

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
    assert record.paper["config"] == "bases=4"
    assert record.paper["gflops"] > 0


def test_the_predicted_peak_follows_mode_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    infer = describe(EMAU, ())["peak_pred_bytes"]
    train = describe(replace(EMAU, mode="train"), ())["peak_pred_bytes"]
    on_cuda = describe(replace(EMAU, device="cuda"), ())
    cuda = on_cuda["peak_pred_bytes"]
    assert "dispatches to on the CPU" in on_cuda["note"]
    assert infer < train
    assert infer < cuda
    assert cuda % views.CUDA_BLOCK == 0


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
        "published_macs",
    )
    assert {name: found["reasons"][name] for name in fields} == dict.fromkeys(fields, why)
    assert not found.keys() & set(fields)
    assert found["counters"]["torch"]["gmacs"] is None
    assert found["counters"]["torch"]["reason"]
    assert found["paper"] == {"reason": why}


class Doubled(torch.autograd.Function):
    """An operation with a backward pass whose cost has no formula."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        y: Tensor = torch.fft.fft2(gradients[0]).real
        return y


class Odd(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > torch.inf:
            return x
        y: Tensor = Doubled.apply(x)  # type: ignore[no-untyped-call]
        return y


def test_what_is_odd_about_a_trace_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxbench.counters.describe.build_case", lambda case: Odd())
    found = describe(EMAU, ())
    assert found["unknown_ops"] == {"aten._fft_c2c.default": 1}
    assert "control flow depends on data" in found["note"]
    assert Record(EMAU, **found).note == found["note"]


def test_the_paper_counts_the_published_form_with_the_options_of_its_printed_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[Case] = []

    def count(build: Callable[[], torch.nn.Module], shape: object) -> dict[str, object]:
        built.append(build.args[0])  # type: ignore[attr-defined]
        return {"gflops": 1.0}

    monkeypatch.setattr("ctxbench.counters.leaf_rule.count", count)
    known = spec("latentgnn")
    assert known is not None
    assert known.table10 is not None
    case = Case("latentgnn", 16, 6, 5, options=known.table10.options)
    assert "merge=sum" in describe(case, ())["paper"]["config"]
    describe(replace(case, options={"latent_dims": (3,)}), ())
    assert [c.implementation for c in built] == ["published", "published"]
    assert built[0].options == {**known.table10.options, **known.table10.counted}
    assert built[1].options == {"latent_dims": (3,)}
