"""Run a study: features, costs, heads; and hold each block against no context and a baseline. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.errors import UserError
from ctxbench.files import write_text
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.process import CaseFailedError, WorkerProcess
from ctxbench.study.accuracy.compare import Scored
from ctxbench.study.accuracy.counts import unpacked
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.accuracy.rows import Row, Studied, compared
from ctxbench.study.cells import (
    Executor,
    Needs,
    Outcome,
    Progress,
    Show,
    begin,
    check,
    cost,
    read_outcomes,
    read_plan,
    run_cells,
    why_empty,
)
from ctxbench.study.context import called
from ctxbench.study.costs import named_records
from ctxbench.study.executors.here import HERE
from ctxbench.study.frozen.spec import Source, StudyPlan
from ctxbench.train import loggers
from ctxbench.typed import read_json

FEATURES = "features.json"
"""What is known of the features, in a study's folder."""
CELL, STORE = "ctxbench.study.frozen.cell:Trainer", "ctxbench.study.frozen.store:Maker"


def study(plan: StudyPlan, folder: Path, executor: Executor = HERE, show: Show | None = None) -> Studied:
    """Compute the features, measure the costs, and train every head, in a folder that holds no run.

    Raises UserError before anything is trained where a block cannot be built, the data set or the weights
    cannot be read, or a folder not be written.
    """
    costs = check(plan.cases, folder, PLAN, plan.command, show)
    about = features(plan.source, show)
    begin(folder, PLAN, plan)
    write_text(folder / FEATURES, json.dumps(about, indent=1) + "\n")
    return _run(plan, about, folder, executor, show, costs)


def resume(folder: Path, executor: Executor = HERE, show: Show | None = None) -> Studied:
    """Go on with a study; where nothing is missing, no data are asked for.

    Raises UserError where the folder holds none, is damaged or in use, or its data are other ones by now.
    """
    plan, kept = begun(folder)
    loggers.check(plan.log)
    ended, path = read_outcomes(folder), folder / FEATURES
    if kept and all(cell.key in ended for cell in plan.cells(folder)):
        return _run(plan, kept, folder, executor, show)
    about = features(plan.source, show)
    if kept and Path(kept["folder"]).name != Path(about["folder"]).name:
        raise UserError(
            f"{folder} was begun with other images, masks or weights: restore them, or begin anew"
        )
    write_text(path, json.dumps(about, indent=1) + "\n")
    return _run(plan, about, folder, executor, show)


def begun(folder: Path) -> tuple[StudyPlan, Mapping[str, Any]]:
    """The plan of a study, and what is known of its features; nothing before they are computed.

    Raises UserError where the folder holds none, or a damaged one.
    """
    plan, path = read_plan(folder, PLAN, StudyPlan), folder / FEATURES
    plan = replace(plan, cases=tuple(case.with_tuples() for case in plan.cases))
    return plan, read_json(path, dict[str, Any]) if path.is_file() else {}


def read(folder: Path, run: Run) -> Studied | None:
    """A study as far as it has come, beside the ``run`` of its costs; None before features are computed.

    Raises UserError for a damaged one.
    """
    plan, about = begun(folder)
    return Studied(plan, about, tuple(rows(plan, read_outcomes(folder), run))) if about else None


def _run(
    plan: StudyPlan,
    about: Mapping[str, Any],
    folder: Path,
    executor: Executor,
    show: Show | None,
    costs: Plan | None = None,
) -> Studied:
    run = cost(plan.cases, folder, plan.command, show, costs)
    outcomes = run_cells(plan.cells(Path(about["folder"])), CELL, folder, executor, show)
    return Studied(plan, about, tuple(rows(plan, outcomes, run)))


def features(source: Source, show: Show | None = None) -> Mapping[str, Any]:
    """Have features computed in a process of their own, unless they are there; what is known of them.

    Raises UserError where they cannot be.
    """
    process = WorkerProcess(source, STORE)
    try:
        process.send(Needs.silence_s, "make")
        while not process.is_ready():
            if show is not None:
                show(Progress(0, 0, (), features=process.share))
            connection.wait(process.handles, min(1.0, process.next_look_s))
        found: Mapping[str, Any] = process.receive()
    except CaseFailedError as error:
        raise UserError(f"no features of {source.about}: {error}") from error
    finally:
        process.close()
    return found


def rows(plan: StudyPlan, outcomes: Mapping[str, Outcome], run: Run) -> list[Row]:
    """What was found, block by block, no context first."""
    known = named_records(plan.cases, run)
    found = []
    for case in plan.subjects:
        of_seeds = {seed: outcomes.get(plan.cell(case, seed).key) for seed in plan.seeds}
        ended = {seed: one for seed, one in of_seeds.items() if one is not None and one.status == "ok"}
        reasons = {seed: why_empty(one) for seed, one in of_seeds.items() if seed not in ended}
        counts = [unpacked(one.found["counts"]) for one in ended.values()]
        scored = Scored.of(list(ended), np.stack(counts)) if counts else None
        name, record = known.get(case.id, (called(case.module), None))
        found.append(Row(name, scored, reasons, record=record))
    return compared(found, plan.baseline)
