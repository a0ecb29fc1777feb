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
    device: str, command: Sequence[str], facts: Mapping[str, Any] | None = None, when: str = ""
) -> str:
    """The origin of numbers counted or measured in float32: device, versions, date and the command.

    ``facts`` are the :func:`~ctxbench.measure.environment.environment` measured in and ``when`` the time in
    ISO 8601; by default this one, now. Raises UserError where there is no such device.
    """
    facts = environment(device) if facts is None else facts
    parts = (_machine(device, facts), "float32", *_versions(facts), _minute(when), shlex.join(command))
    return " · ".join(parts)


def put_together(command: Sequence[str]) -> str:
    """The origin of a sheet that only places what others measured: version, date and the command."""
    return f"put together by ctxbench {__version__} · {_minute()} · {shlex.join(command)}"


def trained(runs: Iterable[Sequence[Mapping[str, Any]]], precision: str) -> str:
    """The origin of trainings: machines with versions, the precision, when the first and the last began.

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
    """The origin of an evaluation: device, precision, version of torch; or that it is not recorded."""
    facts = evaluation.environment
    if not evaluation.device or not facts:
        return NOT_RECORDED
    return f"{_machine(evaluation.device, facts)}, {evaluation.precision}, torch {facts['torch']}"


def _machine(device: str, facts: Mapping[str, Any]) -> str:
    return f"{device} ({facts.get('gpu') or facts['cpu']})"


def _versions(facts: Mapping[str, Any]) -> tuple[str, str]:
    return f"torch {facts['torch']}", f"ctxbench {facts['ctxbench']}"


def _minute(when: str = "") -> str:
    """A time in ISO 8601, by default now."""
    return (datetime.fromisoformat(when) if when else datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
