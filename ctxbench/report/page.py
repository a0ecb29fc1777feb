"""A run's page, or that of several: all that the records say, in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctxbench.files import write_text
from ctxbench.measure.records import Record
from ctxbench.report.columns import columns
from ctxbench.report.layout import names, title
from ctxbench.report.several import Source
from ctxbench.report.view import conditions
from ctxbench.table.column import Column, significant
from ctxbench.table.grid import EMPTY, Grid
from ctxbench.table.html import grid_html
from ctxbench.table.page import drawing, page

PAGE = "report.html"
NAMED = 4
"""Modules that the page's title names."""

Fact = tuple[str, str]
"""What something is called, and what it is."""


def write_page(
    folder: Path,
    records: Sequence[Record],
    tables: Sequence[Grid],
    runs: Sequence[Source],
    figures: Iterable[Path],
    *,
    source: str,
) -> Path:
    """Write ``report.html``: the tables, the SVG files among ``figures``, each case, and the machines.

    ``source`` is the origin of the ``runs``. Raises UserError where the page cannot be written.
    """
    shown = columns(records)
    text = page(
        "ctxbench.report",
        "page.html",
        title=_title(records),
        source=source,
        grids=tables,
        table=grid_html,
        figures=[(path.stem, drawing(path, path.stem)) for path in figures if path.suffix == ".svg"],
        cases=[_case(record, name, shown) for record, name in zip(records, names(records), strict=True)],
        machines=[_machine(device, run) for run in runs for device in run.run.plan.environments],
        glossary=[(column.name, column.about) for column in shown],
    )
    return write_text(folder / PAGE, text)


def _title(records: Sequence[Record]) -> str:
    names = list(dict.fromkeys(title(record, records) for record in records))
    others = f" and {len(names) - NAMED} others" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + others


@dataclass(frozen=True)
class _Case:
    """A case as the template shows it; ``sampled`` says what ``rounds`` are, a line of samples each."""

    name: str
    conditions: str
    facts: list[Fact]
    sampled: str
    rounds: list[str]


def _case(record: Record, name: str, shown: Sequence[Column[Record]]) -> _Case:
    latency = record.latency
    warmed = f", after {record.warmup} calls to warm up" if record.warmup else ""
    caches = f", caches {record.cache}" if record.cache else ""
    return _Case(
        name=name,
        conditions=" · ".join(filter(None, conditions(record.case))),
        facts=[
            (column.heading.words, fact) for column in shown if (fact := _fact(column, record)) is not None
        ],
        sampled=f"Raw samples in ms: {latency.n} in {latency.rounds} rounds{warmed}{caches}",
        rounds=[", ".join(significant(sample, 4) for sample in samples) for samples in record.rounds_ms],
    )


def _fact(column: Column[Record], record: Record) -> str | None:
    """What the record has in a column, else why it has nothing; None where that says nothing either."""
    text = column.text(record)
    if text is not None:
        return f"{text} {column.unit}".rstrip()
    return f"{EMPTY} {column.why(record)}" if column.why else None


def _machine(device: str, of: Source) -> tuple[str, list[Fact]]:
    """What a run's plan says of a device, and the ceilings of its roofline by dtype."""
    plan = of.run.plan
    facts = [(key, _words(value)) for key, value in plan.environments[device].items()]
    for dtype, limits in plan.ceilings.get(device, {}).items():
        reach = ", ".join(f"{limit} {significant(value, 4)}" for limit, value in limits.items())
        facts.append((f"measured ceilings, {dtype}", reach))
    return f"{of.letter}: {device}" if of.letter else device, facts


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return str(value)
