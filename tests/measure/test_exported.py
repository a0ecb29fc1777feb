"""ONNX Runtime and OpenVINO on models that torch exports: what they give, take, list and refuse."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.measure.runtimes import EXPORTED, new_runtime, refusal
from ctxbench.measure.worker import memory, outputs
from ctxbench.measure.worker.call import MeasuredCall, build_call, placed
from ctxbench.subject import bind, registry
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case, Runtime
from ctxbench.subject.cases import cases
from ctxbench.subject.interface import Given, Interface

SMALL = Case("block", channels=8, height=6, width=5, runtime="onnxruntime", threads=1)
if why := refusal(SMALL) or refusal(replace(SMALL, runtime="openvino")):
    pytest.skip(why, allow_module_level=True)


def alike(name: Runtime, first: Any) -> Any:
    """A new runtime that takes the model another has, if there is one, and exports none of its own."""
    runtime: Any = new_runtime(name)
    if first is not None:
        runtime._exported, runtime._returned = lambda *_: first.model(), first._returned
    return runtime


def calls(case: Case, module: nn.Module | None = None) -> dict[str, tuple[Any, MeasuredCall]]:
    """A case's module in each runtime, its zero parameters filled; of one export."""
    built: dict[str, tuple[Any, MeasuredCall]] = {}
    first: Any = None
    for name in EXPORTED:
        block = placed(case, module or build_case(case))
        outputs.open_gates(block)
        runtime = alike(name, first)
        built[name] = runtime, build_call(replace(case, runtime=name), block, runtime)
        first = first or runtime
    return built


def errors(case: Case) -> dict[str, float]:
    """How far each runtime's output is from eager's; more than the tolerance raises."""
    found = {}
    for name, (_, call) in calls(case).items():
        fields = outputs.check(replace(case, runtime=name), call)
        assert not fields.get("warnings")
        found[name] = fields["output_error"]
    return found


@pytest.mark.parametrize(("name", "form"), [("a2net", "fast"), ("a2net", "published")])
def test_a_few_blocks_give_what_they_give_in_eager(name: str, form: str) -> None:
    (case,) = cases(name, channels=16, sizes=[(6, 5)], implementations=[form], threads=1)
    for error in errors(case).values():
        assert 0 < error <= 1e-4


FORMS = [(name, form) for name in registry.names() for form in bind.implementations(name)]
FAILS = {("gfnet", "single", "openvino")}
"""OpenVINO reads ONNX's Fourier transform with an axis too many."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_block_gives_what_it_gives_in_eager(name: str, form: str) -> None:
    (case,) = cases(name, channels=64, sizes=[(16, 12)], implementations=[form], threads=1)
    assert outputs.TOLERANCE[case.dtype] == 1e-4
    if not any((name, form, runtime) in FAILS for runtime in EXPORTED):
        assert all(error <= 1e-4 for error in errors(case).values())
        return
    with pytest.raises(UserError, match=r"openvino does not take the ONNX model: .*Conversion is failed"):
        errors(case)
    runtime = new_runtime("onnxruntime")
    call = build_call(case, placed(case, build_case(case)), runtime)
    assert outputs.check(replace(case, runtime="onnxruntime"), call)["output_error"] <= 1e-4


class Several(nn.Module):
    """Takes two tensors, one of them in a list, and a number; returns tensors among other things."""

    def forward(self, x: Tensor, others: list[Tensor], scale: int = 1) -> dict[str, Any]:
        y = others[0] * scale
        return {
            "none": None,
            "out": x + y.mean((1, 2))[:, :, None, None],
            "more": [(y > 0).sum((1, 2)), "word"],
        }


def test_inputs_and_outputs_are_those_of_the_module() -> None:
    interface = Interface("x: N C H W; others: [N H W C]; scale=W")
    module, generator = Several(), torch.Generator().manual_seed(0)
    given = interface.given(module, (1, 8, 6, 5), lambda shape, _: torch.randn(shape, generator=generator))
    expected = module(*given.args, **given.kwargs)
    first: Any = None
    for name in EXPORTED:
        runtime = alike(name, first)
        runtime.prepare(module, given, 1)
        first = first or runtime
        found, again = runtime.run(given), runtime.run(given.replaced(lambda x: x + 1))
        assert list(found) == list(expected)
        assert found["none"] is None
        torch.testing.assert_close(found["out"], expected["out"])
        assert torch.equal(found["more"][0], expected["more"][0])
        assert found["more"][1] == "word"
        assert not torch.allclose(found["out"], again["out"]), "a call's output is its own"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.adaptive_avg_pool2d(self.conv(x).relu().flatten(2).unflatten(2, (6, 5)), (4, 4))
        return nn.functional.interpolate(y, (6, 5))


@pytest.mark.slow
def test_what_was_decomposed_or_ran_in_another_dtype_is_listed() -> None:
    built = calls(SMALL, Block().eval())
    for runtime, _ in built.values():
        found = runtime.compilation()
        assert found.seconds > 0
        assert (found.times, found.graph_breaks, found.elsewhere) == (1, {}, {})
    assert built["onnxruntime"][0].compilation().decomposed == {"adaptive_avg_pool2d": 1}
    runtime = new_runtime("onnxruntime")
    call = build_call(replace(SMALL, dtype="bfloat16"), Block().eval(), runtime)
    elsewhere = runtime.compilation().elsewhere
    assert elsewhere["Conv in float32"] == 1
    assert not any(name.startswith(("Cast", "Reshape")) for name in elsewhere)
    assert call().dtype == torch.bfloat16
    assert next(call.module.parameters()).dtype == torch.bfloat16, "the module stays as it was"


def test_threads_are_those_that_were_asked_for_as_read_back() -> None:
    module, x = nn.ReLU(), torch.randn(1, 8, 6, 5)
    given, first = Given((x,), {}, (x,)), None
    for name in EXPORTED:
        took = []
        for number in (1, 2):
            runtime = alike(name, first)
            runtime.prepare(module, given, number)
            first = first or runtime
            took.append(runtime.threads()[name])
        assert took[0] == 1
        assert took[1] in (1, 2), "OpenVINO takes no more than there are cores"
        assert name in runtime.versions()


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


@pytest.mark.slow
def test_what_cannot_be_exported_or_loaded_says_why_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^torch cannot export it to ONNX: .* returns complex numbers"):
        build_call(SMALL, Spectrum().eval(), new_runtime("onnxruntime"))
    with pytest.raises(UserError, match=r"^torch cannot export it to ONNX: [^\n]+$"):
        build_call(SMALL, Branches().eval(), new_runtime("onnxruntime"))
    with pytest.raises(
        UserError, match=r"^onnxruntime does not take the ONNX model: .*implementation for Conv"
    ):
        build_call(replace(SMALL, dtype="float64"), nn.Conv2d(8, 8, 1).eval(), new_runtime("onnxruntime"))


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x)


class Large(nn.Module):
    """Holds a map of (H·W)² values, 16 MiB, while it runs, and returns a small one."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2)  # (N, C, H·W)
        return (rows.mT @ rows).softmax(-1).sum(-1)  # (N, H·W)


@pytest.mark.slow
def test_the_growth_of_the_process_holds_what_a_runtime_keeps() -> None:
    for runtime, call in calls(Case("block", 4, 64, 32, threads=1), Large().eval()).values():
        for _ in range(3):
            call()
        fields, reasons = memory.measure(call, "cpu", runtime)
        assert fields.keys() == {"process_bytes"}
        assert 16 * 2**20 <= fields["process_bytes"] <= 80 * 2**20
        assert "torch's allocator" in reasons["alloc_bytes"]


class Tokens(nn.Module):
    """Attention over three axes and over five, with the masks that there are."""

    def forward(self, x: Tensor) -> Tensor:
        t = x.flatten(2).mT  # (N, H·W, C)
        attend = nn.functional.scaled_dot_product_attention
        lower = torch.ones(30, 30, dtype=torch.bool).tril()
        u = t[None, :, None]  # (1, N, 1, H·W, C)
        return attend(t, t, t, is_causal=True) + attend(u, u, u, attn_mask=lower)[0, :, 0] + attend(t, t, t)


@pytest.mark.slow
def test_attention_over_other_than_four_axes_is_exported() -> None:
    for name, (_, call) in calls(SMALL, Tokens()).items():
        assert 0 < outputs.check(replace(SMALL, runtime=name), call)["output_error"] <= 1e-4
