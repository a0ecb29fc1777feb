"""What a process's environment sets of CUDA's caching allocator and of cuBLAS's workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

MIB = 2**20
CUBLAS_BYTES = 2 * 4 * MIB + 8 * 16 * 1024
"""What cuBLAS is given before Hopper: ``:4096:2:16:8`` in the words of CUBLAS_WORKSPACE_CONFIG."""
CUBLAS_BYTES_HOPPER = 32 * MIB
"""From compute capability 9 on."""
NO_CACHING = "PYTORCH_NO_CUDA_MEMORY_CACHING"
POWERS_OF_TWO = {str(1 << exponent) for exponent in range(16)}
"""What PyTorch takes as divisions."""
WITHOUT_EFFECT = re.compile(
    r"(pinned_|release_lock_on_|throw_on_|graph_capture_).*|expandable_segments:false$|backend:native$", re.I
)
"""Options that change nothing of what is reserved while there is room."""


class NotSimulatedError(Exception):
    """The environment sets something that is not simulated; the message says what."""


@dataclass(frozen=True)
class Settings:
    """What the allocator and cuBLAS are set to; the defaults are PyTorch's, on a device before Hopper."""

    max_split_bytes: int | None = None
    """Blocks of this size or more are oversize: never split, and kept for oversize requests."""
    roundup_power2_divisions: int = 0
    """Into how many steps requests are rounded up between two powers of two; 0 for no such rounding."""
    cublas_workspace_bytes: int = CUBLAS_BYTES


def settings_of(environment: Mapping[str, str], capability: tuple[int, int] | None) -> Settings:
    """Settings by environment variables, for a device of a compute capability; None for one before Hopper.

    Raises NotSimulatedError for a setting under which the simulation would say something wrong.
    """
    if NO_CACHING in environment:
        raise NotSimulatedError(f"{NO_CACHING} is set: nothing is cached, and reserved memory stays 0")
    hopper = capability is not None and capability >= (9, 0)
    default = CUBLAS_BYTES_HOPPER if hopper else CUBLAS_BYTES
    pairs = re.findall(r":(\d+):(\d+)", environment.get("CUBLAS_WORKSPACE_CONFIG", ""))
    workspace = sum(int(kib) * 1024 * int(count) for kib, count in pairs) if pairs else default
    found: dict[str, int] = {"cublas_workspace_bytes": workspace}
    variable = next((v for v in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF") if v in environment), "")
    # a value in brackets, a list by sizes, has commas of its own
    for option in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", environment.get(variable, "")):
        name, _, value = (part.strip() for part in option.partition(":"))
        if name == "max_split_size_mb" and value.isdecimal():
            found["max_split_bytes"] = int(value) * MIB
        elif name == "roundup_power2_divisions" and value in POWERS_OF_TWO:
            found["roundup_power2_divisions"] = int(value)
        elif not WITHOUT_EFFECT.match(f"{name}:{value}"):
            raise NotSimulatedError(f"{variable} sets {option.strip()}, which is not simulated")
    return Settings(**found)


def settings_here(device: str = "cpu") -> Settings:
    """Read the settings of this process, for ``device`` where that is a CUDA device and there.

    Raises NotSimulatedError as :func:`settings_of` does.
    """
    import torch

    there = device.startswith("cuda") and torch.cuda.is_available()
    return settings_of(os.environ, torch.cuda.get_device_capability(device) if there else None)
