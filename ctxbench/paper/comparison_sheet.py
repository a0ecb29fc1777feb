"""The comparison with Table 10 as a table: alone, under those of records, and beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ctxbench.audit.quantity import prints_as
from ctxbench.measure.records import Record
from ctxbench.paper.comparison import (
    FORMS,
    NOT_MEASURED,
    NOT_REPRODUCIBLE,
    REPRODUCED,
    Comparison,
    in_words,
)
from ctxbench.report.columns import FIXED, reason
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, lay_out, raw
from ctxbench.table.grid import Grid

TITLE = "Table 10 of the paper, input 1×512×64×64: printed, by its own rule, and by one uniform convention"


def _by_rule(name: str) -> Callable[[Comparison], Any]:
    return lambda row: row.paper.get(name)


# Out of the frame: it has both forms' own counts instead, and a verdict on each printed number (ROW, below).
COLUMNS: tuple[Column[Comparison], ...] = (
    Column("label", "row", lambda row: row.printed.label, kind="text"),
    Column("printed_gflops", "FLOPs", lambda row: row.printed.gflops or None, "printed", "G", kind="text"),
    Column("paper_gflops", "FLOPs", _by_rule("gflops"), "own rule", "G"),
    Column("printed_mib", "memory", lambda row: row.printed.mib or None, "printed", "MiB", kind="text"),
    Column("paper_mib", "memory", _by_rule("mib"), "own rule", "MiB"),
    Column(
        "published_macs", "MACs", lambda row: row.published_macs, "published", "G",
        kind="int", scale=1e-9, digits=5, rank=3, in_frame=False,
    ),
    Column(
        "fast_macs", "MACs", lambda row: row.fast_macs, "fast", "G",
        kind="int", scale=1e-9, digits=5, rank=2, in_frame=False,
    ),
    Column(
        "published_ratio", "÷ TGM+TRM", lambda row: row.published_ratio, "published", "×",
        digits=3, rank=1, in_frame=False,
    ),
    Column(
        "fast_ratio", "÷ TGM+TRM", lambda row: row.fast_ratio, "fast", "×", digits=3, in_frame=False
    ),
    Column(
        "verdict", "verdict", lambda row: row.verdict, kind="text",
        note=lambda row: remark(row), why=lambda row: remark(row), in_frame=False,
    ),
)  # fmt: skip


def remark(row: Comparison) -> str:
    """Why a row is not reproducible or not measured, and how its digits were decoded."""
    return " ".join(filter(None, (row.reason, row.note)))


def table10_grid(comparisons: Sequence[Comparison]) -> Grid:
    """Lay out Table 10: printed, by the paper's own rule, and in uniform GMACs of both forms."""
    grid = lay_out(TITLE, COLUMNS, [("", comparisons)])
    grid.findings += in_words(comparisons)
    return grid


Forms = Mapping[str, Record]
"""A module's record of each form."""


class Row(NamedTuple):
    """A module: its comparison with the printed row, and its record of each form."""

    comparison: Comparison
    forms: Forms

    @property
    def case(self) -> Case:
        """The fast form's."""
        return self.forms["fast"].case


def _verdict(value: float | None, printed: str) -> str | None:
    """Of one printed number; None where none was printed."""
    if value is None:
        return NOT_MEASURED
    if not printed:
        return None
    return REPRODUCED if prints_as(value, printed) else NOT_REPRODUCIBLE


def _comparison(row: Row) -> Comparison:
    return row.comparison


def _status(row: Row) -> str:
    return next((record.status for record in row.forms.values() if record.status != "ok"), "ok")


def _reason(row: Row) -> str:
    failed = [reason(record) for record in row.forms.values() if record.status != "ok"]
    return " ".join(filter(None, (remark(row.comparison), *failed)))


def _of_form(name: str, form: str) -> Column[Row]:
    """A record's column, taken from the record of that form."""
    column: Column[Row] = FIXED[name].of(lambda row: row.forms[form])
    return replace(column, name=f"{form}_{name}", in_grid=False, less_is_better=False)


def _measured(name: str, words: str, ranks: tuple[int, int] = (0, 0)) -> list[Column[Row]]:
    """A record's column that stands beside the comparison, under ``words``, for both forms."""
    return [
        replace(_of_form(name, form), header=words, part=form, rank=rank, in_grid=True)
        for form, rank in zip(FORMS, ranks, strict=True)
    ]


ROW: tuple[Column[Row], ...] = (
    raw("module", lambda row: row.comparison.module, "text"),
    *(column.of(_comparison) for column in COLUMNS),
    raw("config", lambda row: row.case.config, "text"),
    raw("channels", lambda row: row.case.channels, "int"),
    raw("height", lambda row: row.case.height, "int"),
    raw("width", lambda row: row.case.width, "int"),
    raw("device", lambda row: row.case.device, "text"),
    raw("dtype", lambda row: row.case.dtype, "text"),
    raw("paper_every_call_gflops", lambda row: row.comparison.paper.get("every_call_gflops")),
    raw("paper_every_call_mib", lambda row: row.comparison.paper.get("every_call_mib")),
    raw(
        "flops_verdict",
        lambda row: _verdict(row.comparison.paper.get("gflops"), row.comparison.printed.gflops),
        "text",
    ),
    raw(
        "memory_verdict",
        lambda row: _verdict(row.comparison.paper.get("mib"), row.comparison.printed.mib),
        "text",
    ),
    *(_of_form("gmacs", form) for form in FORMS),
    *_measured("gflops", "uniform FLOPs", ranks=(26, 25)),
    *_measured("peak_pred_mib", "peak predicted", ranks=(23, 0)),
    *_measured("mem_alloc_mib", "peak measured", ranks=(24, 0)),
    *_measured("lat_median_ms", "latency"),
    *(_of_form(name, form) for form in FORMS for name in ("lat_ci_lo_ms", "lat_ci_hi_ms")),
    raw("status", _status, "text"),
    raw("reason", _reason, "text"),
)
