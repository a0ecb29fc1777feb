"""Sizes of this machine's caches, by which libraries choose their algorithms."""

from functools import cache
from pathlib import Path

CPU = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1024, "M": 1024**2}


@cache
def cache_bytes(level: int) -> int:
    """Bytes of data that a core's cache of this level holds; 0 where the system does not tell."""
    for entry in CPU.glob("index*"):
        if (entry / "level").read_text().strip() == str(level) and (
            entry / "type"
        ).read_text().strip() != "Instruction":
            text = (entry / "size").read_text().strip()
            return int(text[:-1]) * UNITS[text[-1]]
    return 0
