"""The cells of a grid, each trained in a process of its own: kept as they end, gone on with. No torch.

``probe.json`` or ``study.json``
    The plan. Written whole, before anything is trained.
``cost``
    What the modules cost, a run as ``ctxbench profile`` leaves it.
``cells.jsonl``
    What was found of each cell that has ended, a line each, appended as they end.
``jobs``
    What was found of each cell that was trained as a job elsewhere, a file each, which its job writes.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ctxbench.errors import UserError
from ctxbench.files import append, locked, opened_to_append, write_text, writing
from ctxbench.measure import session
from ctxbench.measure.folder import PLAN, Plan, Run, Settings, check_free
from ctxbench.measure.progress import RunProgress
from ctxbench.measure.records import damaged, drop_truncated_line, read_lines, to_line
from ctxbench.measure.survey import check_unchanged, checked
from ctxbench.subject.case import Case
from ctxbench.typed import converted, read_json

CELLS, COST, JOBS = "cells.jsonl", "cost", "jobs"
LOST = "lost"
"""Status of a cell whose place was lost: it is trained again where the grid is gone on with."""
COST_SETTINGS = Settings(budget_s=1.0, counters=())
"""How the modules' costs are measured."""


@dataclass(frozen=True)
class Needs:
    """What the process of a cell needs, where that must be said before: minutes at most, cores, GPUs.

    ``silence_s`` is how long it may run without a sign of progress; ``starts_others``, whether it starts
    processes of its own.
    """

    minutes: int = 60
    cores: int = 1
    gpus: int = 0
    silence_s: float = 120.0
    starts_others: bool = False


class Cell(Protocol):
    """What one process trains. Equal keys are equal cells."""

    @property
    def key(self) -> str:
        """Its name in the folder."""

    @property
    def label(self) -> str:
        """What it is called while it is trained."""

    @property
    def threads(self) -> int | None:
        """CPU threads of its process: one sums in one order however many cells are trained at once."""

    @property
    def needs(self) -> Needs:
        """Of its process."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: ``found``, or the ``status`` and the ``reason`` of why nothing was."""

    key: str
    status: str = "ok"
    reason: str = ""
    found: dict[str, Any] = field(default_factory=dict)


def why_empty(outcome: Outcome | None) -> str:
    """Why there is nothing of a cell."""
    if outcome is None:
        return "not trained yet"
    return outcome.reason if outcome.status == "error" else f"{outcome.status}: {outcome.reason}"


@dataclass(frozen=True)
class Progress:
    """How far a grid has come: cells that have ended, of how many, and the labels of those in training.

    ``fraction`` is of the work, by what each cell is expected to take, where that is known.
    """

    ended: int
    total: int
    active: tuple[str, ...]
    cost: RunProgress | None = None
    """While the modules' costs are measured, how far that is."""
    features: float | None = None
    """While features are computed, the share that is done."""
    failed: int = 0
    fraction: float | None = None


Show = Callable[[Progress], None]
Tell = Callable[[Mapping[str, float]], None]
"""Is told of each cell that is being trained, by key, which share of it is done."""


class Executor(Protocol):
    """Where cells are trained."""

    def outcomes(self, cells: Sequence[Cell], served: str, folder: Path, tell: Tell) -> Generator[Outcome]:
        """Train cells of the grid in a folder, see :func:`run_cells`; what became of each, as they end."""


Spec = TypeVar("Spec")
AnyCell = TypeVar("AnyCell", bound=Cell)


def check(
    cases: Sequence[Case], folder: Path, name: str, command: Sequence[str], show: Show | None = None
) -> Plan:
    """What a new grid's costs are measured by; nothing is written.

    Raises UserError where the folder cannot be written or holds a run, or a module cannot be built or called.
    """
    _check_new(folder, name)
    return _cost_plan(cases, command, show)


def _check_new(folder: Path, name: str) -> None:
    check_free(folder)
    if (folder / name).exists():
        raise UserError(f"{folder} already holds one: go on with it by --resume, or choose another --out")


def _cost_plan(cases: Sequence[Case], command: Sequence[str], show: Show | None) -> Plan:
    plan = Plan(tuple({case.id: case for case in cases}.values()), COST_SETTINGS, tuple(command))
    tell = _of_cost(show)
    return checked(plan, lambda case: tell(RunProgress(0.0, 0, len(plan.cases), "check", case)))


def _of_cost(show: Show | None) -> Callable[[RunProgress], None]:
    def tell(state: RunProgress) -> None:
        if show is not None:
            show(Progress(0, 0, (), state))

    return tell


def begin(folder: Path, name: str, spec: Any) -> None:
    """Keep the plan of a new grid. Raises UserError where the folder cannot be written or holds a run."""
    _check_new(folder, name)  # another may have begun there since it was checked
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / name, json.dumps(asdict(spec), indent=1) + "\n")


def read_plan(folder: Path, name: str, spec: type[Spec]) -> Spec:
    """Read the plan of a grid. Raises UserError where the folder holds none that can be read."""
    path = folder / name
    if not path.is_file():
        raise UserError(f"{folder} holds no such run (no {name} in it)")
    return read_json(path, spec)


def read_outcomes(folder: Path) -> dict[str, Outcome]:
    """What has ended so far, by key. Raises UserError naming a line that is damaged."""
    path, outcomes = folder / CELLS, {}
    for number, values in enumerate(read_lines(path)[0] if path.exists() else [], start=1):
        try:
            outcome = converted(values, Outcome)
        except ValueError as error:
            raise damaged(path, number, error) from error
        outcomes[outcome.key] = outcome
    of_jobs = (read_json(path, Outcome) for path in sorted((folder / JOBS).glob("*.json")))
    return {**{outcome.key: outcome for outcome in of_jobs}, **outcomes}


def cost(
    cases: Sequence[Case],
    folder: Path,
    command: Sequence[str],
    show: Show | None = None,
    plan: Plan | None = None,
) -> Run:
    """What modules cost, measured in the folder of a grid as far as it is not yet.

    ``plan`` is that of :func:`check`, where it was just made.
    """
    place, tell = folder / COST, _of_cost(show)
    if (place / PLAN).exists():
        return session.resume_run(place, progress=tell)
    return session.measure_plan(plan or _cost_plan(cases, command, show), place, progress=tell)


def run_cells(
    cells: Sequence[AnyCell], served: str, folder: Path, executor: Executor, show: Show | None = None
) -> dict[str, Outcome]:
    """Train what is missing, wherever the executor does.

    ``served`` is the place of a class that is made of a cell and has a method ``train``. What goes wrong
    with a cell costs that cell alone. Raises UserError where the folder is in use or cannot be written, or a
    module's file is another than when its cost was measured; KeyboardInterrupt leaves what has ended.
    """
    with locked(folder), ExitStack() as opened:
        done = read_outcomes(folder)
        with writing(folder / CELLS):
            file = opened.enter_context(opened_to_append(folder / CELLS))
            drop_truncated_line(file)
        waiting = [cell for cell in cells if cell.key not in done]
        if waiting:
            check_unchanged(Plan.read(folder / COST), folder)
        labels = {cell.key: cell.label for cell in cells}

        def tell(active: Mapping[str, float]) -> None:
            if show is not None:
                show(Progress(len(done), len(cells), tuple(labels[key] for key in active)))

        tell({})
        with closing(executor.outcomes(waiting, served, folder, tell)) as outcomes:
            for outcome in outcomes:
                done[outcome.key] = outcome
                if outcome.status != LOST:
                    append(file, to_line(asdict(outcome)))
        tell({})
    return done
