"""Cells in processes of this machine. Imports no torch."""

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.measure.process import CaseFailedError, WorkerProcess, first_ready
from ctxbench.study.cells import Cell, Outcome, Tell


@dataclass(frozen=True)
class Here:
    """So many cells at once, each in a process of its own; by default as many as there are cores."""

    jobs: int | None = None

    def outcomes(
        self, cells: Sequence[Cell], served: str, folder: Path, tell: Tell
    ) -> Generator[Outcome, None, None]:
        """Train cells. Where this ends early, what is being trained is asked to end, and waited for."""
        waiting, active = list(cells), dict[str, WorkerProcess]()
        try:
            while waiting or active:
                while waiting and len(active) < (self.jobs or cores()):
                    cell = waiting.pop(0)
                    process = WorkerProcess(cell, served, starts_others=cell.needs.starts_others)
                    active[cell.key] = process
                    process.send(cell.needs.silence_s, "train")
                key = list(active)[first_ready(list(active.values()), partial(_tell, active, tell))]
                outcome = _outcome(key, active[key])
                active.pop(key).close()
                yield outcome
        finally:
            _end(list(active.values()))


HERE = Here()


def _tell(active: Mapping[str, WorkerProcess], tell: Tell) -> None:
    tell({key: process.share for key, process in active.items()})


def _end(processes: Sequence[WorkerProcess]) -> None:
    """Ask processes to end, and wait; a second Ctrl-C, which comes out of the waiting, ends them at once."""
    try:
        for process in processes:
            process.stop()
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.close()


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
