"""A table before it is drawn: which columns and rows, every cell's text, and the notes under it.

Terminal, Markdown and LaTeX draw the same grid, so they cannot disagree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ctxbench.measure import stats
from ctxbench.measure.records import Record
from ctxbench.report.columns import (
    COUNTS,
    IDENTITY,
    LATENCY,
    LATENCY_CI,
    MEMORY,
    NOT_COUNTED,
    PAPER,
    TRACED_OTHERWISE,
    counters,
    missed,
    status,
    why_empty,
)
from ctxbench.subject.case import Case
from ctxbench.subject.registry import spec
from ctxbench.table.column import Column, latency, text

EMPTY = "–"
ALWAYS = ("published_gmacs", "gmacs", "gflops")
"""Columns that stand even where every row is empty."""


@dataclass(frozen=True)
class Cell:
    """A cell's text. ``best`` marks the column's significantly best; ``note`` is the number of a footnote."""

    text: str
    best: bool = False
    note: int = 0


@dataclass(frozen=True)
class Heading:
    """A column's heading: ``header`` stands over neighbours that share it, ``part`` and ``unit`` under it."""

    name: str
    header: str
    part: str = ""
    unit: str = ""

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which are set to the right."""
        return bool(self.unit)

    @property
    def line(self) -> str:
        """The heading in one line, ``MACs published (G)``."""
        return " ".join(filter(None, (self.header, self.part, f"({self.unit})" if self.unit else "")))


@dataclass(frozen=True)
class Group:
    """Rows measured under the same conditions; ``label`` names what differs from the other groups."""

    label: str
    rows: list[list[Cell]]


@dataclass
class Grid:
    """A table: its title, headings, groups of rows, footnotes by number, notes for the reader, findings."""

    title: str
    headings: list[Heading]
    groups: list[Group] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def footnote(self, reason: str) -> int:
        """Return the number of a footnote, which is new where no cell gave this reason before."""
        if reason not in self.footnotes:
            self.footnotes.append(reason)
        return self.footnotes.index(reason) + 1


def title(record: Record, records: Sequence[Record] = ()) -> str:
    """Return the module's title; for a class given by its place, the class name.

    Where ``records`` hold two such classes of one name, the file stands before it.
    """
    known = spec(record.case.module)
    if known:
        return known.title
    place, _, name = record.case.module.rpartition(":")
    alike = {r.case.module for r in records if r.case.module.endswith(f":{name}")}
    return name if len(alike) < 2 else f"{place.rpartition('/')[2]}:{name}"


def grid(records: Sequence[Record]) -> Grid:
    """Lay out the main table: a row for each record, grouped by shape and the other conditions."""
    columns = _columns(records)
    table = Grid(caption(records), [_heading(column) for column in columns])
    for label, group in grouped(records):
        best = {column.name: _best(column, group) for column in columns if column.ranked}
        rows = [
            [_cell(table, column, record, best.get(column.name) is record) for column in columns]
            for record in group
        ]
        table.groups.append(Group(label, rows))
    table.notes += _notes(records, columns)
    return table


def machine(record: Record) -> str:
    """Return the name of the GPU or the CPU a record was measured on."""
    return str(record.environment.get("gpu") or record.environment.get("cpu") or "")


def caption(records: Sequence[Record]) -> str:
    """Return the conditions all records share, the machine, and the version of torch, in one line."""
    return " · ".join([*common(records), *_machine(records)])


def name(record: Record, records: Sequence[Record]) -> str:
    """Return the module's title, with the form where ``records`` hold the module in several."""
    forms = {r.case.implementation for r in records if r.case.module == record.case.module}
    known = title(record, records)
    return known if len(forms) == 1 else f"{known}, {record.case.implementation}"


def conditions(case: Case) -> tuple[str, ...]:
    """Return what a case was measured under, module and options aside, each condition as text."""
    shape = "×".join(map(str, case.shape))
    compiled = "compiled" if case.compile else "eager"
    return (f"input {shape}", case.dtype, case.layout, case.mode, case.device, compiled)


def family(case: Case) -> tuple[str, ...]:
    """Return what a case was measured under, its size aside."""
    return (f"batch {case.batch}", f"{case.channels} channels", *conditions(case)[1:])


Parts = Callable[[Case], tuple[str, ...]]


def grouped(records: Sequence[Record], parts: Parts = conditions) -> list[tuple[str, list[Record]]]:
    """Group records by conditions, smallest input first; a label names what the groups do not share."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(records, key=lambda r: r.case.shape):
        groups.setdefault(parts(record.case), []).append(record)
    shared = common(records, parts)
    return [(" · ".join(part for part in key if part not in shared), group) for key, group in groups.items()]


def common(records: Sequence[Record], parts: Parts = conditions) -> list[str]:
    """Return the conditions that all records share."""
    every = [parts(record.case) for record in records]
    return [same[0] for same in zip(*every, strict=True) if len(set(same)) == 1]


def _machine(records: Sequence[Record]) -> list[str]:
    versions = dict.fromkeys(f"torch {r.environment['torch']}" for r in records if "torch" in r.environment)
    return [*dict.fromkeys(filter(None, map(machine, records))), *versions]


def _candidates(records: Sequence[Record]) -> list[Column]:
    params, gmacs, gflops, published, backward = COUNTS
    train = [backward] if _has_train(records) else []
    counts = [published, gmacs, *counters(records), *train, gflops, params]
    return [*counts, *MEMORY, LATENCY[0], LATENCY_CI, *PAPER]


def _columns(records: Sequence[Record]) -> list[Column]:
    """Choose the columns; one that is empty in every row gives way to a note, but for the counts."""
    name = text("title", "module", "The module's title.", lambda record: title(record, records))
    kept = [
        column
        for column in _candidates(records)
        if column.name in ALWAYS or any(column.value(r) is not None for r in records)
    ]
    return [name, IDENTITY[1], *kept]


def _heading(column: Column) -> Heading:
    return Heading(column.name, column.header, column.part, column.unit)


def _has_train(records: Sequence[Record]) -> bool:
    return any(r.case.mode == "train" for r in records)


def _cell(table: Grid, column: Column, record: Record, best: bool) -> Cell:
    shown = column.show(record)
    if shown is None:
        return Cell(EMPTY, note=table.footnote(why_empty(record, column))) if column.field else Cell(EMPTY)
    noisy = column.name == "lat_median_ms" and status(record) == "noisy"
    return Cell(f"~{shown}" if noisy else shown, best)


def _best(column: Column, records: Sequence[Record]) -> Record | None:
    """Find the record that is significantly best: alone at the least count, or surely fastest.

    A count that lacks operations is a lower bound: it wins nothing, but may keep another from winning.
    """
    measured = [r for r in records if column.value(r) is not None]
    if len(measured) < 2:
        return None
    first, *others = sorted(measured, key=column.value)
    if column.name != "lat_median_ms":
        incomplete = column.field in ("macs", "flops") and first.unknown_ops
        return first if not incomplete and column.value(first) < column.value(others[0]) else None
    if any(latency(r).rounds < stats.MIN_ROUNDS for r in measured):
        return None
    lows = [stats.ratio(first.rounds_ms, other.rounds_ms)[1] for other in others]
    return first if min(lows) > 1 else None


def _notes(records: Sequence[Record], columns: Sequence[Column]) -> list[str]:
    notes = []
    configs = dict.fromkeys(f"{title(r, records)} ({r.case.config})" for r in records if r.case.config)
    if configs:
        notes.append(f"Configurations: {'; '.join(configs)}.")
    if _has_train(records):
        notes.append(
            "In train mode latency and memory are of forward and backward together, MACs and FLOPs of the "
            "forward pass alone, except in the column MACs backward."
        )
    notes += _absent(records, columns)
    if any(status(r) == "noisy" for r in records):
        notes.append(
            f"~ noisy: the median's 95 % interval is wider than ±{100 * stats.NOISY:.0f} %, or unknown "
            f"(it needs {stats.MIN_ROUNDS} rounds of samples)."
        )
    return notes + _misses(records)


def _absent(records: Sequence[Record], columns: Sequence[Column]) -> list[str]:
    """Say why whole columns are missing, those with the same reasons together."""
    shown = {column.name for column in columns}
    absent: dict[str, list[str]] = {}
    for column in _candidates(records):
        if column.field and column.name not in shown:
            reasons = _by_words(records, partial(why_empty, column=column))
            why = _in_words(reasons) if len(reasons) > 1 else next(iter(reasons))
            absent.setdefault(why, []).append(_heading(column).line)
    return [f"Not measured: {', '.join(headings)} — {why}." for why, headings in absent.items()]


def _misses(records: Sequence[Record]) -> list[str]:
    notes = []
    for counter in counters(records):

        def missing(record: Record, name: str = counter.part) -> str:
            return missed(record.counters.get(name, {}).get("missed", {}))

        if modules := _by_words(records, missing):
            notes.append(
                f"{counter.part}, run on the published form, missed products in {_in_words(modules)}."
            )
    if counters(records):
        notes.append(
            "Element-wise work is in FLOPs alone; `ctxbench explain` names what each counter leaves out."
        )
    if unknown := _by_words(records, lambda r: missed(r.unknown_ops)):
        notes.append(f"{NOT_COUNTED}: {_in_words(unknown)}.")
    if traced := _by_words(records, lambda r: r.note):
        notes.append(f"{TRACED_OTHERWISE}: {_in_words(traced)}.")
    return notes


def _by_words(records: Sequence[Record], words: Callable[[Record], str]) -> dict[str, dict[str, None]]:
    """Return what is said of any record, each with the titles of the modules it is said of."""
    said: dict[str, dict[str, None]] = {}
    for record in records:
        if what := words(record):
            said.setdefault(what, {})[title(record, records)] = None
    return said


def _in_words(said: dict[str, dict[str, None]]) -> str:
    return "; ".join(f"{', '.join(modules)}: {what}" for what, modules in said.items())
