"""Count or measure cases that differ along one axis, and fit how each module's cost grows with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ctxbench.measure import session
from ctxbench.measure.folder import Settings, read_run
from ctxbench.measure.progress import RunProgress
from ctxbench.measure.records import Record
from ctxbench.report.growth import axis_of
from ctxbench.report.sweep_sheet import Sweep
from ctxbench.subject.case import Case, validate


def sweep(
    cases: Iterable[Case],
    *,
    latency: bool = False,
    out: Path | None = None,
    settings: Settings | None = None,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Sweep:
    """Count cases that differ along one axis, and fit how each module's cost grows with it.

    ``cases`` are as from ``ctxbench.subject.cases``: ``sweep(cases("nonlocal", sizes=[16, 32, 64]))``. MACs
    and peak memory come from traces, which take no memory and next to no time. ``latency`` measures too: in
    processes of their own, interleaved, kept in the folder ``out`` from which :func:`resume` can go on.

    Raises UserError where the cases do not lie along one axis or are fewer than three for a module, and
    where a module cannot be built or run.
    """
    cases = list({case.id: case for case in cases}.values())
    axis = axis_of(cases)
    if not latency:
        records = []
        for number, case in enumerate(cases):
            if progress is not None:
                progress(RunProgress(number / len(cases), number, len(cases), "count", case))
            records.append(_counted(case))
        return Sweep(axis, tuple(records))
    run = session.measure_cases(cases, settings=settings, out=out, command=command, progress=progress)
    return Sweep(axis, tuple(run.records))


def resume(folder: Path, *, progress: Callable[[RunProgress], None] | None = None) -> Sweep:
    """Go on with an interrupted sweep that measures latency; of a finished run, fit what is there.

    Raises UserError where ``folder`` holds no run, or one whose cases do not lie along one axis.
    """
    axis = axis_of(read_run(folder).plan.cases)
    return Sweep(axis, tuple(session.resume_run(folder, progress=progress).records))


def _counted(case: Case) -> Record:
    from ctxbench.tracing import trace_case, views

    validate(case)
    recorded, on_cpu = trace_case(case), case.device == "cpu"
    return Record(
        case,
        macs=views.macs(recorded),
        peak_pred_bytes=views.peak_bytes(recorded, views.block_of(case.device)),
        peak_pred_note=views.peak_note(recorded) if on_cpu else "",
        unknown_ops=recorded.unknown_ops,
        note=recorded.note,
        reasons={"rounds_ms": "not asked for"},
    )
