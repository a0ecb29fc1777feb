"""A table's columns, each said once: heading, unit, how a row fills it, how it is shown, what it means.

From the same columns :func:`lay_out` makes the grid that people look at and :func:`frame` the table at full
precision; the glossary and what gives way where the room is short follow from them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading

if TYPE_CHECKING:
    import pandas as pd

Row = TypeVar("Row")
Whole = TypeVar("Whole")
Kind = Literal["text", "int", "float", "bool"]

MIB = 2**20
Units = Mapping[str, float]
"""Units of one quantity with their sizes, the smallest first."""
COUNTS: Units = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
BYTES: Units = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DTYPES: dict[Kind, str] = {"text": "object", "int": "Int64", "float": "float64", "bool": "bool"}


def significant(value: float, digits: int) -> str:
    """A number at ``digits`` significant digits, without an exponent from 1e-4 up."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{digits - 1}e}" if exponent < -4 else f"{rounded:.{max(digits - 1 - exponent, 0)}f}"


def signed(value: float, digits: int = 1) -> str:
    """A difference with ``digits`` decimals and its sign, ``−0.3``; one that rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table whose rows are ``Row``. Of all but the first three fields the defaults do."""

    name: str
    """Its key in CSV, the unit included."""
    header: str
    """Its heading, which stands over neighbours that share it; ``part`` and ``unit`` stand under it."""
    value: Callable[[Row], Any]
    """Takes the value from a row, at full precision; None where nothing was measured."""
    part: str = ""
    unit: str = ""
    """Of what is shown. Columns with a unit are set to the right, as numbers."""
    about: str = ""
    """What it means, in one line of the glossary."""
    kind: Kind = "float"
    scale: float = 1.0
    """What is shown is the value times this at ``digits`` significant digits; an integer as it is, whole."""
    digits: int = 4
    units: Units | None = None
    """Among which a table chooses the one unit that its largest row asks for; ``unit`` is one of them."""
    format: Callable[[Any], str] | None = None
    """How a value is shown, where not so."""
    mark: Callable[[Row], str] | None = None
    """What stands before the shown value, such as ``~`` for a noisy one."""
    why: Callable[[Row], str] | None = None
    """Why a row has no value here: the footnote of its empty cell."""
    note: Callable[[Row], str] | None = None
    """The footnote of a cell that has a value; empty for none."""
    emphasis: Callable[[Row], bool] | None = None
    """Whether a cell is set off from the others."""
    cite: Callable[[Row], str] | None = None
    """The BibTeX key of what a cell names; empty for none. LaTeX alone cites it."""
    rank: int = 0
    """Where the room is short, columns of the highest rank give way first; those of rank 0 never do."""
    in_frame: bool = True
    """Whether it stands in the table at full precision too."""
    less_is_better: bool = False
    beside: str = ""
    """The column of our own that this holds a printed value of; figures mark it there."""
    in_grid: bool = True
    """Whether it stands in the table that people look at too."""

    @property
    def heading(self) -> Heading:
        """What stands over it."""
        counts = self.kind == "int" or self.units is not None
        return Heading(self.name, self.header, self.part, self.unit, self.rank, counts)

    def of(self, part: Callable[[Whole], Row | None]) -> Column[Whole]:
        """The same column of a table whose rows hold a ``Row`` each, which ``part`` takes out of them.

        One that holds none has an empty cell.
        """

        def of_whole(function: Callable[[Row], Any] | None) -> Any:
            if function is None:
                return None
            return lambda whole: None if (row := part(whole)) is None else function(row)

        named = ("value", "mark", "why", "note", "emphasis", "cite")
        taken = {name: of_whole(getattr(self, name)) for name in named}
        return Column(**{**vars(self), **taken})

    def text(self, row: Row) -> str | None:
        """The cell as text; None where there is no value."""
        value = self.value(row)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.format is not None:
            shown = self.format(value)
        elif self.kind in ("text", "bool") or (self.kind == "int" and self.scale == 1):
            shown = str(value)
        else:
            shown = significant(value * self.scale, self.digits)
        return (self.mark(row) if self.mark else "") + shown


def raw(name: str, value: Callable[[Row], Any], kind: Kind = "float") -> Column[Row]:
    """A column that stands in the table at full precision alone."""
    return Column(name, name, value, kind=kind, in_grid=False)


@dataclass(frozen=True)
class Extra(Generic[Row]):
    """What a paper on the shelf adds to another table: further columns, notes and findings."""

    columns: Sequence[Column[Row]] = ()
    notes: Sequence[str] = ()
    findings: Sequence[str] = ()


def lay_out(
    title: str,
    columns: Sequence[Column[Row]],
    groups: Iterable[tuple[str, Sequence[Row]]],
    *,
    best: Callable[[Column[Row], Sequence[Row]], Row | None] = lambda column, rows: None,
) -> Grid:
    """Lay out a table: rows in labelled groups. ``best`` finds the row to set off in a column of a group.

    Neighbours under one header have one unit, which suits the largest value that any of their rows has.
    """
    groups = list(groups)
    shown = in_one_unit([c for c in columns if c.in_grid], [row for _, rows in groups for row in rows])
    grid = Grid(title, [column.heading for column in shown])
    for label, rows in groups:
        winners = [best(column, rows) if column.less_is_better else None for column in shown]
        cells = [
            [_cell(grid, column, row, winner is row) for column, winner in zip(shown, winners, strict=True)]
            for row in rows
        ]
        grid.groups.append(Group(label, cells))
    return grid


def _cell(grid: Grid, column: Column[Row], row: Row, best: bool) -> Cell:
    shown = column.text(row)
    if shown is None:
        why = column.why(row) if column.why else ""
        return Cell(EMPTY, note=grid.footnote(why) if why else 0)
    note = column.note(row) if column.note else ""
    set_off = best or (column.emphasis is not None and column.emphasis(row))
    return Cell(shown, set_off, grid.footnote(note) if note else 0, column.cite(row) if column.cite else "")


def in_one_unit(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> list[Column[Row]]:
    """The columns, those that have a choice of units each in the one its largest row asks for."""
    largest: dict[tuple[str, ...], float] = {}
    for column in columns:
        values = [column.value(row) for row in rows] if column.units else []
        sizes = [abs(value) * column.scale for value in values if value is not None and not math.isnan(value)]
        if column.units and sizes:
            # as it will be shown: 999.9 K is 1.00 M at three digits
            rounded = float(f"{max(sizes):.{column.digits - 1}e}") * column.units[column.unit]
            key = (column.header, *column.units)
            largest[key] = max(largest.get(key, 0.0), rounded)
    return [_in_unit(column, largest.get((column.header, *(column.units or ())))) for column in columns]


def _in_unit(column: Column[Row], largest: float | None) -> Column[Row]:
    """The column in the largest of its units that is at most ``largest``."""
    if column.units is None or largest is None:
        return column
    smallest, *others = column.units
    unit = next((unit for unit in reversed(others) if column.units[unit] <= largest), smallest)
    scale = column.scale * column.units[column.unit] / column.units[unit]
    whole = column.units[unit] == 1  # a count of its own has no decimals
    shown = (lambda value: f"{value * scale:.0f}") if whole else column.format
    return replace(column, unit=unit, scale=scale, format=shown)


def frame(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> pd.DataFrame:
    """One row each at full precision, a column by its name; an empty cell is one that has no value."""
    import pandas as pd

    return pd.DataFrame(
        {
            column.name: pd.Series([column.value(row) for row in rows], dtype=DTYPES[column.kind])
            for column in columns
            if column.in_frame
        }
    )
