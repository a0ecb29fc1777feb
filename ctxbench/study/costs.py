"""Columns of what a block costs, beside what it reaches: those of a run's table, for rows with records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ctxbench.measure.records import Record
from ctxbench.report.columns import MACS, MEDIAN, PARAMS
from ctxbench.table.column import Column

Row = TypeVar("Row")
COSTS = (replace(PARAMS, digits=3), replace(MACS, part="", digits=3), replace(MEDIAN, digits=3))
"""What is shown of a block's cost."""


def costs(record_of: Callable[[Row], Record | None]) -> list[Column[Row]]:
    """The columns of cost; a row without a record, such as that of no context module, has none."""
    return [_of_row(column, record_of) for column in COSTS]


def _of_row(column: Column[Record], record_of: Callable[[Row], Record | None]) -> Column[Row]:
    def told(function: Callable[[Record], Any] | None, otherwise: Any) -> Any:
        def of_row(row: Row) -> Any:
            record = record_of(row)
            return otherwise if record is None or function is None else function(record)

        return of_row

    return Column(
        column.name, column.header, told(column.value, None), column.part, column.unit, column.about,
        column.kind, column.scale, column.digits, column.units, mark=told(column.mark, ""),
        why=told(column.why, ""), rank=2, less_is_better=False,
    )  # fmt: skip
