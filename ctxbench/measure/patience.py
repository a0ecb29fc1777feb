"""How long an answer is waited for: until the process had its time, or does nothing. Imports no torch.

A clock on the wall would end measurements on a machine that others keep busy. So what counts against a time
limit is the processor time that the process got, and waiting goes on while it gets any.
"""

import time
from dataclasses import dataclass

import psutil

ALIVE_SHARE = 0.01
"""Share of one core below which a process's busiest thread is taken to do nothing. One that stays above it
has had its time after a hundred times the limit at the latest, so waiting always ends."""
LOOKS = 10
"""How often a process is looked at within its limit ..."""
SHORTEST_LOOK_S = 1.0
"""... but seldom enough that the system's clock of processor time, which ticks a hundredfold a second, tells
a process that is starved from one that sleeps."""


@dataclass(frozen=True)
class Usage:
    """Processor time in seconds that a process and its descendants have used."""

    total_s: float
    threads_s: dict[tuple[int, int], float]
    """By process and thread."""
    is_ready: bool
    """Whether it runs now, waits for a processor, or waits for a disk."""


def usage(process: psutil.Process) -> Usage:
    """What a process and its descendants, those that ended included, have used. One that is gone: nothing."""
    total_s, threads_s, is_ready = 0.0, {}, False
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return Usage(0.0, {}, False)
    for member in family:
        try:
            times = member.cpu_times()
            total_s += times.user + times.system + times.children_user + times.children_system
            is_ready |= member.status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
            for thread in member.threads():
                threads_s[member.pid, thread.id] = thread.user_time + thread.system_time
        except psutil.Error:  # it has just ended, or the system does not tell
            continue
    return Usage(total_s, threads_s, is_ready)


class Patience:
    """The wait for one answer of a process: begun when made, begun anew by :meth:`renew`."""

    def __init__(self, pid: int, limit_s: float) -> None:
        self._limit_s = limit_s
        self._cores = psutil.cpu_count() or 1
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:
            self._process = None
        self.renew()

    def renew(self) -> None:
        """Begin anew: the process has told of progress."""
        self._began = self._looked = time.monotonic()
        self._had_s, self._last = 0.0, self._usage()

    @property
    def next_look_s(self) -> float:
        """Seconds until :meth:`is_over` has something new to say."""
        interval = max(SHORTEST_LOOK_S, self._limit_s / LOOKS)
        return max(0.0, self._looked + interval - time.monotonic())

    @property
    def waited_s(self) -> float:
        """Seconds since it was begun, by the clock on the wall."""
        return time.monotonic() - self._began

    def is_over(self) -> bool:
        """Whether the process had its time, or stopped doing anything when that was up."""
        if self.next_look_s > 0:
            return False
        now, window_s = self._usage(), time.monotonic() - self._looked
        got_s = self._got_s(now)
        self._had_s += got_s
        self._last, self._looked = now, time.monotonic()
        if self.waited_s < self._limit_s:
            return False
        does_nothing = got_s < ALIVE_SHARE * window_s and not now.is_ready
        return does_nothing or self._had_s >= self._limit_s

    def _got_s(self, now: Usage) -> float:
        """Processor time of the busiest thread since the last look: what a free machine would have taken.

        Where work moves from thread to thread, or from child to child, between two looks, no one thread
        tells; then it is that of all, over the cores there are. What counts as alive and what counts against
        the limit are this one number, so that a process which stays alive uses its limit up.
        """
        busiest = max(
            (used - self._last.threads_s.get(key, 0.0) for key, used in now.threads_s.items()), default=0.0
        )
        return max(busiest, (now.total_s - self._last.total_s) / self._cores)

    def _usage(self) -> Usage:
        return usage(self._process) if self._process is not None else Usage(0.0, {}, False)
