"""Energy of a round of calls, where the machine counts it: RAPL's packages on a CPU, NVML's total on a GPU.

What is counted is all that the packages or the board took while the round went on: what it takes when idle is
not subtracted, and other processes' work is in it. The counters are read before the first call of a round and
after its last, never between two that are timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ctxbench.measure import nvml

POWERCAP = Path("/sys/class/powercap")
"""Where Linux has RAPL's counters, of Intel's CPUs and of AMD's under the same name."""


class EnergyError(Exception):
    """The energy cannot be counted; the message says why."""


class Spent(NamedTuple):
    """Millijoules of a round, and the calls that it was of."""

    mj: float
    calls: int


class Rapl:
    """The packages' counters of a CPU, in µJ, each of which begins anew from 0 once it is full.

    Raises EnergyError where there are none, or they cannot be read.
    """

    source = "RAPL: all CPU packages, idle power included"

    def __init__(self) -> None:
        zones = sorted(POWERCAP.glob("intel-rapl:*")) if POWERCAP.is_dir() else []
        # A package's own zones, such as its cores, are in it; the platform's would count it again.
        self._packages = [zone for zone in zones if _text(zone / "name").startswith("package")]
        if not self._packages:
            raise EnergyError(f"this machine shows no energy counter of its CPU (RAPL, in {POWERCAP})")
        try:
            self.read()
            self._full = {zone: int(_text(zone / "max_energy_range_uj")) for zone in self._packages}
        except PermissionError:
            raise EnergyError("the system lets only root read the CPU's energy counter (RAPL)") from None
        except (OSError, ValueError) as error:
            raise EnergyError(f"the CPU's energy counter (RAPL) cannot be read: {error}") from error

    def read(self) -> dict[Path, int]:
        """What each package's counter says now."""
        return {zone: int((zone / "energy_uj").read_text()) for zone in self._packages}

    def mj(self, before: Mapping[Path, int], after: Mapping[Path, int]) -> float:
        """Millijoules between two readings that are less than a counter's range apart."""
        return sum((after[zone] - before[zone]) % (self._full[zone] + 1) for zone in before) / 1000


class Nvml:
    """A GPU's counter of energy since its driver was loaded, in mJ (from Volta on).

    Raises EnergyError where it cannot be read.
    """

    source = "NVML: the whole GPU, idle power and flushes of its L2 cache included"

    def __init__(self, device: str) -> None:
        self._device = device
        try:
            self.read()
        except nvml.NvmlError as error:
            raise EnergyError(str(error)) from error

    def read(self) -> int:
        """What the counter says now."""
        return nvml.energy_mj(self._device)

    def mj(self, before: int, after: int) -> float:
        """Millijoules between two readings."""
        return float(after - before)


class Meter:
    """Counts what each round of calls took, by one of the counters.

    Raises EnergyError where the device has none that can be read.
    """

    def __init__(self, device: str) -> None:
        self._counter: Rapl | Nvml = Nvml(device) if device.startswith("cuda") else Rapl()
        self.source = self._counter.source
        self.last: Spent | None = None
        """Of the last round; None where the counter could not be read."""

    def start(self) -> None:
        """A round begins."""
        self._before = self._read()

    def stop(self, calls: int) -> None:
        """A round of so many calls is over."""
        after = self._read()
        known = self._before is not None and after is not None
        self.last = Spent(self._counter.mj(self._before, after), calls) if known else None

    def _read(self) -> Any:
        try:
            return self._counter.read()
        except (OSError, ValueError, nvml.NvmlError):
            return None


def _text(path: Path) -> str:
    """What a file says; nothing where there is none."""
    return path.read_text().strip() if path.is_file() else ""
