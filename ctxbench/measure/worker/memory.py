"""Device memory of one call, measured above what stands before it.

What stands before is parameters, buffers, input and, in training, the upstream gradient; the peak counts
everything the call allocates beyond: intermediates, the output, activations kept for the backward pass and
gradients. The call has run before, so workspaces that libraries keep for good (cuBLAS) are not counted.
"""

import ctypes
import gc
import os
from pathlib import Path

import torch
from torch.autograd.profiler import profile

from ctxbench.measure.runtimes import Runtime
from ctxbench.measure.worker.call import MeasuredCall
from ctxbench.sandbox import host

FIRST_CALLS = 2
"""In which a runtime takes what it keeps: ONNX Runtime plans its arena in the first one."""
Measured = tuple[dict[str, int], dict[str, str]]
"""Fields of a record in bytes, and reasons for those that were not measured."""


def measure(call: MeasuredCall, device: str, runtime: Runtime | None = None) -> Measured:
    """Measure the call's allocator peak, reserved memory and growth of the process.

    Of a ``runtime`` with memory of its own, torch's allocator says nothing. It takes it in its first calls
    and keeps it, so what counts is what they, and not a later one, make the process grow by.
    """
    call.clear()
    gc.collect()
    if runtime is not None and not runtime.has_torch_memory:
        unseen = "the runtime takes its memory elsewhere than from torch's allocator"
        runtime.restart()
        grown = _resident_growth(call, FIRST_CALLS)
        return _with_growth({}, {"alloc_bytes": unseen, "reserved_bytes": unseen}, grown)
    return _cuda(call, device) if device.startswith("cuda") else _cpu(call)


def available_bytes(device: str) -> int:
    """Memory that can still be had on ``device``; on the CPU also within the limit of the container."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return host.available_bytes()


def _cuda(call: MeasuredCall, device: str) -> Measured:
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before, (free, _) = torch.cuda.memory_allocated(device), torch.cuda.mem_get_info(device)
    call()
    torch.cuda.synchronize(device)
    return {
        "alloc_bytes": torch.cuda.max_memory_allocated(device) - before,
        "reserved_bytes": torch.cuda.max_memory_reserved(device),
        "process_bytes": free - torch.cuda.mem_get_info(device)[0],
    }, {}


def _cpu(call: MeasuredCall) -> Measured:
    fields = {"alloc_bytes": cpu_allocator_peak(call)}
    reasons = {"reserved_bytes": "the CPU allocator hands memory straight back and keeps no reserve"}
    call.clear()
    return _with_growth(fields, reasons, _resident_growth(call))


def _with_growth(fields: dict[str, int], reasons: dict[str, str], grown: int | str) -> Measured:
    if isinstance(grown, str):
        return fields, {**reasons, "process_bytes": grown}
    return {**fields, "process_bytes": grown}, reasons


def cpu_allocator_peak(call: MeasuredCall) -> int:
    """Highest sum of the CPU allocator's own events, which carry the bytes taken (+) or given back (−)."""
    with profile(profile_memory=True) as profiler:
        y = call()
    del y
    live = peak = 0
    for event in profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def _resident_growth(call: MeasuredCall, calls: int = 1) -> int | str:
    """Growth of the resident set's high-water mark over so many calls, or why it cannot be known."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not os.access(reset, os.W_OK):
        return "the system keeps no high-water mark that can be reset (Linux does)"
    _return_free_heap()
    reset.write_text("5")
    before = _kib(status, "VmRSS")
    for _ in range(calls):
        call()
    return max(0, _kib(status, "VmHWM") - before) * 1024


def _return_free_heap() -> None:
    """Hand freed heap back to the system, so that what the call takes is seen as growth (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _kib(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))
