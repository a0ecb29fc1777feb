"""Columns of what a block costs, beside what it reaches: those of a run's table, for rows with records."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ctxbench.measure.records import Record
from ctxbench.report.columns import MACS, MEDIAN, PARAMS
from ctxbench.table.column import Column

Row = TypeVar("Row")
COSTS = (PARAMS, replace(MACS, part=""), MEDIAN)
"""What is shown of a block's cost."""


def costs(record_of: Callable[[Row], Record | None]) -> list[Column[Row]]:
    """The columns of cost; a row without a record, such as that of no context module, has none."""
    return [replace(column.of(record_of), digits=3, rank=2) for column in COSTS]
