"""Memory of this machine that can still be had."""

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Memory that a process here can still take, within the limit of its container where there is one."""
    free = psutil.virtual_memory().available
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if not limit.exists() or (text := limit.read_text().strip()) == "max":
        return free
    stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    reclaimable = int(stat.get("inactive_file", 0))  # page cache, which the kernel gives back
    return min(free, int(text) - int(used.read_text()) + reclaimable)
