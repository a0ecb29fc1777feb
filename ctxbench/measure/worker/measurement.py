"""A case's module, live in the process that measures it. Each method is one request of the parent."""

import contextlib
import gc
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ctxbench.counters import COUNTERS
from ctxbench.counters.describe import describe
from ctxbench.errors import UserError, in_one_line
from ctxbench.files import written_whole
from ctxbench.measure import nvml
from ctxbench.measure.environment import ceilings, environment
from ctxbench.measure.records import Fit
from ctxbench.measure.runtimes import Runtime, new_runtime, refusal
from ctxbench.measure.worker import behaviour, latency, memory, outputs
from ctxbench.measure.worker.call import MeasuredCall, build_call, check_same_shape, placed
from ctxbench.measure.worker.energy import EnergyError, Meter, Spent
from ctxbench.measure.worker.fit import largest_batch
from ctxbench.sandbox.fake import fake_module, fake_tensors, undisturbed
from ctxbench.subject import registry, resolve
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case

TRIES = 3
"""To take a round of samples in which nothing is compiled."""


class Measurement:
    """What a worker does for its parent."""

    def __init__(self, case: Case, progress: Callable[[], None] = lambda: None) -> None:
        """``progress`` is called whenever the module has finished a call."""
        self._case, self._progress = case, progress
        self._call: MeasuredCall
        self._runtime: Runtime
        self._clock: latency.Clock
        self._expected_ms = 0.0
        self._meter: Meter | None = None

    def survey(self, cases: tuple[Case, ...], counters: tuple[str, ...]) -> dict[str, Any]:
        """Look at the machine before a run starts: its plan's ``environments`` and ``ceilings``.

        Runs no user's code. Raises UserError where a device or a counter is not there.
        """
        for name in counters:
            if name not in COUNTERS:
                raise UserError(f"unknown counter {name!r}; known: {', '.join(COUNTERS)}")
        environments = {device: environment(device) for device in dict.fromkeys(c.device for c in cases)}
        kinds = {(case.device, case.ceiling): case for case in cases}
        return {
            "environments": environments,
            "ceilings": {
                device: {
                    name: ceilings(device, case.dtype, case.threads)
                    for (d, name), case in kinds.items()
                    if d == device
                }
                for device in environments
            },
        }

    def admit(self, cases: tuple[Case, ...]) -> dict[str, str]:
        """Try to build each module, and return its plan's ``sources``: of user modules, the file's digest.

        Raises UserError where one cannot be built as asked.
        """
        for case in cases:
            _try_to_build(case)
        users = [name for name in dict.fromkeys(c.module for c in cases) if registry.spec(name) is None]
        return {name: resolve.source_digest(name) for name in users}

    def try_out(self) -> None:
        """Run the module twice among fake tensors.

        Raises UserError where what it returns has not always the same shape. A module that fails in another
        way may yet run on real tensors: its row will tell.
        """
        fake = fake_tensors()
        interface, shape = self._case.interface, self._case.shape
        try:
            with undisturbed():
                module = fake_module(partial(build_case, self._case), fake, shape)
                module.eval()  # which may return None
                with fake, torch.no_grad():
                    given = interface.given(module, shape, lambda sides, _: torch.empty(sides))
                    first, second = (
                        interface.pick(module(*given.args, **given.kwargs)).shape for _ in range(2)
                    )
        except (Exception, SystemExit):  # a user's module may raise anything at all
            return
        check_same_shape(self._case, first, second)

    def largest_batch(self) -> Fit:
        """The largest batch whose predicted peak fits the case's memory."""
        return largest_batch(self._case, self._progress)

    def describe(self, counters: tuple[str, ...]) -> dict[str, Any]:
        """The static fields of the record."""
        return describe(self._case, counters)

    def available_bytes(self) -> int:
        """Memory that can still be had on the case's device."""
        return memory.available_bytes(self._case.device)

    def prepare(self, save_onnx: str = "") -> dict[str, Any]:
        """Build, look at the output, measure memory and warm up; the fields of the record that this yields.

        ``save_onnx`` is a folder that the model goes to, where the runtime has one. Raises UserError where
        the runtime cannot run the case, or gives something else than the module.
        """
        if why := refusal(self._case):
            raise UserError(why)
        module = placed(self._case, build_case(self._case))
        is_eager = self._case.runtime == "eager"
        if not is_eager:
            outputs.open_gates(module)
        before = behaviour.state_of(module)
        runtime = self._runtime = new_runtime(self._case.runtime)
        call = build_call(self._case, module, runtime)
        self._progress()
        if save_onnx:
            _save(runtime, Path(save_onnx), self._case)
        held = {} if is_eager else outputs.check(self._case, call)
        self._progress()
        took = runtime.threads()
        warnings = [
            *held.pop("warnings", []),
            *behaviour.changed(before, module),
            *behaviour.not_finite(call),
            *self._other_threads(took),
        ]
        self._progress()
        measured, reasons = memory.measure(call, self._case.device, runtime)
        self._progress()
        cuda = self._case.device.startswith("cuda")
        self._call = call
        self._clock = latency.CudaClock(self._case.device) if cuda else latency.CpuClock()
        times = latency.warm_up(self._clock, call, self._progress)
        self._expected_ms = times[-1]
        reasons |= self._metered()
        compilation = runtime.compilation()
        gc.collect()
        gc.freeze()  # what compiling leaves behind would be visited before each round, and fill the caches
        return {
            **measured,
            **held,
            "threads": took,
            "compile_s": compilation.seconds,
            "graph_breaks": compilation.graph_breaks,
            "decomposed": compilation.decomposed,
            "elsewhere": compilation.elsewhere,
            "params": sum(p.numel() for p in module.parameters()),
            "warmup": len(times),
            "cache": self._clock.cache,
            "runtime": runtime.versions(),
            "energy_source": self._meter.source if self._meter else "",
            "warnings": warnings,
            "reasons": {**reasons, **held.get("reasons", {}), **self._throttle_reason()},
        }

    def sample(self, budget_s: float) -> tuple[list[float], bool, Spent | None]:
        """One round of samples in ms, whether the device was throttled at its end, and the energy it took.

        A round in which the module was compiled again is taken anew.
        """
        for _ in range(TRIES):
            before = self._runtime.compilation().times
            times = latency.sample(
                self._clock, self._call, budget_s, self._expected_ms, self._progress, self._meter
            )
            self._runtime.rest()
            if self._runtime.compilation().times == before:
                break
        else:
            raise UserError(
                f"compiled again in each of {TRIES} rounds, so that no sample is of the module alone"
            )
        throttled, spent = False, self._meter.last if self._meter else None
        with contextlib.suppress(nvml.NvmlError):  # prepare has put the reason into the record
            throttled = self._clock.is_throttled()
        return times, throttled, spent

    def _metered(self) -> dict[str, str]:
        """Find the counter of the device's energy, or say why there is none."""
        try:
            self._meter = Meter(self._case.device)
        except EnergyError as error:
            return {"spent_mj": str(error)}
        return {}

    def _other_threads(self, took: dict[str, int]) -> list[str]:
        """The libraries that take other threads than the case asks for."""
        asked = self._case.threads
        other = [f"{library} takes {n}" for library, n in took.items() if asked not in (None, n)]
        return [f"asked for {asked} threads, but {', '.join(other)}"] if other else []

    def _throttle_reason(self) -> dict[str, str]:
        try:
            self._clock.is_throttled()
        except nvml.NvmlError as error:
            return {"throttled": str(error)}
        return {}


def _save(runtime: Runtime, folder: Path, case: Case) -> None:
    """Keep the runtime's model, if it has one, under a name that holds what it is of, and the case's id."""
    model = runtime.model()
    if model is None:
        return
    what = (resolve.label(case.module), case.implementation, "x".join(map(str, case.shape)), case.dtype)
    name = re.sub(r"[^\w.-]+", "_", "-".join([*what, case.runtime, case.id]))
    with written_whole(folder / f"{name}.onnx") as new:
        new.write_bytes(model)


def _try_to_build(case: Case) -> None:
    """Build a case's module on meta, where weights cost nothing.

    Raises UserError naming module and input. What merely cannot be built on meta shows in the case's own row.
    """
    try:
        with torch.device("meta"):
            build_case(case)
    except (NotImplementedError, RuntimeError):
        return
    except (Exception, SystemExit) as error:  # a user's module may raise anything at all
        whose = "" if isinstance(error, UserError) else f"{case.module}: "
        shape = "x".join(map(str, case.shape))
        raise UserError(f"{whose}{in_one_line(error)} (input {shape})") from error
