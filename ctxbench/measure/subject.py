"""A case's module, live in the process that measures it. Each method is one step of the measurement."""

import contextlib
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ctxbench.counters import COUNTERS
from ctxbench.errors import UserError
from ctxbench.measure import latency, memory, nvml
from ctxbench.measure.case import Case
from ctxbench.measure.describe import describe
from ctxbench.measure.environment import ceilings, environment
from ctxbench.measure.step import Step, build_module, build_step, check_outputs
from ctxbench.tracing.record import fake_module


class Subject:
    """What a worker does for its parent."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._step: Step
        self._clock: latency.Clock
        self._expected_ms = 0.0

    def survey(self, cases: tuple[Case, ...], counters: tuple[str, ...]) -> dict[str, Any]:
        """Check a run before it starts and measure its machine: a plan's ``environments`` and ``ceilings``.

        Raises UserError where a device or a counter is not there, or a module does not take its options.
        """
        for name in counters:
            if name not in COUNTERS:
                raise UserError(f"unknown counter {name!r}; known: {', '.join(COUNTERS)}")
        devices = dict.fromkeys(case.device for case in cases)
        for device in devices:
            _require(device)
        for case in cases:
            # Weights on meta cost nothing; what cannot be built there shows in the case's own row.
            with contextlib.suppress(NotImplementedError, RuntimeError), torch.device("meta"):
                build_module(case)
        kinds = dict.fromkeys((case.device, case.dtype) for case in cases)
        return {
            "environments": {device: environment(device) for device in devices},
            "ceilings": {
                device: {dtype: ceilings(device, dtype) for d, dtype in kinds if d == device}
                for device in devices
            },
        }

    def try_out(self) -> None:
        """Run the module twice among fake tensors.

        Raises UserError where what it returns has the wrong shape, or not always the same. A module that
        fails in another way may yet run on real tensors: its row will tell.
        """
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        try:
            module = fake_module(partial(build_module, self._case), fake).eval()
            with fake, torch.no_grad():
                outputs = [module(torch.empty(self._case.shape)) for _ in range(2)]
        except Exception:  # a stranger's module may raise anything at all
            return
        check_outputs(self._case, *outputs)

    def describe(self, counters: tuple[str, ...]) -> dict[str, Any]:
        """The static fields of the record."""
        return describe(self._case, counters)

    def available_bytes(self) -> int:
        """Memory that can still be had on the case's device."""
        return memory.available_bytes(self._case.device)

    def prepare(self) -> dict[str, Any]:
        """Build, measure memory and warm up; the fields of the record that this yields."""
        module = build_module(self._case)
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


def _require(device: str) -> None:
    if not device.startswith("cuda"):
        return
    if not torch.cuda.is_available():
        built = "was built without CUDA" if torch.version.cuda is None else "sees no CUDA device"
        raise UserError(f"no device {device!r}: torch {torch.__version__} {built}; use --device cpu")
    count = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= count:
        raise UserError(f"no device {device!r}: there are {count}, cuda:0 to cuda:{count - 1}")
