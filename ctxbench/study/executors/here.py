"""Cells in processes of this machine. Imports no torch."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.measure.process import CaseFailedError, WorkerProcess, first_ready
from ctxbench.study.cells import Cell, Outcome, Tell


@dataclass(frozen=True)
class Here:
    """So many cells at once, each in a process of its own; by default as many as there are cores."""

    jobs: int | None = None

    def outcomes(self, cells: Sequence[Cell], served: str, folder: Path, tell: Tell) -> Iterator[Outcome]:
        """Train cells. Where this ends early, what is being trained is asked to end, and waited for."""
        waiting, active = list(cells), dict[str, WorkerProcess]()
        try:
            while waiting or active:
                while waiting and len(active) < (self.jobs or cores()):
                    cell = waiting.pop(0)
                    active[cell.key] = WorkerProcess(cell, served)
                    active[cell.key].send(cell.needs.silence_s, "train")
                tell({key: process.share for key, process in active.items()})
                key = list(active)[first_ready(list(active.values()))]
                outcome = _outcome(key, active[key])
                active.pop(key).close()
                yield outcome
        finally:
            for process in active.values():
                process.close()


HERE = Here()


def _outcome(key: str, process: WorkerProcess) -> Outcome:
    try:
        return Outcome(key, found=process.receive())
    except CaseFailedError as error:
        return Outcome(key, error.status, error.reason)
    except UserError as error:
        return Outcome(key, "error", str(error))


def cores() -> int:
    """The cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
