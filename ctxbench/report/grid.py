"""A table before it is drawn: which columns and rows, every cell's text, and the notes under it.

Terminal, Markdown and LaTeX draw the same grid, so they cannot disagree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ctxbench.measure import stats
from ctxbench.measure.case import Case
from ctxbench.measure.records import Record
from ctxbench.registry import spec
from ctxbench.report.column import Column, latency, text
from ctxbench.report.columns import (
    COUNTS,
    IDENTITY,
    LATENCY,
    LATENCY_CI,
    MEMORY,
    PAPER,
    counters,
    missed,
    status,
    why_empty,
)

EMPTY = "–"


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


def title(record: Record) -> str:
    """Return the module's title; for a class given by its place, the class name."""
    known = spec(record.case.module)
    return known.title if known else record.case.module.rpartition(":")[2]


def grid(records: Sequence[Record]) -> Grid:
    """Lay out the main table: a row for each record, grouped by shape and the other conditions."""
    columns = _columns(records)
    headings = [Heading(c.name, c.header, c.part, c.unit) for c in columns]
    table = Grid(caption(records), headings)
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
    return title(record) if len(forms) == 1 else f"{title(record)}, {record.case.implementation}"


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


def _columns(records: Sequence[Record]) -> list[Column]:
    """Choose the table's columns; those that are empty in every row are named in a note instead."""
    params, gmacs, gflops, published, backward = COUNTS
    name = text("title", "module", "The module's title.", title)
    train = [backward] if any(r.case.mode == "train" for r in records) else []
    counts = [published, gmacs, *counters(records), *train, gflops, params]
    candidates = [*counts, *MEMORY, LATENCY[0], LATENCY_CI, *PAPER]
    filled = [column for column in candidates if any(column.value(r) is not None for r in records)]
    return [name, IDENTITY[1], *filled]


def _cell(table: Grid, column: Column, record: Record, best: bool) -> Cell:
    shown = column.show(record)
    if shown is None:
        return Cell(EMPTY, note=table.footnote(why_empty(record, column))) if column.field else Cell(EMPTY)
    noisy = column.name == "lat_median_ms" and status(record) == "noisy"
    return Cell(f"~{shown}" if noisy else shown, best)


def _best(column: Column, records: Sequence[Record]) -> Record | None:
    """Find the record that is significantly best: alone at the least count, or surely fastest."""
    measured = [r for r in records if column.value(r) is not None]
    if len(measured) < 2:
        return None
    first, *others = sorted(measured, key=column.value)
    if column.name != "lat_median_ms":
        return first if column.value(first) < column.value(others[0]) else None
    if any(latency(r).rounds < stats.MIN_ROUNDS for r in measured):
        return None
    lows = [stats.ratio(first.rounds_ms, other.rounds_ms)[1] for other in others]
    return first if min(lows) > 1 else None


def _notes(records: Sequence[Record], columns: Sequence[Column]) -> list[str]:
    notes = []
    configs = dict.fromkeys(f"{title(r)} ({r.case.config})" for r in records if r.case.config)
    if configs:
        notes.append(f"Configurations: {'; '.join(configs)}.")
    empty = {c.name: why_empty(r, c) for c in MEMORY for r in records if c not in columns}
    if empty:
        notes.append("Not measured: " + "; ".join(f"{name} ({why})" for name, why in empty.items()) + ".")
    if any(status(r) == "noisy" for r in records):
        notes.append(
            f"~ noisy: the median's 95 % interval is wider than ±{100 * stats.NOISY:.0f} %, or unknown "
            f"(it needs {stats.MIN_ROUNDS} rounds of samples)."
        )
    return notes + _misses(records)


def _misses(records: Sequence[Record]) -> list[str]:
    notes = []
    for counter in counters(records):
        modules: dict[str, dict[str, None]] = {}
        for record in records:
            if ops := record.counters.get(counter.part, {}).get("missed"):
                modules.setdefault(missed(ops), {})[title(record)] = None
        if modules:
            words = "; ".join(f"{', '.join(names)}: {ops}" for ops, names in modules.items())
            notes.append(f"{counter.part}, run on the published form, missed products in {words}.")
    if notes or counters(records):
        notes.append(
            "Element-wise work is in FLOPs alone; `ctxbench explain` names what each counter leaves out."
        )
    unknown = {title(r): missed(r.unknown_ops) for r in records if r.unknown_ops}
    if unknown:
        notes.append(
            "Not in GMACs: " + "; ".join(f"{module}: {ops}" for module, ops in unknown.items()) + "."
        )
    return notes
