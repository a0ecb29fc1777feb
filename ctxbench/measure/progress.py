"""How far a run has come, and how much is ahead of it. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from ctxbench.measure.folder import Settings
from ctxbench.measure.shards import Shard
from ctxbench.subject import registry, resolve
from ctxbench.subject.case import Case


@dataclass(frozen=True)
class RunProgress:
    """How far a run has come.

    ``activity`` is ``check`` before the folder is there, then ``count``, ``prepare``, ``time`` or ``done``.
    ``note`` is there once, before the first case: how much there is to do.
    """

    fraction: float
    recorded: int
    total: int
    activity: str
    case: Case
    note: str = ""


def ahead(cases: Sequence[Case], settings: Settings, shard: Shard | None = None) -> str:
    """How many cases there are to measure, and what is known of how long that takes: the time for samples.

    ``shard`` is the one that they are of.
    """
    number, most_s = len(cases), len(cases) * settings.budget_s
    most = f"{most_s:.3g} s" if most_s < 120 else f"{most_s / 60:.0f} min"
    compiled = sum(case.runtime != "eager" for case in cases)
    of_whole = f"{shard} ({shard.cases} cases in all): " if shard else ""
    parts = [
        f"{of_whole}{number} case{'s' if number > 1 else ''}, at most {most} of samples; "
        "counting and preparing come on top"
    ]
    if compiled:
        parts.append(f"{compiled} of them compiled first")
    single = dict.fromkeys(c.module for c in cases if c.implementation == registry.SINGLE)
    if single and len({c.implementation for c in cases}) > 2:
        parts.append(f"in the one form that they have: {', '.join(map(resolve.label, single))}")
    return "; ".join(parts)
