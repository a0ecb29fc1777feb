"""Several runs read together: what each is called, in what they differ, and which shards are missing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure.folder import Run, read_run
from ctxbench.measure.records import Origin, Record
from ctxbench.table.column import Column

MACHINE = (
    "cpu", "cpu_capability", "cores", "logical_cores", "memory_gib",
    "gpu", "capability", "multiprocessors", "gpu_memory_gib",
)  # fmt: skip
"""The facts of an environment that are the machine's and no software's."""
_RUN: Column[Record] = Column(
    "run", "run", lambda record: record.origin.folder if record.origin else None,
    about="Folder of the run, where several are shown together.", kind="text",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A run that is read beside others, and its folder; ``letter`` is what tables call it."""

    letter: str
    folder: Path
    run: Run

    @property
    def said(self) -> str:
        """The letter with what it stands for: folder, shard, machine and time."""
        plan = self.run.plan
        machines = dict.fromkeys(name for of in plan.environments.values() if (name := machine_of(of)))
        parts = [str(self.folder), *([str(plan.shard)] if plan.shard else []), *machines]
        return f"{self.letter}: {', '.join(parts)}, begun {plan.created_at}"


def read_runs(folders: Iterable[Path | str], read: Callable[[Path], Run] = read_run) -> list[Source]:
    """Read runs, finished or not; the records of several say which of them they are from.

    ``read`` reads one. Raises UserError where a folder holds no run, or a damaged one.
    """
    paths = [Path(folder) for folder in folders]
    runs = [read(path) for path in paths]
    if len(runs) == 1:
        return [Source("A", paths[0], runs[0])]
    return [
        _marked(letter(number), path, run) for number, (path, run) in enumerate(zip(paths, runs, strict=True))
    ]


def check_different(folders: Iterable[Path | str]) -> None:
    """Raises UserError where one folder is given twice."""
    seen: set[Path] = set()
    for path in map(Path, folders):
        if path.resolve() in seen:
            raise UserError(f"the run {path} is given twice")
        seen.add(path.resolve())


def _marked(name: str, path: Path, run: Run) -> Source:
    origin = Origin(name, str(path))
    return Source(name, path, Run(run.plan, [replace(record, origin=origin) for record in run.records]))


def letter(number: int) -> str:
    """What the run of that number, from 0, is called: A to Z, then AA, AB and so on."""
    before, last = divmod(number, len(ascii_uppercase))
    return (letter(before - 1) if before else "") + ascii_uppercase[last]


def machine_of(environment: dict[str, Any]) -> str:
    """The name of its GPU or its CPU."""
    return str(environment.get("gpu") or environment.get("cpu") or "")


def other_machine(a: Record, b: Record) -> dict[str, tuple[Any, Any]]:
    """The facts in which the machines differ that two records of one device were measured on."""
    return {
        name: (a.environment.get(name), b.environment.get(name))
        for name in MACHINE
        if a.environment.get(name) != b.environment.get(name)
    }


def are_apart(records: Sequence[Record]) -> bool:
    """Whether rows must say which run they are from: a case is in two, or there are several machines."""
    if all(record.origin is None for record in records):
        return False
    if len({record.case.id for record in records}) < len(records):
        return True
    firsts = {(record.case.device, record.origin): record for record in records}.values()
    return any(a.case.device == b.case.device and other_machine(a, b) for a, b in combinations(firsts, 2))


def of_runs(records: Iterable[Record]) -> list[Column[Record]]:
    """The column of runs, where several are shown together."""
    return [_RUN] if any(record.origin for record in records) else []


def environment_differences(sources: Sequence[Source]) -> list[str]:
    """A line for each fact that differs on a device: ``cpu: torch 2.12.0 in A and B, 2.13.0 in C``."""
    lines = []
    for device in dict.fromkeys(device for source in sources for device in source.run.plan.environments):
        of = {
            source.letter: source.run.plan.environments[device]
            for source in sources
            if device in source.run.plan.environments
        }
        for key in dict.fromkeys(key for environment in of.values() for key in environment):
            having: dict[str, list[str]] = {}
            for name, environment in of.items():
                having.setdefault(str(environment.get(key)), []).append(name)
            if len(having) > 1:
                values = (f"{value} in {in_words(names)}" for value, names in having.items())
                lines.append(f"{device}: {key} {', '.join(values)}")
    return sorted(lines)


def said_of_runs(sources: Sequence[Source], means: str = "") -> list[str]:
    """Which runs there are, and in what their environments differ, with what that means; nothing of one."""
    if len(sources) == 1:
        return []
    differing = [f"Environments differ{means}: {line}." for line in environment_differences(sources)]
    return [*(f"{source.said}." for source in sources), *differing]


def in_words(names: Sequence[str]) -> str:
    """Names in a sentence: ``A, B and C``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def missing_shards(sources: Iterable[Source]) -> list[str]:
    """What of runs that were measured in shards is not among these, a line for each."""
    there: dict[tuple[str, int], set[int]] = {}
    for source in sources:
        if (shard := source.run.plan.shard) is not None:
            there.setdefault((shard.whole, shard.count), set()).add(shard.number)
    lines = []
    for (_, count), numbers in there.items():
        if gone := [str(number) for number in range(1, count + 1) if number not in numbers]:
            lines.append(f"of {count} shards, {in_words(gone)} {'is' if len(gone) == 1 else 'are'} missing")
    return lines
