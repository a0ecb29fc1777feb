"""The tables of a set of records: for a terminal, in Markdown, in LaTeX, and in HTML."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ctxbench import shelf
from ctxbench.files import write_text
from ctxbench.measure.records import Record
from ctxbench.report.columns import columns
from ctxbench.report.layout import caption, grid
from ctxbench.report.view import ALL, View
from ctxbench.subject.registry import SINGLE, bibliography
from ctxbench.table.column import Column, Row
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import glossary, grid_markdown

PRINTED = ("params", "macs", "memory", "latency")
"""The columns in LaTeX where none are asked for: what a column of a paper has room for."""
LABEL = "tab:ctxbench"
"""Of the table in LaTeX."""
BIB = "ctxbench.bib"
"""What the table in LaTeX cites, in a file beside it."""

MODES = {"infer": "inference", "train": "training"}
"""What a paper calls a case's mode."""


def grids(records: Sequence[Record], view: View = ALL) -> list[Grid]:
    """The main table, and the papers' on the shelf: each offer ``record_sheets`` takes the records.

    Where a view has columns of its own, it is they alone, with what they mean under them.
    """
    main = grid(records, view)
    if view.columns:
        return [replace(main, notes=[f"{meaning(view.chosen(records))}.", *main.notes])]
    sheets: list[Grid] = [sheet for offer in shelf.offers("record_sheets") for sheet in offer(records)]
    return [main, *sheets]


def markdown(tables: Sequence[Grid], records: Sequence[Record], view: View = ALL) -> str:
    """Tables of these records as GitHub Markdown; where no columns were chosen, with what each means."""
    drawn = "\n".join(map(grid_markdown, tables))
    if view.columns:
        return drawn
    return f"{drawn}\n### What the columns of summary.csv mean\n\n{glossary(columns(records))}"


def latex(records: Sequence[Record], view: View = ALL, notes: Sequence[str] = ()) -> str:
    r"""The table as LaTeX for a paper; the preamble needs ``\usepackage{booktabs}``.

    It cites the built-in modules' papers by their keys in :data:`BIB`. ``notes`` stand under it too.
    """
    view = view if view.columns else replace(view, columns=_filled(records))
    table, chosen = grid(records, view), view.chosen(records)
    table.notes += notes
    conditions = ", ".join(MODES.get(part, part) for part in caption(records).split(" · "))
    forms = {record.case.implementation for record in records} - {SINGLE}
    form = f"; built-in modules in their {forms.pop()} form" if len(forms) == 1 else ""
    best = any(cell.best for group in table.groups for row in group.rows for cell in row[1:])
    words = (
        f"Cost of context modules: {conditions}{form}. {meaning(chosen)}.{' Least in bold.' if best else ''}"
    )
    return grid_latex(table, words, LABEL)


def _filled(records: Sequence[Record]) -> tuple[str, ...]:
    """The columns on paper that any of these records has a value for; all where none has any."""
    shown = zip(PRINTED, View(PRINTED).chosen(records), strict=True)
    filled = [name for name, column in shown if any(column.value(r) is not None for r in records)]
    return tuple(filled) or PRINTED


def write_latex(path: Path, text: str) -> list[Path]:
    """Write a table in LaTeX and what it cites; the paths of both, or of a pipe or a device alone."""
    table = write_text(path, text)
    return [table, *([write_text(path.with_name(BIB), bibliography())] if path.is_file() else [])]


def meaning(shown: Sequence[Column[Row]]) -> str:
    """What the columns of numbers mean, in one line: the convention of each."""
    said = [
        f"{column.heading.words}: {_continued(column.about.rstrip('.'))}" for column in shown if column.unit
    ]
    return "; ".join(said)


def _continued(sentence: str) -> str:
    """A sentence that goes on after a colon: without its capital, unless that is of an acronym."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
