import gc
import weakref
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.cuda._utils import _get_device_index

from ctxbench.errors import UserError
from ctxbench.measure.worker import latency, memory
from ctxbench.measure.worker.call import MeasuredCall, build_call
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Given

MAP = Case("block", channels=16, height=64, width=64)
MAP_BYTES = MAP.input_bytes


class Probe(nn.Module):
    """Notes the conditions it runs under."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 1)
        self.seen: dict[str, object] = {}

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        self.seen = {
            "dtype": x.dtype,
            "channels_last": x.is_contiguous(memory_format=torch.channels_last),
            "training": self.training,
            "grad": y.requires_grad,
            "x": x.detach().clone(),
        }
        return y


class Two(nn.Module):
    """Holds an intermediate map and the output at once."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp().cos()


class Exp(nn.Module):
    """Saves its output; the backward pass makes one map more, the input's gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp()


def note(calls: list[str]) -> Tensor:
    calls.append("call")
    return torch.zeros(1)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_call_runs_under_the_conditions_of_its_case(mode: Any) -> None:
    case = Case("probe", 16, 4, 6, dtype="float64", layout="channels_last", mode=mode, batch=2)
    probe = Probe()
    call = build_call(case, probe)
    y = call()
    train = mode == "train"
    first = probe.seen
    assert y.shape == (2, 16, 4, 6)
    assert {k: v for k, v in first.items() if k != "x"} == {
        "dtype": torch.float64,
        "channels_last": True,
        "training": train,
        "grad": train,
    }
    assert (call.given.tensors[0].grad is not None) == (probe.conv.weight.grad is not None) == train
    call.clear()
    assert call.given.tensors[0].grad is None
    assert probe.conv.weight.grad is None
    again = Probe()
    build_call(case, again)
    assert torch.equal(again.seen["x"], first["x"])  # type: ignore[arg-type]


class Watch(nn.Module):
    """Notes whether its last output still lives when it is called, and the gradients it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Callable[[], Tensor | None] = lambda: None
        self.held: list[bool] = []
        self.gradients: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.held.append(self.last() is not None)
        y = x.exp()
        self.last = weakref.ref(y)
        if y.requires_grad:
            y.register_hook(lambda gradient: self.gradients.append(gradient.clone()))  # type: ignore[no-untyped-call]
        return y


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_setting_up_never_holds_two_passes_at_once(mode: Any) -> None:
    watch = Watch()
    build_call(Case("watch", 16, 4, 6, mode=mode), watch)
    assert watch.held == [False, False]


def test_the_upstream_gradient_is_seeded_and_laid_out_as_the_output() -> None:
    seen = {}
    for layout in ("contiguous", "channels_last"):
        watch = Watch()
        build_call(Case("watch", 16, 4, 6, mode="train", layout=layout), watch)
        (seen[layout],) = watch.gradients
    assert seen["contiguous"].is_contiguous()
    assert seen["channels_last"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(seen["contiguous"], seen["channels_last"])
    assert seen["contiguous"].std() > 0.5


def test_modules_are_built_alike_every_time(case: Callable[..., Case]) -> None:
    a, b = (build_case(case("Good", options={"gain": 3.0})) for _ in range(2))
    assert a.gain == 3.0
    assert torch.equal(a.conv.weight, b.conv.weight)  # type: ignore[union-attr, arg-type]


def test_a_module_that_returns_no_tensor_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[str, int]:
            return "x", 1

    with pytest.raises(UserError, match="the module returned a tuple of str, int, and no tensor"):
        build_call(MAP, Pair())


@pytest.mark.parametrize(
    ("module", "mode", "maps"), [(Two(), "infer", 2), (Exp(), "infer", 1), (Exp(), "train", 2)]
)
def test_cpu_peak_is_what_the_call_allocates(module: nn.Module, mode: Any, maps: int) -> None:
    case = Case("block", 16, 64, 64, mode=mode)
    fields, reasons = memory.measure(build_call(case, module), "cpu")
    assert fields["alloc_bytes"] == maps * MAP_BYTES
    assert list(reasons) == ["reserved_bytes"]


def test_process_growth_follows_a_large_allocation() -> None:
    case = Case("block", 16, 1024, 1024)
    fields, _ = memory.measure(build_call(case, Two()), "cpu")
    assert fields["alloc_bytes"] == 2 * case.input_bytes
    assert 0.9 < fields["process_bytes"] / fields["alloc_bytes"] < 1.2


def test_cuda_memory_is_taken_above_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([(1000, 2000), (400, 2000)])
    calls: list[str] = []

    def fake(name: str, value: object = None) -> Callable[[object], object]:
        def call(device: object = None) -> object:
            calls.append(name)
            return value

        return call

    for name, value in (
        ("synchronize", None),
        ("empty_cache", None),
        ("reset_peak_memory_stats", None),
        ("memory_allocated", 300),
        ("max_memory_allocated", 750),
        ("max_memory_reserved", 1024),
    ):
        monkeypatch.setattr(torch.cuda, name, fake(name, value))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: next(free))
    call = MeasuredCall(lambda: note(calls), nn.Identity(), Given((), {}, (torch.zeros(1),)))
    assert memory.measure(call, "cuda") == (
        {"alloc_bytes": 450, "reserved_bytes": 1024, "process_bytes": 600},
        {},
    )
    ran = calls.index("call")
    assert {"empty_cache", "reset_peak_memory_stats", "memory_allocated"} <= set(calls[:ran])
    assert calls[ran + 1 :] == ["synchronize", "max_memory_allocated", "max_memory_reserved"]


def test_available_memory_is_part_of_the_machine() -> None:
    assert 0 < memory.available_bytes("cpu") < 2**50


class ScriptedClock(latency.CpuClock):
    """Says times instead of taking them."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times = times
        self.collecting: set[bool] = set()

    def time_ms(self, call: MeasuredCall) -> float:
        self.collecting.add(gc.isenabled())
        return next(self.times)


CALL = MeasuredCall(lambda: torch.zeros(1), nn.Identity(), Given((), {}, (torch.zeros(1),)))


def test_warm_up_ends_when_two_windows_agree() -> None:
    times = latency.warm_up(ScriptedClock(chain([90.0] * 5, [50.0] * 5, [10.0] * 5, repeat(10.1))), CALL)
    assert len(times) == 20


def test_warm_up_that_never_settles_is_bounded() -> None:
    times = latency.warm_up(ScriptedClock(1.1**n for n in range(10**6)), CALL)
    assert len(times) == latency.WARMUP_CALLS


def test_a_round_leaves_out_its_first_call_and_collects_no_garbage() -> None:
    clock = ScriptedClock(chain([99.0], repeat(1.0)))
    times = latency.sample(clock, CALL, budget_s=60.0, expected_ms=1.0)
    assert times == [1.0] * latency.ROUND_SAMPLES
    assert clock.collecting == {False}
    assert gc.isenabled()


def test_a_round_of_long_calls_takes_each_and_at_least_one() -> None:
    assert latency.sample(ScriptedClock(iter([5000.0])), CALL, budget_s=0.0, expected_ms=5000.0) == [5000.0]


def test_the_cpu_clock_measures_a_call() -> None:
    call = build_call(MAP, Two())
    assert latency.CpuClock().time_ms(call) > 0


def test_the_cuda_clock_flushes_l2_before_and_waits_after(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            done.append("record")

        def synchronize(self) -> None:
            done.append("synchronize")

        def elapsed_time(self, stop: "Event") -> float:
            return 1.25

    sizes: list[int] = []

    def empty(size: int, **_: object) -> SimpleNamespace:
        sizes.append(size)
        return SimpleNamespace(zero_=lambda: done.append("flush"))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    chosen: list[int] = []
    # as torch's own, which takes no device without an index
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append(_get_device_index(device)))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(L2_cache_size=50))
    monkeypatch.setattr("ctxbench.measure.worker.latency.torch.empty", empty)
    clock = latency.CudaClock("cuda")
    call = MeasuredCall(lambda: note(done), nn.Identity(), Given((), {}, (torch.zeros(1),)))
    assert clock.time_ms(call) == 1.25
    assert done == ["flush", "record", "call", "record", "synchronize"]
    assert sizes == [100]
    assert chosen == []
    latency.CudaClock("cuda:1")
    assert chosen == [1]
