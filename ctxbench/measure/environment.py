"""Where a measurement was taken: the software, the machine, and what it can reach at best."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ctxbench.errors import UserError
from ctxbench.subject.case import check_device
from ctxbench.version import __version__

SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "LD_PRELOAD",
    "MALLOC_ARENA_MAX",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
)
"""Environment variables that change memory or speed; kept where they are set."""
COPY_BYTES = 256 * 2**20
GEMM_SIZES = (512, 1024, 2048, 4096, 8192)


def environment(device: str) -> dict[str, Any]:
    """Describe the software and hardware behind measurements on ``device``; no dates, no momentary state.

    Raises UserError where there is no such device.
    """
    import torch

    check_device(device)
    if device.startswith("cuda"):
        _require_cuda(device)
    values: dict[str, Any] = {
        "ctxbench": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }
    return {**values, **_gpu(device)} if device.startswith("cuda") else values


def fingerprint(env: dict[str, Any]) -> str:
    """Twelve hex digits that are equal exactly when two environments are."""
    return hashlib.sha256(json.dumps(env, sort_keys=True).encode()).hexdigest()[:12]


def ceilings(device: str, dtype: str, threads: int | None = None) -> dict[str, float]:
    """Measure the roofline's two ceilings, the best of several tries each, in about a second.

    ``threads`` are CPU threads, by default as many as torch takes by itself.

    ``gemm_gflops``: 10⁹ floating-point operations a second of a square matrix product in ``dtype``.
    ``copy_gib_s``: GiB (2³⁰ bytes) read and written a second by a copy of 256 MiB.
    """
    import torch

    if threads is not None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return ceilings(device, dtype)
        finally:
            torch.set_num_threads(before)
    kind = getattr(torch, dtype)

    def best_s(call: Callable[[], object]) -> float:
        return min(_seconds(call, device) for _ in range(4))

    rates = []
    for n in GEMM_SIZES:
        a, b, out = (torch.ones(n, n, dtype=kind, device=device) for _ in range(3))
        seconds = best_s(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))  # type: ignore[misc]
        rates.append(2 * n**3 / seconds / 1e9)
        if seconds > 0.015:  # the next size, eight times the work, would take half a second
            break
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    copy_s = best_s(lambda: target.copy_(source))
    return {"gemm_gflops": max(rates), "copy_gib_s": 2 * COPY_BYTES / copy_s / 2**30}


def _seconds(call: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    call()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _require_cuda(device: str) -> None:
    import torch

    if not torch.cuda.is_available():
        built = "was built without CUDA" if torch.version.cuda is None else "sees no CUDA device"
        raise UserError(f"no device {device!r}: torch {torch.__version__} {built}; use --device cpu")
    count = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= count:
        raise UserError(f"no device {device!r}: there are {count}, cuda:0 to cuda:{count - 1}")


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu(device: str) -> dict[str, Any]:
    import torch

    from ctxbench.measure import nvml

    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "gpu_memory_gib": round(properties.total_memory / 2**30, 1),
        "l2_mib": properties.L2_cache_size / 2**20,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        **nvml.facts(device),
    }
