"""What a block costs, beside what it reaches: its record, and columns as those of a run's table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ctxbench.measure.folder import Run
from ctxbench.measure.records import Record
from ctxbench.report.columns import MACS, MEDIAN, PARAMS
from ctxbench.report.layout import names
from ctxbench.subject.case import Case
from ctxbench.table.column import Column

Row = TypeVar("Row")
COSTS = (PARAMS, replace(MACS, part=""), MEDIAN)
"""What is shown of a block's cost."""


def named_records(cases: Sequence[Case], run: Run) -> dict[str, tuple[str, Record]]:
    """By the id of a case: its name among the others, and the record of its cost."""
    of_case = {record.case.id: record for record in run.records}
    records = [of_case[case.id] for case in cases]
    named = zip(names(records), records, strict=True)
    return {record.case.id: (name, record) for name, record in named}


def costs(record_of: Callable[[Row], Record | None]) -> list[Column[Row]]:
    """The columns of cost; a row without a record, such as that of no context module, has none."""
    return [replace(column.of(record_of), digits=3, rank=2) for column in COSTS]
