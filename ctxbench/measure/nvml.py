"""What only NVIDIA's management library knows: driver, clocks, energy. ``nvidia-ml-py`` is optional."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class NvmlError(Exception):
    """The library, its package or the answer is missing; the message says which."""


@contextmanager
def _device(device: str) -> Iterator[tuple[Any, Any]]:
    """Yield pynvml and the handle of a torch device, found by its UUID: NVML ignores CUDA_VISIBLE_DEVICES."""
    try:
        import pynvml
    except ImportError as error:
        raise NvmlError("nvidia-ml-py is not installed") from error
    import torch

    try:
        pynvml.nvmlInit()
        try:
            uuid = torch.cuda.get_device_properties(device).uuid
            yield pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode())
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise NvmlError(f"NVML: {error}") from error


def facts(device: str) -> dict[str, Any]:
    """Driver version and highest clocks in MHz; ``{"nvml": reason}`` where they cannot be had."""
    try:
        with _device(device) as (nvml, handle):
            return {
                "driver": nvml.nvmlSystemGetDriverVersion(),
                "max_sm_clock_mhz": nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
                "max_memory_clock_mhz": nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM),
            }
    except NvmlError as error:
        return {"nvml": str(error)}


def memory(device: str) -> dict[str, int]:
    """Bytes of the device: in all, kept by the driver, and taken by all processes. Raises NvmlError."""
    with _device(device) as (nvml, handle):
        found = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        return {"in all": found.total, "kept by the driver": found.reserved, "taken": found.used}


def energy_mj(device: str) -> int:
    """Millijoules that the whole device took since its driver was loaded. Raises NvmlError."""
    with _device(device) as (nvml, handle):
        return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def is_throttled(device: str) -> bool:
    """Whether heat or power holds the clocks down now. Raises NvmlError where it cannot be known."""
    with _device(device) as (nvml, handle):
        reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        slowing = (
            nvml.nvmlClocksThrottleReasonHwSlowdown
            | nvml.nvmlClocksThrottleReasonSwPowerCap
            | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
        )
        return bool(reasons & slowing)
