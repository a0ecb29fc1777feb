"""What must be right before a run begins: its cases and its machine, looked at in other processes.

Imports no torch.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.files import writing
from ctxbench.measure.between_runs import recall
from ctxbench.measure.environment import fingerprint
from ctxbench.measure.folder import Plan
from ctxbench.measure.process import CaseFailedError, WorkerProcess
from ctxbench.measure.records import Fit
from ctxbench.measure.runtimes import EXPORTED, refusal
from ctxbench.subject import registry
from ctxbench.subject.case import Case, validate

SURVEY_TIMEOUT_S = 300.0
"""Of the first process, which waits for torch to be loaded from a disk that may be cold."""


def checked(plan: Plan, progress: Callable[[Case], None] = lambda case: None) -> Plan:
    """The plan with what is known now of machine and files, and with the batches that were to be found.

    ``progress`` is told what is looked at.

    Raises UserError where there are no cases, a case is not valid, none can be run by its runtime, a device
    is not there, no model is made that could be saved, or a module does not take its options or does not
    always return the same shape.
    """
    if not plan.cases:
        raise UserError("there is nothing to measure: give at least one module and one size")
    for case in plan.cases:
        validate(case)
    if all(refusals := [refusal(case) for case in plan.cases]):
        raise UserError(refusals[0])
    if plan.settings.save_onnx:
        if not any(case.runtime in EXPORTED for case in plan.cases):
            raise UserError(f"no ONNX model is made to be saved: add the runtime {' or '.join(EXPORTED)}")
        with writing(Path(plan.settings.save_onnx)):
            Path(plan.settings.save_onnx).mkdir(parents=True, exist_ok=True)
    progress(plan.cases[0])
    plan = _fitted(_survey(plan), progress)
    for case in plan.cases:
        if registry.spec(case.module) is None:
            progress(case)
            _try_out(case, plan.settings.timeout_s)
    return plan


def check_unchanged(plan: Plan, out: Path) -> None:
    """Raise UserError where a run that was begun in ``out`` would go on elsewhere, or with another module."""
    now = _survey(plan)
    here = now.environments
    if edited := [name for name, then in plan.sources.items() if now.sources.get(name, then) != then]:
        raise UserError(f"{edited[0]} has changed since {out} was begun: start a new run")
    for device, then in plan.environments.items():
        if fingerprint(then) != fingerprint(here[device]):
            changed = ", ".join(k for k in then if then[k] != here[device].get(k)) or "its facts"
            raise UserError(f"{out} was begun in another environment ({changed} changed): start a new run")


def _survey(plan: Plan) -> Plan:
    """Check the plan's cases, outside this process, and add what is known now of machine and files."""
    first = replace(plan.cases[0], threads=None)  # the machine is looked at as it is by itself
    try:
        machine = _asked(first, SURVEY_TIMEOUT_S, "survey", plan.cases, plan.settings.counters)
    except CaseFailedError as error:
        raise UserError(f"nothing was measured: {error.reason}") from error
    known = {device: recall(environment) for device, environment in machine["environments"].items()}
    return replace(
        plan,
        between_runs={device: value for device, value in known.items() if value is not None},
        sources=_admit(plan.cases, plan.settings.timeout_s),
        **machine,
    )


def _fitted(plan: Plan, progress: Callable[[Case], None]) -> Plan:
    """The plan with the largest batch that fits where one was asked for, and how it was found.

    It is one for all runtimes, since peaks are predicted of eager execution. Where there is none, the case
    stays as it is, which no other case is equal to.
    """
    found: dict[str, Fit] = {}
    cases: dict[str, Case] = {}
    fits: dict[str, Fit] = {}
    for case in plan.cases:
        if case.fit:
            eager = replace(case, runtime="eager")
            if eager.id not in found:
                progress(case)
                found[eager.id] = _largest_batch(eager, plan.settings.timeout_s)
            fit = found[eager.id]
            if fit.batch is not None:
                case = replace(case, batch=fit.batch, fit="")
            others = fits[case.id].memory if case.id in fits else ()
            fits[case.id] = replace(fit, memory=(*others, *fit.memory))
        cases.setdefault(case.id, case)
    return replace(plan, cases=tuple(cases.values()), fits=fits)


def _largest_batch(case: Case, timeout_s: float) -> Fit:
    """What a process of its own finds; one that dies or hangs costs the case's row."""
    try:
        found: Fit = _asked(case, timeout_s, "largest_batch")
    except CaseFailedError as error:
        return Fit((case.fit,), status=error.status, reason=f"no batch was found: {error.reason}")
    return found


def _admit(cases: tuple[Case, ...], timeout_s: float) -> dict[str, str]:
    """The sources of modules that can be built, all in one process unless one of them ends it.

    Raises UserError where one is refused. One that dies or hangs will say so in its own row.
    """
    try:
        sources: dict[str, str] = _asked(cases[0], timeout_s, "admit", cases)
    except CaseFailedError:
        if len(cases) == 1:
            return {}
        alone = [_admit((case,), timeout_s) for case in cases]
        sources = {name: digest for one in alone for name, digest in one.items()}
    return sources


def _try_out(case: Case, timeout_s: float) -> None:
    """Refuse a user's module whose output changes its shape; one that dies will say so in its own row."""
    with suppress(CaseFailedError):
        _asked(case, timeout_s, "try_out")


def _asked(case: Case, timeout_s: float, method: str, *arguments: object) -> Any:
    """The answer of a process of its own, which ends with it."""
    worker = WorkerProcess(case)
    try:
        worker.send(timeout_s, method, *arguments)
        return worker.receive()
    finally:
        worker.close()
