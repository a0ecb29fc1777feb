"""Runs compared, with each other or within themselves: every pair judged, all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.report.comparison.axis import MODULE, RUN, Axis, axis_of
from ctxbench.report.comparison.difference import THRESHOLD, Difference, difference, obstacle
from ctxbench.report.comparison.pairs import Pair, pairs
from ctxbench.report.comparison.sheet import Comparison
from ctxbench.report.several import Source, environment_differences, read_runs


def compare_runs(
    *folders: Path | str, by: str | None = None, baseline: Any = None, threshold: float | None = None
) -> Comparison:
    """Compare latencies case by case: of several runs with the first, or along the axis ``by`` within runs.

    ``baseline`` is the value of the axis that all others are held against, by default the first that there
    is; alone it is a module. ``threshold`` is a share: 0.05 is 5 %, the default. Raises UserError where a
    folder holds no run or is damaged, the threshold is negative, or there is no such axis, value or pair of
    values.
    """
    if threshold is not None and not threshold >= 0:  # nor NaN
        raise UserError(f"the threshold must be 0 or more, not {threshold:g}")
    if not folders:
        raise UserError("name the folder of a run, or of several")
    if by is None and baseline is not None:
        by = MODULE
    if by is None and len(folders) == 1:
        raise UserError(
            "one run is compared within itself: say along what, such as --by runtime or --baseline nonlocal, "
            "or name another run beside it"
        )
    sources = read_runs(folders)
    records = [record for source in sources for record in source.run.records]
    axis = Axis(RUN, records) if by is None else axis_of(by, records)
    if by is None:
        over: Any = sources[0].letter
    else:
        over = axis.values[0] if baseline is None else axis.chosen(baseline)
    found, alone = pairs(axis, over)
    if by is None:  # a run may hold nothing
        alone = {source.letter: alone.get(source.letter, []) for source in sources}
    between_runs = _between_runs(sources)
    limit = THRESHOLD if threshold is None else threshold
    return Comparison(
        axis=axis,
        baseline=axis.word(over),
        threshold=limit,
        is_held_to=by is None or threshold is not None,
        between_runs=between_runs,
        differences=_judged(axis, found, limit, between_runs),
        alone=alone,
        sources=sources,
        environment=environment_differences(sources),
    )


def _judged(
    axis: Axis, found: Sequence[Pair], threshold: float, between_runs: dict[str, float]
) -> list[Difference]:
    """Every pair's difference, their intervals holding together."""
    comparisons = sum(obstacle(pair.a, pair.b) is None for pair in found)
    judged = []
    for pair in found:
        devices = (pair.a.case.device, pair.b.case.device)
        one = difference(
            pair.a,
            pair.b,
            threshold,
            max(between_runs.get(device, 0.0) for device in devices),
            comparisons=comparisons,
            called=(axis.word(axis.value(pair.a)), axis.word(axis.value(pair.b))),
        )
        judged.append(replace(one, reason="; ".join(filter(None, (one.reason, pair.but)))))
    return judged


def _between_runs(sources: Sequence[Source]) -> dict[str, float]:
    """The largest where several runs know one."""
    known = [item for source in sources for item in source.run.plan.between_runs.items()]
    return {device: max(value for of, value in known if of == device) for device, _ in known}
