"""Run the probes, and hold what every cell found against what is reached without context. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from ctxbench.data.dataset import IGNORE
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.records import Record
from ctxbench.study.cells import (
    Executor,
    Outcome,
    Show,
    begin,
    check,
    cost,
    read_plan,
    run_cells,
    why_empty,
)
from ctxbench.study.context import NO_CONTEXT, called
from ctxbench.study.costs import named_records
from ctxbench.study.executors.here import HERE
from ctxbench.study.probes.levels import levels
from ctxbench.study.probes.spec import PROBED, TEST, ProbePlan
from ctxbench.study.probes.tasks import TASKS
from ctxbench.study.significance import LEVEL, holm, paired_p
from ctxbench.subject.registry import spec
from ctxbench.subject.resolve import parts

PLAN = "probe.json"
SERVED = "ctxbench.study.probes.cell:Trainer"


@dataclass(frozen=True)
class Setting:
    """A task at the map size it was trained at and the one it was tested at."""

    task: str
    trained: int
    tested: int


@dataclass(frozen=True)
class Score:
    """A block's accuracy in one setting, in percent, by seed; empty for a ``reason``.

    ``p`` is that of its being what a guess without context reaches, over test maps, corrected by Holm for all
    scores of the run.
    """

    by_seed: tuple[float, ...] = ()
    reason: str = ""
    rate: float | None = None
    p: float | None = None
    gain: float | None = None
    """Mean over test maps of the accuracy less the guess's, in points."""

    @property
    def mean(self) -> float | None:
        """Over seeds."""
        return fmean(self.by_seed) if self.by_seed else None

    @property
    def sd(self) -> float | None:
        """Over seeds; None below two."""
        return stdev(self.by_seed) if len(self.by_seed) > 1 else None

    @property
    def is_beyond(self) -> bool:
        """Whether it is beyond what a guess without context reaches."""
        return self.p is not None and self.p < LEVEL and (self.gain or 0) > 0


@dataclass(frozen=True)
class Row:
    """A block with its scores by setting, and the record of its cost; None for no context module."""

    name: str
    family: str
    scores: Mapping[Setting, Score]
    record: Record | None = None


def probe(
    plan: ProbePlan, folder: Path, executor: Executor = HERE, show: Show | None = None
) -> tuple[ProbePlan, list[Row]]:
    """Measure the blocks' costs and train every cell, in a folder that holds no run.

    Raises UserError before anything is trained where a block cannot be built, or the folder not be written.
    """
    costs = check(plan.cases, folder, PLAN, plan.command, show)
    begin(folder, PLAN, plan)
    return _run(plan, folder, executor, show, costs)


def resume(folder: Path, executor: Executor = HERE, show: Show | None = None) -> tuple[ProbePlan, list[Row]]:
    """Go on with a run of probes. Raises UserError where the folder holds none, is damaged or in use."""
    return _run(read(folder), folder, executor, show)


def _run(
    plan: ProbePlan, folder: Path, executor: Executor, show: Show | None, costs: Plan | None = None
) -> tuple[ProbePlan, list[Row]]:
    run = cost(plan.cases, folder, plan.command, show, costs)
    outcomes = run_cells(plan.cells(), SERVED, folder, executor, show)
    return plan, rows(plan, outcomes, run)


def read(folder: Path) -> ProbePlan:
    """The plan of a folder. Raises UserError where it holds none."""
    plan = read_plan(folder, PLAN, ProbePlan)
    return replace(plan, cases=tuple(case.with_tuples() for case in plan.cases))


def settings(plan: ProbePlan) -> list[Setting]:
    """Every setting of a plan: the largest map first, then smaller ones, then what is tested at another."""
    sides = sorted(plan.sides, reverse=True)
    same = [(side, side) for side in sides]
    other = [(trained, tested) for tested in sides for trained in sides if trained < tested]
    return [Setting(task, *pair) for pair in (*same, *other) for task in plan.tasks]


def rows(plan: ProbePlan, outcomes: Mapping[str, Outcome], run: Run) -> list[Row]:
    """What was found, block by block, those of one family together."""
    known = named_records(plan.cases, run)
    found = []
    for case in plan.subjects:
        built_in = None if case.module == NO_CONTEXT else spec(parts(case.module).name)
        scores = {
            setting: _score(setting, outcomes.get(plan.cell(case, setting.task, setting.trained).key))
            for setting in settings(plan)
        }
        family = "" if case.module == NO_CONTEXT else built_in.family if built_in else "own"
        name, record = known.get(case.id, (called(case.module), None))
        found.append(Row(name, family, scores, record))
    return _corrected(sorted(found, key=lambda row: _families(found).index(row.family)))


def _families(found: Sequence[Row]) -> list[str]:
    """The families in the order in which they first appear, the user's own last."""
    families = dict.fromkeys(row.family for row in found)
    return sorted(families, key=lambda family: family == "own")


@cache
def asked(task: str, side: int) -> NDArray[np.int64]:
    """How many labels each test map has; of a map without any, 1."""
    _, labels = TASKS[task].sample(TEST, 0, PROBED[TEST], side)
    counts: NDArray[np.int64] = np.maximum((labels != IGNORE).sum((1, 2)), 1)  # (maps,)
    return counts


def _score(setting: Setting, outcome: Outcome | None) -> Score:
    if outcome is None or outcome.status != "ok":
        return Score(reason=why_empty(outcome))
    side = str(setting.tested)
    if side in outcome.found["reasons"]:
        return Score(reason=outcome.found["reasons"][side])
    by_seed = outcome.found["accuracy_pct"][side]
    of_map = np.array(outcome.found["hits"][side]) / len(by_seed) / asked(setting.task, setting.tested)
    gains = 100 * of_map - levels(setting.task, setting.tested).chance_pct  # (maps,)
    return Score(
        tuple(by_seed), rate=outcome.found["rate"], p=paired_p(gains.tolist()), gain=float(gains.mean())
    )


def _corrected(found: list[Row]) -> list[Row]:
    """The rows with p corrected for the number of all their scores."""
    corrected = iter(holm([score.p for row in found for score in row.scores.values()]))
    return [
        replace(row, scores={s: replace(score, p=next(corrected)) for s, score in row.scores.items()})
        for row in found
    ]
