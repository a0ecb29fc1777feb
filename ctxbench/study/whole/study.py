"""Run a study of whole networks: costs, then a training for each block and seed; and compare them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.measure.folder import Plan, Run
from ctxbench.study.accuracy.compare import Scored
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.accuracy.rows import Row as Scores
from ctxbench.study.accuracy.rows import Studied, compared
from ctxbench.study.cells import Executor, Show, begin, check, cost, read_plan
from ctxbench.study.context import called
from ctxbench.study.costs import named_records
from ctxbench.study.executors.here import HERE
from ctxbench.study.whole import grid
from ctxbench.study.whole.rows import Result, Row
from ctxbench.study.whole.spec import TrainingPlan
from ctxbench.train import loggers
from ctxbench.train.run import TrainedRun

Say = Callable[[str], None]


def study(
    plan: TrainingPlan,
    folder: Path,
    executor: Executor = HERE,
    show: Show | None = None,
    say: Say | None = None,
) -> Studied:
    """Measure the costs, and train every network, in a folder that holds no run.

    Raises UserError before anything is trained where a block cannot be built, the data set or the weights
    cannot be read, or the folder not be written.
    """
    costs = check(plan.cases, folder, PLAN, plan.command, show)
    grid.check(_rows(plan), plan.seeds, folder, executor)
    begin(folder, PLAN, plan)
    return _run(plan, folder, executor, show, say, costs)


def resume(
    folder: Path, executor: Executor = HERE, show: Show | None = None, say: Say | None = None
) -> Studied:
    """Go on with a study; what failed is tried again.

    Raises UserError where the folder holds none, is damaged or in use, or its data cannot be read.
    """
    plan = _plan(folder)
    loggers.check(plan.log)
    return _run(plan, folder, executor, show, say)


def read(folder: Path, run: Run) -> Studied:
    """A study as far as it has come, beside the ``run`` of its costs. Raises UserError for a damaged one."""
    plan = _plan(folder)
    return _studied(plan, grid.results(_rows(plan), plan.seeds, folder), folder, run)


def _plan(folder: Path) -> TrainingPlan:
    plan = read_plan(folder, PLAN, TrainingPlan)
    return replace(plan, cases=tuple(case.with_tuples() for case in plan.cases))


def _run(
    plan: TrainingPlan,
    folder: Path,
    executor: Executor,
    show: Show | None,
    say: Say | None,
    costs: Plan | None = None,
) -> Studied:
    run = cost(plan.cases, folder, plan.command, show, costs)
    results = grid.run_grid(_rows(plan), plan.seeds, folder, executor=executor, progress=show, say=say)
    return _studied(plan, results, folder, run)


def _studied(plan: TrainingPlan, results: Sequence[Result], folder: Path, run: Run) -> Studied:
    known = named_records(plan.cases, run)
    found, about = [], dict[str, Any](classes=(), test="no")
    for case, result in zip(plan.subjects, results, strict=True):
        of_seeds = [TrainedRun(result.row.trial(seed).home(folder)).evaluation for seed in result.miou]
        counts = [_counts(evaluation.confusion) for evaluation in of_seeds]
        scored = Scored.of(list(result.miou), np.stack(counts)) if counts else None
        name, record = known.get(case.id, (called(case.module), None))
        found.append(Scores(name, scored, result.reasons, record=record))
        for evaluation in of_seeds[:1]:
            about = {"classes": evaluation.classes, "test": evaluation.images}
    return Studied(plan, about, tuple(compared(found, plan.baseline)))


def _rows(plan: TrainingPlan) -> list[Row]:
    return [Row(called(case.module), plan.config_of(case)) for case in plan.subjects]


def _counts(confusion: Any) -> Any:
    """A confusion matrix (K, K) as counts of all images, taken as one: (1, 3, K)."""
    return np.stack([np.diag(confusion), confusion.sum(0), confusion.sum(1)])[None]
