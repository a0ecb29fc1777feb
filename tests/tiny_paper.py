"""A second paper on the shelf, in one file: three printed rows and a preset. Only the tests know it.

Its table prints the MACs of three blocks at 1x16x8x8.
"""

from collections.abc import Sequence

from ctxbench.measure.records import Record
from ctxbench.subject.presets import Preset, Row
from ctxbench.table.column import Column, Extra, lay_out
from ctxbench.table.grid import Grid

PRINTED = {"se": "0.000064", "emau": "9.99", "cam": "0.03"}
"""GMACs as printed, by module."""

PRESETS = (
    Preset(
        "tiny",
        "the three blocks of a paper that there is not",
        (
            Row("se", lambda channels: {"reduction": 8}),
            Row("emau", lambda channels: {"bases": channels // 4}),
            Row("cam", lambda channels: {}),
        ),
    ),
)


def printed_for(record: Record) -> str | None:
    """What the paper prints of a record's case."""
    return PRINTED.get(record.case.module) if record.case.shape == (1, 16, 8, 8) else None


COLUMN: Column[Record] = Column(
    "tiny_printed_gmacs", "MACs", printed_for, "tiny paper", "G", "As the tiny paper prints it.", kind="text"
)


def record_extra(records: Sequence[Record]) -> Extra[Record]:
    """A column, a note and a finding, where a record has a printed number."""
    if not any(map(printed_for, records)):
        return Extra()
    return Extra([COLUMN], notes=["The tiny paper counts MACs."], findings=["The tiny paper is right."])


def record_sheets(records: Sequence[Record]) -> list[Grid]:
    """A table of its own, where a record has a printed number."""
    rows = [record for record in records if printed_for(record)]
    module: Column[Record] = Column("module", "module", lambda record: record.case.module, kind="text")
    return [lay_out("The tiny paper's table", [module, COLUMN], [("", rows)])] if rows else []


OFFERS = {
    "presets": "tiny_paper:PRESETS",
    "record_extra": "tiny_paper:record_extra",
    "record_sheets": "tiny_paper:record_sheets",
}
