"""The table of a set of records: which columns and rows it has, and the notes under it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctxbench.measure import stats
from ctxbench.measure.records import Record
from ctxbench.report.choosing.batches import FITS, FOUND, fits
from ctxbench.report.columns import (
    BACKWARD_MACS,
    DECOMPOSED,
    ELSEWHERE,
    ENERGY,
    FLOPS,
    GRAPH_BREAKS,
    IMPLEMENTATION,
    LATENCY_CI,
    MACS,
    MEDIAN,
    MEMORY,
    NOT_COUNTED,
    ODD,
    PARAMS,
    PREDICTED,
    PUBLISHED_MACS,
    THROUGHPUT,
    TRACED_OTHERWISE,
    at_least,
    compiled,
    extra,
    status,
)
from ctxbench.report.further_columns import MIOU, counters, found_under, missed
from ctxbench.report.several import are_apart, machine_of
from ctxbench.report.view import ALL, View, common, conditions, grouped, in_threads
from ctxbench.subject import resolve
from ctxbench.subject.bind import is_built_in
from ctxbench.subject.binding.layouts import is_map_in, layout_of
from ctxbench.subject.expression import SIZES
from ctxbench.subject.registry import Spec, spec
from ctxbench.table.column import Column, lay_out
from ctxbench.table.grid import Grid

ALWAYS = (PUBLISHED_MACS, MACS, FLOPS)
"""Columns that stand even where every row is empty."""


def title(record: Record, records: Sequence[Record]) -> str:
    """The module's title; for a class given by its place, the class name.

    Where ``records`` hold two such classes of one name, the file stands before it, with its folder where two
    files have one name.
    """
    place, bare, call = resolve.parts(record.case.module)
    if known := _spec(record):
        return known.title + call
    name = resolve.label(record.case.module)
    others = [resolve.parts(module) for module in {r.case.module for r in records}]
    places = {other.place for other in others if other.name == bare}
    if len(places) < 2:
        return name
    file = place.rpartition("/")[2]
    of_one_file = [other for other in places if other.rpartition("/")[2] == file]
    return f"{file if len(of_one_file) < 2 else place}:{name}"


def _spec(record: Record) -> Spec | None:
    """What is known of a registered module, called as ``se(C)`` or not; None for one that has a place."""
    place, bare, _ = resolve.parts(record.case.module)
    return None if place else spec(bare)


def grid(records: Sequence[Record], view: View = ALL) -> Grid:
    """Lay out the main table: a row for each record, grouped by shape and the other conditions.

    Without columns of a view's own: all that say something, and what the papers on the shelf add.
    """
    rows = view.arranged(records)
    chosen = view.chosen(rows) if view.columns else _columns(rows)
    named = _named(rows, with_form=bool(view.columns))
    table = lay_out(caption(rows), [named, *view.rounded(chosen)], grouped(rows), best=_best)
    table.notes += _notes(rows, chosen)
    if not view.columns:
        added = extra(rows)
        table.notes += [*_absent(rows, chosen), *added.notes]
        table.findings += added.findings
    return table


def _named(records: Sequence[Record], *, with_form: bool) -> Column[Record]:
    """The column of names; those of the user's own modules are set off where others stand beside them."""
    mixed = len({is_built_in(record.case.module) for record in records}) > 1
    named = dict(zip(map(id, records), names(records, with_form=with_form), strict=True))
    return Column(
        "title", "module", lambda record: named[id(record)], kind="text",
        emphasis=lambda record: mixed and not is_built_in(record.case.module),
        cite=lambda record: known.cite if (known := _spec(record)) else "",
    )  # fmt: skip


def machine(record: Record) -> str:
    """The name of the GPU or the CPU a record was measured on."""
    return machine_of(record.environment)


def caption(records: Sequence[Record]) -> str:
    """The conditions all records share, the machine, and the version of torch, in one line."""
    return " · ".join([*common(records), *_machine(records)])


def names(records: Sequence[Record], *, with_form: bool = True) -> list[str]:
    """Each module's title, with form and options where ``records`` hold the module in several.

    And with the letter of its run, where the runs that they are from must be told apart.
    """
    apart = are_apart(records)
    forms: dict[str, set[str]] = {}
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for case in (record.case for record in records):
        forms.setdefault(case.module, set()).add(case.implementation)
        alike.setdefault((case.module, *conditions(case)), []).append(case.options)

    def name(record: Record) -> str:
        case = record.case
        others = alike[(case.module, *conditions(case))]
        options = [
            f"{key}={value}"
            for key, value in case.options.items()
            if any(other.get(key) != value for other in others)
        ]
        form = [case.implementation] if with_form and len(forms[case.module]) > 1 else []
        run = [record.origin.letter] if apart and record.origin else []
        return ", ".join([title(record, records), *form, *options, *run])

    return [name(record) for record in records]


def _machine(records: Sequence[Record]) -> list[str]:
    versions = dict.fromkeys(f"torch {r.environment['torch']}" for r in records if "torch" in r.environment)
    by_itself = dict.fromkeys(r.environment.get("threads") for r in records if r.case.threads is None)
    counted = [in_threads(n) for n in by_itself if n]
    return [*dict.fromkeys(filter(None, map(machine, records))), *counted, *versions]


def _candidates(records: Sequence[Record]) -> list[Column[Record]]:
    train = [BACKWARD_MACS] if _has_train(records) else []
    counts = [PUBLISHED_MACS, MACS, *counters(records), *train, FLOPS, PARAMS]
    energy = [ENERGY] if any(record.spent_mj is not None for record in records) else []
    batches = [*found, THROUGHPUT] if (found := fits(records)) else []
    timed = [MEDIAN, LATENCY_CI, *energy, *compiled(records)]
    return [*counts, *MEMORY, *batches, *timed, *extra(records).columns]


def _columns(records: Sequence[Record]) -> list[Column[Record]]:
    """Choose the columns; one that is empty in every row gives way to a note, but for the counts."""
    kept = [
        column
        for column in _candidates(records)
        if column in ALWAYS or any(column.value(r) is not None for r in records)
    ]
    return [IMPLEMENTATION, *kept]


def _has_train(records: Sequence[Record]) -> bool:
    return any(r.case.mode == "train" for r in records)


def _best(column: Column[Record], records: Sequence[Record]) -> Record | None:
    """Find the record that is significantly best: alone at the least count, or surely fastest.

    A count that lacks operations is a lower bound: it wins nothing, but may keep another from winning.
    """
    measured = [r for r in records if column.value(r) is not None]
    if len(measured) < 2:
        return None
    first, *others = sorted(measured, key=column.value)
    # Counts are exact, so the least wins; a latency wins only where it is surely below each other.
    if column.name != MEDIAN.name:
        incomplete = column.mark is at_least and first.unknown_ops
        return first if not incomplete and column.value(first) < column.value(others[0]) else None
    if any(r.latency.rounds < stats.MIN_ROUNDS or r.origin != first.origin for r in measured):
        return None  # what runs differ by though nothing did, or machines, is in no interval here
    lows = [stats.ratio(first.rounds_ms, other.rounds_ms)[1] for other in others]
    return first if min(lows) > 1 else None


def _notes(records: Sequence[Record], columns: Sequence[Column[Record]]) -> list[str]:
    """What a reader of these columns must know."""
    shown = {column.name for column in columns}
    notes = []
    configs = dict.fromkeys(f"{title(r, records)} ({r.case.config})" for r in records if r.case.config)
    if configs:
        notes.append(f"Configurations: {'; '.join(configs)}.")
    said = [*(_bound(r, records) for r in records), *(_returned(r, records) for r in records)]
    notes += [f"{line}." for line in dict.fromkeys(said) if line]
    if _has_train(records):
        but = f", except in the column {BACKWARD_MACS.heading.words}"
        notes.append(
            "In train mode latency and memory are of forward and backward together, MACs and FLOPs of the "
            f"forward pass alone{but if BACKWARD_MACS.name in shown else ''}."
        )
    notes += [f"{FOUND}."] if FITS[0].name in shown else []
    if MEDIAN.name in shown:
        notes += noise(records)
    if MIOU.name in shown:
        notes += found_under(records)
    others = [column for column in counters(records) if column.name in shown]
    return [*notes, *_misses(records, others), *remarks(records)]


def noise(records: Sequence[Record]) -> list[str]:
    """What the mark of a noisy latency means, where there is one."""
    if all(status(record) != "noisy" for record in records):
        return []
    return [
        f"~ noisy: the median's 95 % interval is wider than ±{100 * stats.NOISY:.0f} %, or unknown "
        f"(it needs {stats.MIN_ROUNDS} rounds of samples)."
    ]


def _bound(record: Record, records: Sequence[Record]) -> str:
    """What was found out about a block that is not built in; at each shape, where there are several."""
    if not record.case.bound:
        return ""
    shapes = {r.case.shape for r in records if r.case.module == record.case.module}
    at = f" at {'×'.join(map(str, record.case.shape))}" if len(shapes) > 1 else ""
    return f"{title(record, records)}{at}, {record.case.bound}"


def _returned(record: Record, records: Sequence[Record]) -> str:
    """The shape of an output that has not the sides of the map, in the layout that went in."""
    shape, given = record.output_shape, record.case.shape
    sizes = dict(zip(SIZES, given, strict=True))
    if shape is None or is_map_in(layout_of(record.case.interface.inputs), shape, sizes):
        return ""
    return f"{title(record, records)} returns {'×'.join(map(str, shape))} for {'×'.join(map(str, given))}"


def _absent(records: Sequence[Record], columns: Sequence[Column[Record]]) -> list[str]:
    """Say why whole columns are missing, those with the same reasons together."""
    shown = {column.name for column in columns}
    absent: dict[str, list[str]] = {}
    for column in _candidates(records):
        if column.why and column.name not in shown:
            reasons = _by_words(records, column.why)
            why = _in_words(reasons) if len(reasons) > 1 else next(iter(reasons))
            absent.setdefault(why, []).append(column.heading.line)
    return [f"Not measured: {', '.join(headings)} — {why}." for why, headings in absent.items()]


def _misses(records: Sequence[Record], others: Sequence[Column[Record]]) -> list[str]:
    """What the counts of other counters leave out."""
    notes = []
    for counter in others:

        def missing(record: Record, name: str = counter.part) -> str:
            return missed(record.counters.get(name, {}).get("missed", {}))

        if modules := _by_words(records, missing):
            notes.append(
                f"{counter.part}, run on the published form, missed products in {_in_words(modules)}."
            )
    if others:
        notes.append(
            "Element-wise work is in FLOPs alone; `ctxbench explain` names what each counter leaves out."
        )
    return notes


def remarks(records: Sequence[Record]) -> list[str]:
    """What our own numbers leave out or rest on, and what was odd, with the modules that it is about."""
    notes = []
    if unknown := _by_words(records, lambda r: missed(r.unknown_ops)):
        notes.append(f"{NOT_COUNTED}: {_in_words(unknown)}.")
    if peaks := _by_words(records, lambda r: r.peak_pred_note):
        notes.append(f"{PREDICTED}: {_in_words(peaks)}.")
    if broken := _by_words(records, lambda r: missed(r.graph_breaks)):
        notes.append(f"{GRAPH_BREAKS}: {_in_words(broken)}.")
    if decomposed := _by_words(records, lambda r: missed(r.decomposed)):
        notes.append(f"{DECOMPOSED}: {_in_words(decomposed)}.")
    if elsewhere := _by_words(records, _elsewhere):
        notes.append(f"{ELSEWHERE}: {_in_words(elsewhere)}.")
    if odd := _by_words(records, lambda r: ", ".join(r.warnings)):
        notes.append(f"{ODD}: {_in_words(odd)}.")
    if traced := _by_words(records, lambda r: r.note):
        notes.append(f"{TRACED_OTHERWISE}: {_in_words(traced)}.")
    return notes


def _elsewhere(record: Record) -> str:
    """In which dtypes, or on which devices, a runtime ran what was asked for in others."""
    ways = dict.fromkeys(operation.partition(" ")[2] for operation in record.elsewhere)
    return f"{record.case.runtime} {' and '.join(ways)}" if ways else ""


def _by_words(records: Sequence[Record], words: Callable[[Record], str]) -> dict[str, dict[str, None]]:
    """The words on any record, each with the titles of the modules that they are about."""
    modules: dict[str, dict[str, None]] = {}
    for record in records:
        if what := words(record):
            modules.setdefault(what, {})[title(record, records)] = None
    return modules


def _in_words(by_words: dict[str, dict[str, None]]) -> str:
    return "; ".join(f"{', '.join(modules)}: {words}" for words, modules in by_words.items())
