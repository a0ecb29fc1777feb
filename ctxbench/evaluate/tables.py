"""The tables of an evaluation: a row for each class, and a row of scores over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ctxbench.table.column import Column, Extra, lay_out
from ctxbench.table.grid import Cell, Grid


@dataclass(frozen=True)
class ClassRow:
    """A class of an evaluation, by its name and its number, with its scores in %.

    The mean over classes has no number and no share of the truth. A score is NaN where it is not defined.
    """

    name: str
    number: int | None
    iou_pct: float
    accuracy_pct: float
    truth_pct: float | None


@dataclass(frozen=True)
class ScoreRow:
    """A method's scores on a data set in %: numbers, or texts as printed. NaN or "": none."""

    method: str
    backbone: str
    pixel_accuracy_pct: float | str
    miou_pct: float | str


def _two_decimals(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"


CLASS_COLUMNS: tuple[Column[ClassRow], ...] = (
    Column("class", "class", lambda row: row.name, kind="text"),
    Column("iou_pct", "IoU", lambda row: row.iou_pct, "this run", "%", format=_two_decimals),
    Column("accuracy_pct", "accuracy", lambda row: row.accuracy_pct, "this run", "%", format=_two_decimals),
    Column("truth_pct", "pixels", lambda row: row.truth_pct, "in truth", "%", format=_two_decimals),
)
SCORE_COLUMNS: tuple[Column[ScoreRow], ...] = (
    Column("method", "method", lambda row: row.method, kind="text"),
    Column("backbone", "backbone", lambda row: row.backbone, kind="text"),
    Column(
        "pixel_accuracy_pct",
        "pixel accuracy",
        lambda row: row.pixel_accuracy_pct,
        unit="%",
        format=_two_decimals,
    ),
    Column("miou_pct", "mIoU", lambda row: row.miou_pct, unit="%", format=_two_decimals),
)


def class_table(
    title: str, rows: Sequence[ClassRow], mean: ClassRow, extras: Sequence[Extra[ClassRow]], note: str
) -> Grid:
    """Lay out the table of classes, with the columns of extras beside ours and their notes before ours."""
    columns = _placed(CLASS_COLUMNS, [column for extra in extras for column in extra.columns])
    table = lay_out(title, columns, [("", rows), ("", [mean])])
    # the mean is of all pixels: an empty cell there, where the mark of a missing value would ask why
    table.groups[-1].rows[0][columns.index(CLASS_COLUMNS[-1])] = Cell("")
    table.notes += [note for extra in extras for note in extra.notes] + [note]
    table.findings += [finding for extra in extras for finding in extra.findings]
    return table


def score_table(title: str, groups: Iterable[tuple[str, Sequence[ScoreRow]]]) -> Grid:
    """Lay out scores over all classes, in labelled groups."""
    return lay_out(title, SCORE_COLUMNS, groups)


def _placed(
    columns: Sequence[Column[ClassRow]], further: Sequence[Column[ClassRow]]
) -> list[Column[ClassRow]]:
    """Our columns, each further one behind that of ours that it is ``beside``, or else at the end."""
    placed: list[Column[ClassRow]] = []
    for column in columns:
        placed += [column, *(other for other in further if other.beside == column.name)]
    return [*placed, *(column for column in further if column not in placed)]
