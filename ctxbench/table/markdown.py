"""Grids as GitHub Markdown."""

import re
from collections.abc import Iterable

from ctxbench.table.column import Column, Row
from ctxbench.table.grid import Cell, Grid

_BLOCK = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|-[- ]*$|#{1,6}(?:\s|$)))")
"""Where a text would begin a list, a heading or a rule."""


def escape(text: str) -> str:
    """Keep text from being read as Markdown, HTML or mathematics, or from ending a table's cell."""
    for special in "\\|*_`<>[]$" + ("~" if text.count("~") > 1 else ""):  # one alone strikes nothing out
        text = text.replace(special, f"\\{special}")
    text = re.sub(r"&(?=#?\w+;)", r"\\&", " ".join(text.split()))
    return _BLOCK.sub(r"\1\\", text, count=1)


def grid_markdown(grid: Grid) -> str:
    """The grid as a heading, a table, and its notes as a list."""
    headings = [escape(heading.line) for heading in grid.headings]
    rules = ["---:" if heading.is_number else ":---" for heading in grid.headings]
    lines = [f"### {escape(grid.title)}", ""]
    if grid.preface:
        lines += [escape(grid.preface), ""]
    lines += [_line(headings), _line(rules)]
    for group in grid.groups:
        if group.label:
            lines.append(_line([f"*{escape(group.label)}*", *[""] * (len(headings) - 1)]))
        lines += [_line(map(_cell, row)) for row in group.rows]
    notes = [f"<sup>{number}</sup> {escape(note)}" for number, note in enumerate(grid.footnotes, start=1)]
    notes += [escape(note) for note in grid.notes]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    for finding in grid.findings:
        lines += ["", escape(finding)]
    return "\n".join(lines) + "\n"


def glossary(columns: Iterable[Column[Row]]) -> str:
    """What each column means, as a Markdown table."""
    lines = [_line(["column", "meaning"]), _line([":---", ":---"])]
    lines += [_line([f"`{column.name}`", column.about]) for column in columns]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    note = f"<sup>{cell.note}</sup>" if cell.note else ""
    text = escape(cell.text)
    return f"**{text}**{note}" if cell.best else text + note
