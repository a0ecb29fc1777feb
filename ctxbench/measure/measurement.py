"""A case's module, live in the process that measures it. Each method is one step of the measurement."""

import contextlib
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ctxbench.counters import COUNTERS
from ctxbench.counters.describe import describe
from ctxbench.errors import UserError, in_one_line
from ctxbench.measure import latency, memory, nvml
from ctxbench.measure.environment import ceilings, environment
from ctxbench.measure.step import Step, build_step, check_output
from ctxbench.subject import registry, resolve
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.tracing.record import fake_module


class Subject:
    """What a worker does for its parent."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._step: Step
        self._clock: latency.Clock
        self._expected_ms = 0.0

    def survey(self, cases: tuple[Case, ...], counters: tuple[str, ...]) -> dict[str, Any]:
        """Check a run before it starts: its plan's ``environments``, ``ceilings`` and ``sources``.

        Raises UserError where a device or a counter is not there, or a module cannot be built as asked.
        """
        for name in counters:
            if name not in COUNTERS:
                raise UserError(f"unknown counter {name!r}; known: {', '.join(COUNTERS)}")
        environments = {device: environment(device) for device in dict.fromkeys(c.device for c in cases)}
        for case in cases:
            _try_to_build(case)
        kinds = dict.fromkeys((case.device, case.dtype) for case in cases)
        strangers = [name for name in dict.fromkeys(c.module for c in cases) if registry.spec(name) is None]
        return {
            "environments": environments,
            "sources": {name: resolve.source_digest(name) for name in strangers},
            "ceilings": {
                device: {dtype: ceilings(device, dtype) for d, dtype in kinds if d == device}
                for device in environments
            },
        }

    def try_out(self) -> None:
        """Run the module twice among fake tensors.

        Raises UserError where what it returns has the wrong shape, or not always the same. A module that
        fails in another way may yet run on real tensors: its row will tell.
        """
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        try:
            module = fake_module(partial(build_case, self._case), fake).eval()
            with fake, torch.no_grad():
                first, second = (module(torch.empty(self._case.shape)) for _ in range(2))
        except Exception:  # a stranger's module may raise anything at all
            return
        check_output(self._case, second, check_output(self._case, first))

    def describe(self, counters: tuple[str, ...]) -> dict[str, Any]:
        """The static fields of the record."""
        return describe(self._case, counters)

    def available_bytes(self) -> int:
        """Memory that can still be had on the case's device."""
        return memory.available_bytes(self._case.device)

    def prepare(self) -> dict[str, Any]:
        """Build, measure memory and warm up; the fields of the record that this yields."""
        module = build_case(self._case)
        step = build_step(self._case, module)
        measured, reasons = memory.measure(step, self._case.device)
        cuda = self._case.device.startswith("cuda")
        self._step = step
        self._clock = latency.CudaClock(self._case.device) if cuda else latency.CpuClock()
        times = latency.warm_up(self._clock, step)
        self._expected_ms = times[-1]
        return {
            **measured,
            "params": sum(p.numel() for p in module.parameters()),
            "warmup": len(times),
            "cache": self._clock.cache,
            "reasons": {**reasons, **self._throttle_reason()},
        }

    def sample(self, budget_s: float) -> tuple[list[float], bool]:
        """One round of samples in ms, and whether the device was throttled at its end."""
        times = latency.sample(self._clock, self._step, budget_s, self._expected_ms)
        with contextlib.suppress(nvml.NvmlError):  # prepare has put the reason into the record
            return times, self._clock.is_throttled()
        return times, False

    def _throttle_reason(self) -> dict[str, str]:
        try:
            self._clock.is_throttled()
        except nvml.NvmlError as error:
            return {"throttled": str(error)}
        return {}


def _try_to_build(case: Case) -> None:
    """Build a case's module on meta, where weights cost nothing.

    Raises UserError naming module and input. What merely cannot be built on meta shows in the case's own row.
    """
    try:
        with torch.device("meta"):
            build_case(case)
    except (NotImplementedError, RuntimeError):
        return
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything at all
        whose = "" if isinstance(error, UserError) else f"{case.module}: "
        shape = "x".join(map(str, case.shape))
        raise UserError(f"{whose}{in_one_line(error)} (input {shape})") from error
