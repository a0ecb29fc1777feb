"""Where a sheet's numbers come from, in one line: device, precision, versions, dates, and the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.measure.environment import environment
from ctxbench.version import __version__

NOT_RECORDED = "a machine that is not recorded"


def origin(
    device: str, command: Sequence[str], found: Mapping[str, Any] | None = None, when: str = ""
) -> str:
    """Of what was counted or measured in float32: device, versions, date and the command.

    ``found`` is the :func:`~ctxbench.measure.environment.environment` measured in and ``when`` the time in
    ISO 8601; by default this one, now. Raises UserError where there is no such device.
    """
    found = environment(device) if found is None else found
    parts = (_machine(device, found), "float32", *_versions(found), _minute(when), shlex.join(command))
    return " · ".join(parts)


def put_together(command: Sequence[str]) -> str:
    """Of a sheet that measures nothing, but places what others measured: version, date and the command."""
    return f"put together by ctxbench {__version__} · {_minute()} · {shlex.join(command)}"


def trained(runs: Iterable[Sequence[Mapping[str, Any]]], precision: str) -> str:
    """Of trainings: each machine with its versions, the precision, and when the first and the last began.

    Of each run the :attr:`~ctxbench.train.run.TrainedRun.starts` are given.
    """
    runs = list(runs)
    starts = [start for run in runs for start in run]
    machines = [
        f"{_machine('cuda' if 'gpu' in start else 'cpu', start)}, {', '.join(_versions(start))}"
        for start in starts
    ]
    if not all(runs):
        machines.append(NOT_RECORDED)
    times = [_minute(start["began"]) for start in starts if "began" in start]
    ends = " to ".join(dict.fromkeys((min(times), max(times)))) if times else ""
    if len(times) < len(starts):
        ends = f"{ends}, some at a time that is not recorded" if ends else "at a time that is not recorded"
    begun = f"begun {ends}" if ends else ""
    trained_on = f"trained on {' and on '.join(dict.fromkeys(machines))}"
    return " · ".join(filter(None, (trained_on, precision, begun)))


def evaluated(evaluation: Evaluation) -> str:
    """Of an evaluation: device, precision and version of torch; that it is not recorded where it is not."""
    found = evaluation.environment
    if not evaluation.device or not found:
        return NOT_RECORDED
    return f"{_machine(evaluation.device, found)}, {evaluation.precision}, torch {found['torch']}"


def _machine(device: str, found: Mapping[str, Any]) -> str:
    return f"{device} ({found.get('gpu') or found['cpu']})"


def _versions(found: Mapping[str, Any]) -> tuple[str, str]:
    return f"torch {found['torch']}", f"ctxbench {found['ctxbench']}"


def _minute(when: str = "") -> str:
    """A time in ISO 8601, by default now."""
    return (datetime.fromisoformat(when) if when else datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
