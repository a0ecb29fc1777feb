"""What a run of probes is: its blocks, tasks, map sizes and seeds, and how cells are trained. No torch."""

from dataclasses import dataclass, field, replace

from ctxbench.errors import UserError
from ctxbench.measure.folder import now
from ctxbench.study.cells import Needs
from ctxbench.study.context import called, with_baseline
from ctxbench.study.probes.tasks import TASKS as TASKS
from ctxbench.subject.case import Case
from ctxbench.typed import Natural
from ctxbench.version import __version__

CHANNELS = 64
SIDES = (12, 16)
"""Map sizes; a network trained at the smaller one is tested at the larger one too."""
SEEDS, MOST_SEEDS = 3, 100
STEPS = 300
RATES = (0.004, 0.02)
POSITIONS = 4608
"""In a batch: 32 maps of 12×12, 18 of 16×16."""

TRAIN, VALIDATION, TEST = range(3)
"""Streams of maps that share none."""
PROBED = {VALIDATION: 128, TEST: 256}
"""Maps of a stream, the same for every block."""


@dataclass(frozen=True)
class ProbeCell:
    """One block on one task at one map size, from every seed."""

    case: Case
    task: str
    sides: tuple[int, ...]
    """Map sizes it is tested at: its own, and larger ones."""
    seeds: tuple[int, ...]
    steps: int
    rates: tuple[float, ...]
    threads: int | None = 1
    needs = Needs()

    @property
    def batch(self) -> int:
        """Maps in a step."""
        return max(2, POSITIONS // self.case.height**2)

    @property
    def key(self) -> str:
        """Task, side and block."""
        return f"{self.task}-{self.case.height}-{self.case.id}"

    @property
    def label(self) -> str:
        """``nonlocal: own row, 12×12``."""
        return f"{called(self.case.module)}: {TASKS[self.task].title}, {self.case.height}×{self.case.height}"


@dataclass(frozen=True)
class ProbePlan:
    """What is probed. ``cases`` are the blocks at the largest map size."""

    cases: tuple[Case, ...]
    tasks: tuple[str, ...] = tuple(TASKS)
    sides: tuple[int, ...] = SIDES
    seeds: tuple[int, ...] = tuple(range(SEEDS))
    steps: Natural = STEPS
    rates: tuple[float, ...] = RATES
    command: tuple[str, ...] = ()
    version: str = __version__
    created_at: str = field(default_factory=now)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.tasks if name not in TASKS]:
            raise UserError(f"no task {unknown[0]!r}; there are {', '.join(TASKS)}")
        if not self.tasks or not self.seeds:
            raise UserError("a probe takes one task and one seed at least")

    @property
    def subjects(self) -> list[Case]:
        """No context module, and every block, at the largest map size."""
        return with_baseline(self.cases)

    def cell(self, case: Case, task: str, side: int) -> ProbeCell:
        """The cell of a block, a task and a map size."""
        sides = tuple(each for each in self.sides if each >= side)
        return ProbeCell(
            replace(case, height=side, width=side), task, sides, self.seeds, self.steps, self.rates
        )

    def cells(self) -> list[ProbeCell]:
        """Every cell, block by block."""
        return [
            self.cell(case, task, side)
            for case in self.subjects
            for task in self.tasks
            for side in self.sides
        ]
