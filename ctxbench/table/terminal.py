"""Grids drawn for a terminal: the least important columns give way until the rest fit."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import StringIO
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from ctxbench.table.grid import Cell, Grid, Heading
from ctxbench.table.grid import Group as Rows

UNLIMITED = 10_000
"""Columns, of a console that cuts nothing off."""
LINE = 100
"""Columns of a terminal that a line of words may take, since longer ones are hard to read."""

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def superscript(number: int) -> str:
    """A footnote's number in superscript digits; nothing for 0."""
    return str(number).translate(_SUPERSCRIPTS) if number else ""


@dataclass(frozen=True)
class GridView:
    """A grid as rich draws it, as wide as the console allows."""

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        hidden: list[Heading] = []
        ranks = sorted({heading.rank for heading in self.grid.headings if heading.rank}, reverse=True)
        outline = _outline(self.grid)
        for rank in (0, *ranks):  # first with every column; then the columns of the highest rank go
            hidden += [heading for heading in self.grid.headings if rank and heading.rank == rank]
            as_wide = _table(outline.without(hidden))
            if console.measure(as_wide, options=options.update(width=UNLIMITED)).maximum <= options.max_width:
                break
        yield Text(self.grid.title, style="bold")
        if self.grid.preface:
            yield _note(self.grid.preface, style="")
        yield _table(self.grid.without(hidden))
        if hidden:
            yield _note(f"Not shown at this width: {', '.join(heading.line for heading in hidden)}.")
        for number, reason in enumerate(self.grid.footnotes, start=1):
            yield _note(f"{superscript(number)} {reason}")
        for note in self.grid.notes:
            yield _note(note)
        for finding in self.grid.findings:
            yield ""
            yield _note(finding, style="")


def stacked(grids: Iterable[Grid]) -> RenderableType:
    """Grids one under the other, for rich."""
    parts: list[RenderableType] = []
    for grid in grids:
        parts += ["", GridView(grid)]
    return Group(*parts[1:])


def _note(text: str, style: str = "dim") -> RenderableType:
    return Constrain(Padding(Text(text, style=style), (0, 0, 0, 1)), LINE)


def _outline(grid: Grid) -> Grid:
    """A grid as wide as this one, with one row: the widest cell of each column, under the widest label."""
    rows = [row for group in grid.groups for row in group.rows]
    widest = [max(column, key=lambda cell: _width(_shown(cell))) for column in zip(*rows, strict=True)]
    label = max((group.label for group in grid.groups), key=_width, default="")
    return replace(grid, groups=[Rows(label, [widest] if rows else [])])


def _width(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


def _shown(cell: Cell) -> str:
    return cell.text + superscript(cell.note)


def _table(grid: Grid) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    has_parts = any(heading.part for heading in grid.headings)
    for heading in grid.headings:
        words = "\n".join((heading.header, *([heading.part] if has_parts else []), heading.unit))
        justify: Literal["left", "right"] = "right" if heading.is_number else "left"
        table.add_column(Text(words, justify=justify), justify=justify, no_wrap=heading.is_number)
    for group in grid.groups:
        if group.label:
            table.add_section()
            table.add_row(Text(group.label, style="italic"))
        for row in group.rows:
            table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    return Text(_shown(cell), style="bold" if cell.best else "")


def plain(grids: Iterable[Grid]) -> str:
    """Grids as text without colours, 120 columns wide."""
    console = Console(width=120, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(stacked(grids))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def picture(grids: Iterable[Grid]) -> str:
    """Grids as a terminal of 150 columns shows them, as SVG."""
    console = Console(
        width=150,
        record=True,
        file=StringIO(),
        force_terminal=True,
        force_jupyter=False,  # a notebook would show what is only drawn here
        color_system="truecolor",
    )
    console.print(stacked(grids))
    return console.export_svg(title="ctxbench profile", theme=SVG_EXPORT_THEME)
