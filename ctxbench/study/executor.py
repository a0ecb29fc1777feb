"""Runs of a grid of trainings in processes of their own: started, watched, and why one failed."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ctxbench.files import writing
from ctxbench.study.trial import Trial
from ctxbench.train.launch.engine import device_of

log = logging.getLogger(__name__)
POLL_S = 0.3


@dataclass(frozen=True)
class Progress:
    """How far a grid has come. ``fraction`` is of the work, by the estimate where there is one."""

    fraction: float
    finished: int
    total: int
    """Runs."""
    failed: int
    active: tuple[str, ...]
    """Labels of what is running."""


Show = Callable[[Progress], None]


def jobs_for(trials: Sequence[Trial]) -> int:
    """How many of the runs go on at once: on a CPU one on each core, on a GPU one.

    One thread sums in the same order however many runs there are.
    """
    if any(device_of(trial.config) == "cuda" for trial in trials):
        return 1
    return max(1, min(len(trials), torch.get_num_threads()))


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    jobs: int,
    weights: Mapping[str, float],
    progress: Show | None = None,
) -> dict[str, str]:
    """Do the runs, ``jobs`` at once, those that others start from first; return why, by name, some failed.

    The plan in ``folder`` must have them. ``weights`` are their shares of the work. Where this is
    interrupted, the runs in progress keep a checkpoint first.
    """
    for place in ("runs", "logs"):
        with writing(folder / place):
            (folder / place).mkdir(exist_ok=True)
    queue = _Queue(trials, folder, jobs)
    try:
        while queue.waiting or queue.running:
            queue.start()
            queue.collect()
            if progress is not None:
                progress(queue.progress(weights))
            if queue.running:
                time.sleep(POLL_S)
    finally:
        _stop([process for _, process in queue.running.values()])
    return queue.failed


class _Queue:
    """The runs that wait, those that are being done, by name, and why some failed."""

    def __init__(self, trials: Sequence[Trial], folder: Path, jobs: int) -> None:
        self.trials, self.folder, self.jobs = trials, folder, jobs
        self.waiting = list(trials)
        self.running: dict[str, tuple[Trial, subprocess.Popen[bytes]]] = {}
        self.failed: dict[str, str] = {}

    def start(self) -> None:
        """Start what may be; what waits for a run that failed has failed too."""
        for trial in list(self.waiting):
            if trial.start is not None and trial.start in self.failed:
                self.failed[trial.name] = f"the run it starts from failed: {self.failed[trial.start]}"
                self.waiting.remove(trial)
            elif len(self.running) < self.jobs and trial.start not in self._unfinished():
                self.running[trial.name] = (trial, _started(trial, self.folder))
                self.waiting.remove(trial)

    def _unfinished(self) -> set[str]:
        return {*self.running, *(trial.name for trial in self.waiting)}

    def collect(self) -> None:
        """Take out what has ended."""
        for name, (trial, process) in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[name]
            process.communicate()  # closes the pipe
            if process.returncode:
                self.failed[name] = _why(process.returncode, trial.log(self.folder))
                log.warning("%s: %s", _label(trial), self.failed[name])

    def progress(self, weights: Mapping[str, float]) -> Progress:
        """How far all have come, by their shares of the work."""
        left = sum(weights[trial.name] for trial in self.waiting)
        left += sum(
            weights[name] * (1 - _share(trial, self.folder)) for name, (trial, _) in self.running.items()
        )
        total = sum(weights.values())
        return Progress(
            fraction=1 - left / total if total else 1.0,
            finished=len(self.trials) - len(self.waiting) - len(self.running),
            total=len(self.trials),
            failed=len(self.failed),
            active=tuple(_label(trial) for trial, _ in self.running.values()),
        )


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask processes to end, and wait: a training keeps a checkpoint when its iteration is done.

    A second Ctrl-C, which comes out of the waiting, ends them at once.
    """
    try:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _started(trial: Trial, folder: Path) -> subprocess.Popen[bytes]:
    path = trial.log(folder)
    threads = {"OMP_NUM_THREADS": "1"} if device_of(trial.config) == "cpu" else {}
    with writing(path), path.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "ctxbench.study.trial", str(folder), trial.name, *sys.argv[1:]],
            stdin=subprocess.PIPE,  # its end, when this process dies in whatever way, ends the child
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **threads},
        )


def _why(code: int, output: Path) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + " (as the kernel does when memory runs out)" * (name == "SIGKILL")
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it left with exit code {code}"


def _share(trial: Trial, folder: Path) -> float:
    """How much of a run's training is done, 0 to 1; epochs where it has no number of iterations."""
    path = trial.home(folder) / "train.csv"
    rows = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    if not rows or rows[-1].count(",") < 2:
        return 0.0
    iteration, epoch = rows[-1].split(",")[:2]
    config = trial.config
    return min(1.0, int(iteration) / config.iterations if config.iterations else float(epoch) / config.epochs)


def _label(trial: Trial) -> str:
    return f"{', '.join(trial.labels)}, seed {trial.config.seed}"
