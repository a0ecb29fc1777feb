"""Cells as jobs of a SLURM cluster, submitted by submitit. Imports no torch.

A job writes what it found into the folder ``jobs`` of its grid, which every node must see, whether or not
anybody waits for it. Beside that lie submitit's own files, what the job printed among them, and

``submitted.jsonl``
    The job of each cell, a line each, so that whoever goes on with the grid waits for those that run.

What SLURM itself reads from the environment, such as SBATCH_ACCOUNT or SBATCH_TIMELIMIT, stands over what is
asked of it here.
"""

import json
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, redirect_stderr
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.files import append, opened_to_append, write_text, writing
from ctxbench.measure.records import drop_truncated_line, read_lines, to_line
from ctxbench.measure.worker import answer, server_of
from ctxbench.study.cells import JOBS, LOST, Cell, Outcome, Tell
from ctxbench.typed import read_json

SUBMITTED = "submitted.jsonl"
POLL_S = 2.0
GRACE_S = 20.0
"""What a file gets to come from a node to here, once its job has ended."""
AT_ONCE = 256
"""Jobs, where no number is given."""


def submitter() -> Any:
    """Submitit's class that submits to SLURM. Raises UserError where either is not there."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise UserError("jobs are submitted by submitit: pip install 'ctxbench[slurm]'") from error
    if SlurmExecutor.affinity() < 0:
        raise UserError("this machine submits no SLURM jobs (no srun on its PATH): run this where one does")
    return SlurmExecutor


@dataclass(frozen=True)
class Slurm:
    """A job for each cell, in a partition; ``jobs`` of them at once, by default as many as SLURM lets run."""

    partition: str | None = None
    jobs: int | None = None

    def __post_init__(self) -> None:
        submitter()

    def outcomes(
        self, cells: Sequence[Cell], served: str, folder: Path, tell: Tell
    ) -> Generator[Outcome, None, None]:
        """Train cells, those in jobs of an earlier time there. Where this ends early, the jobs go on.

        A cell whose job has ended and left nothing is lost. Raises UserError where SLURM takes no job.
        """
        if not cells:
            return
        place = folder.absolute() / JOBS
        with writing(place):
            place.mkdir(exist_ok=True)
        jobs = _running(place, cells)
        jobs |= self._submitted(place, [cell for cell in cells if cell.key not in jobs], served)
        ended: dict[str, float] = {}
        while jobs:
            tell({key: 0.0 for key, job in jobs.items() if job.state == "RUNNING"})
            over = [key for key, job in jobs.items() if job.done()]
            for key in [key for key in jobs if _file(place, key).exists()]:
                del jobs[key]
                yield read_json(_file(place, key), Outcome)
            now = time.monotonic()
            for key in over:
                if key in jobs and now - ended.setdefault(key, now) >= GRACE_S:
                    yield _lost(key, jobs.pop(key))
            if jobs:
                time.sleep(POLL_S)

    def _submitted(self, place: Path, cells: Sequence[Cell], served: str) -> dict[str, Any]:
        """New jobs by key."""
        if not cells:
            return {}
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        needs = cells[0].needs
        executor = submitter()(place)
        executor.update_parameters(
            job_name="ctxbench",
            partition=self.partition,
            time=needs.minutes,
            cpus_per_task=needs.cores,
            array_parallelism=self.jobs or AT_ONCE,
            **({"gpus_per_node": needs.gpus} if needs.gpus else {}),
        )
        for cell in cells:
            _file(place, cell.key).unlink(missing_ok=True)  # of one that failed before, and is tried again
        try:
            with redirect_stderr(StringIO()):  # submitit prints what it raises
                made = executor.submit_array([Job(cell, served, _file(place, cell.key)) for cell in cells])
        except (FailedJobError, FailedSubmissionError) as error:
            raise UserError(f"SLURM takes no job: {' '.join(str(error).split())}") from error
        jobs = {cell.key: job for cell, job in zip(cells, made, strict=True)}
        with closing(opened_to_append(place / SUBMITTED)) as file:
            drop_truncated_line(file)
            append(file, b"".join(to_line({"key": key, "job": job.job_id}) for key, job in jobs.items()))
        return jobs


class Job:
    """What a job does: it trains a cell, and writes its outcome to a file."""

    def __init__(self, cell: Cell, served: str, file: Path) -> None:
        self._cell, self._served, self._file = cell, served, file
        self._is_requeued = False

    def __call__(self) -> None:
        """Train. A job that SLURM takes the node from leaves no outcome, and is begun anew."""
        status, value = answer(lambda: server_of(self._served, self._cell)(self._cell).train())
        if self._is_requeued:  # what came out of the training was submitit's way to end it
            sys.exit(1)
        key, reason = self._cell.key, str(value)
        found = {"found": value} if status == "ok" else {"status": status, "reason": reason}
        if status == "refused":
            found["status"] = "error"
        write_text(self._file, json.dumps(asdict(Outcome(key, **found))) + "\n")

    def checkpoint(self) -> Any:
        """What submitit puts back into the queue when time is up or the node is wanted: the same job."""
        from submitit.helpers import DelayedSubmission

        self._is_requeued = True
        return DelayedSubmission(Job(self._cell, self._served, self._file))


def _running(place: Path, cells: Sequence[Cell]) -> dict[str, Any]:
    """The jobs of an earlier time that wait or run, by key."""
    path = place / SUBMITTED
    ids = {line["key"]: line["job"] for line in (read_lines(path)[0] if path.exists() else [])}
    known = {cell.key: submitter().job_class(place, ids[cell.key]) for cell in cells if cell.key in ids}
    return {key: job for key, job in known.items() if not job.done(force_check=True)}


def _file(place: Path, key: str) -> Path:
    """Where a cell's job writes what it found."""
    return place / f"{key}.json"


def _lost(key: str, job: Any) -> Outcome:
    return Outcome(
        key, LOST, f"job {job.job_id} ended without a result ({job.state}); see {job.paths.stderr}"
    )
