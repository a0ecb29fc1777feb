"""Run a study: features, costs, heads; and hold each block against no context and a baseline. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ctxbench.errors import UserError
from ctxbench.files import write_text
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.process import CaseFailedError, WorkerProcess
from ctxbench.measure.records import Record
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
from ctxbench.study.frozen.compare import Difference, Scored, difference
from ctxbench.study.frozen.counts import unpacked
from ctxbench.study.frozen.spec import Source, StudyPlan
from ctxbench.study.significance import holm
from ctxbench.train import loggers
from ctxbench.typed import converted, json_value

PLAN, FEATURES = "study.json", "features.json"
CELL, STORE = "ctxbench.study.frozen.cell:Trainer", "ctxbench.study.frozen.store:Maker"


@dataclass(frozen=True)
class Row:
    """A block: what it scored, how that stands to no context and to the baseline, and its cost's record.

    ``reasons`` are why seeds have no score, by seed.
    """

    name: str
    scored: Scored | None
    reasons: Mapping[int, str]
    to_none: Difference | None = None
    to_baseline: Difference | None = None
    record: Record | None = None

    @property
    def miou(self) -> tuple[float, ...]:
        """In %, by seed."""
        return self.scored.miou if self.scored else ()

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Of pixels, in %, by seed."""
        return self.scored.accuracy if self.scored else ()

    @property
    def reason(self) -> str:
        """Why it lacks scores, in one line."""
        by_reason: dict[str, list[int]] = {}
        for seed, reason in self.reasons.items():
            by_reason.setdefault(reason, []).append(seed)
        return "; ".join(
            f"{reason} (seed {', '.join(map(str, seeds))})" for reason, seeds in by_reason.items()
        )


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean, and the sample's standard deviation; None of too few."""
    return (fmean(values) if values else None, stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Studied:
    """A study as it stands: its plan, what its features are of, and its rows, that of no context first."""

    plan: StudyPlan
    about: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def conditions(self) -> str:
        """The features, and how heads were trained on them, in one line."""
        plan, about = self.plan, self.about
        return (
            f"{plan.source.about} · {about['train']} images to train on, {about['test']} to evaluate · "
            f"{plan.steps} steps of {plan.batch} · n = {len(plan.seeds)} seeds"
        )


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
    if not path.is_file():
        return plan, {}
    try:
        return plan, converted(json_value(path.read_bytes()), dict[str, Any])
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


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
    return _compared(found, plan)


def _compared(found: list[Row], plan: StudyPlan) -> list[Row]:
    """The rows with their differences, p corrected for the number of all that are made."""
    baseline = None if plan.baseline is None else plan.baseline + 1
    differences: dict[tuple[int, bool], Difference] = {}
    for number, row in enumerate(found):
        for other, is_baseline in ((0, False), (baseline, True)):
            if other is None or other == number or (is_baseline and number == 0):
                continue
            ours, theirs = row.scored, found[other].scored
            if ours is not None and theirs is not None and (made := difference(ours, theirs)) is not None:
                differences[number, is_baseline] = made
    corrected = holm([one.p for one in differences.values()])
    for place, p in zip(differences, corrected, strict=True):
        differences[place] = replace(differences[place], p=p)
    return [
        replace(row, to_none=differences.get((number, False)), to_baseline=differences.get((number, True)))
        for number, row in enumerate(found)
    ]
