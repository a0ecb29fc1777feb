"""Where the cells of a grid are trained: here, in processes, or as jobs of a SLURM cluster. No torch."""

from typing import Literal, get_args

from ctxbench.errors import UserError
from ctxbench.study.cells import Executor
from ctxbench.study.executors.here import Here

Name = Literal["here", "slurm"]


def executor_of(name: Name = "here", partition: str | None = None, jobs: int | None = None) -> Executor:
    """What trains ``jobs`` cells at once: on this machine, or in a partition of its SLURM cluster.

    Raises UserError where there is no such place.
    """
    if name not in get_args(Name):
        raise UserError(f"no executor {name!r}; one of {', '.join(get_args(Name))}")
    if jobs is not None and jobs < 1:
        raise UserError(f"one cell at least is trained at once, not {jobs}")
    if name == "slurm":
        from ctxbench.study.executors.slurm import Slurm  # submitit need not be there

        return Slurm(partition, jobs)
    if partition is not None:
        raise UserError("a partition is SLURM's: add --executor slurm")
    return Here(jobs)
