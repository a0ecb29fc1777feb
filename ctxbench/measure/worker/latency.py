"""Latency of a call: warm-up until stable, then samples in ms, one round at a time."""

import gc
import statistics
import time
from collections.abc import Callable

import torch

from ctxbench.measure import nvml
from ctxbench.measure.worker.call import MeasuredCall
from ctxbench.measure.worker.energy import Meter

WINDOW = 5
WARMUP_S = 1.0
WARMUP_CALLS = 200
STABLE = 0.03
ROUND_SAMPLES = 100


class CpuClock:
    """Wall-clock time of a call, with the caches as the last call left them."""

    cache = "warm"

    def time_ms(self, call: MeasuredCall) -> float:
        """Time one call; freeing its output is not part of it."""
        call.clear()
        start = time.perf_counter_ns()
        y = call()
        stop = time.perf_counter_ns()
        del y
        return (stop - start) / 1e6

    def is_throttled(self) -> bool:
        """CPUs report no throttling that could be read without privileges."""
        return False


class CudaClock:
    """Time between two events on the device's stream, the L2 cache overwritten before the first."""

    cache = "cold L2"

    def __init__(self, device: str) -> None:
        self._device = device
        if (index := torch.device(device).index) is not None:  # "cuda" is the current one, and has none
            torch.cuda.set_device(index)
        l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
        self._flush = torch.empty(2 * l2_bytes, dtype=torch.uint8, device=device)

    def time_ms(self, call: MeasuredCall) -> float:
        """Time one call; freeing its output is not part of it."""
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        call.clear()
        self._flush.zero_()
        start.record()
        y = call()
        stop.record()
        stop.synchronize()
        del y
        return float(start.elapsed_time(stop))

    def is_throttled(self) -> bool:
        """Whether the device holds its clocks down now. Raises :class:`nvml.NvmlError`."""
        return nvml.is_throttled(self._device)


Clock = CpuClock | CudaClock
Progress = Callable[[], None]
"""Called between calls of the module, after each."""


def _unwatched() -> None:
    """Nobody waits."""


def warm_up(clock: Clock, call: MeasuredCall, progress: Progress = _unwatched) -> list[float]:
    """Call until the medians of two successive windows agree to 3 %, for a second or 200 calls at most."""
    times: list[float] = []
    deadline = time.perf_counter() + WARMUP_S
    while len(times) < WARMUP_CALLS and (len(times) < 2 or time.perf_counter() < deadline):
        times.append(clock.time_ms(call))
        progress()
        if len(times) % WINDOW == 0 and len(times) >= 2 * WINDOW:
            before = statistics.median(times[-2 * WINDOW : -WINDOW])
            if abs(statistics.median(times[-WINDOW:]) / before - 1) <= STABLE:
                break
    return times


def sample(
    clock: Clock,
    call: MeasuredCall,
    budget_s: float,
    expected_ms: float,
    progress: Progress = _unwatched,
    meter: Meter | None = None,
) -> list[float]:
    """Samples of one round, at least one, within ``budget_s`` and 100 samples, without garbage collection.

    Other cases ran since the last round, so a first call is not recorded, unless calls take so long
    (``expected_ms``) that the caches' state at their start does not matter. A ``meter`` counts all calls.
    """
    deadline = time.perf_counter() + budget_s
    gc.collect()
    gc.disable()
    try:
        if meter is not None:
            meter.start()
        is_cold = expected_ms < budget_s * 1000 / 8
        if is_cold:
            clock.time_ms(call)
            progress()
        times = [clock.time_ms(call)]
        while len(times) < ROUND_SAMPLES and time.perf_counter() < deadline:
            progress()
            times.append(clock.time_ms(call))
        if meter is not None:
            meter.stop(len(times) + is_cold)
    finally:
        gc.enable()
    return times
