"""What the paper adds to a table of records: its Table 10, where a record has a row there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ctxbench.counters import LEAF_RULE
from ctxbench.measure.records import Record, why_empty
from ctxbench.paper.comparison import compare, printed_for
from ctxbench.paper.comparison_sheet import table10_grid
from ctxbench.table.column import Column, Extra
from ctxbench.table.grid import Grid


def _by_rule(name: str) -> Callable[[Record], Any]:
    return lambda record: record.leaf_rule.get(name)


def _printed(name: str) -> Callable[[Record], Any]:
    """Take a printed number, where the record's case is the one it was printed for."""
    return lambda record: getattr(printed_for(record.case), name, None)


COLUMNS: tuple[Column[Record], ...] = (
    Column(
        "paper_gflops", "Table 10", _by_rule("gflops"), "own rule", "G",
        "The paper's own convention (docs: how we count), run leaf by leaf over the published form.",
        why=partial(why_empty, LEAF_RULE), rank=18,
    ),
    Column(
        "paper_mib", "Table 10", _by_rule("mib"), "own rule", "MiB",
        "Memory by the paper's own convention: outputs of the leaves, the last call of each.",
        why=partial(why_empty, LEAF_RULE), rank=20,
    ),
    Column(
        "printed_gflops", "Table 10", _printed("gflops"), "printed", "G", "FLOPs as printed in Table 10.",
        kind="text", rank=17, beside="gmacs",
    ),
    Column(
        "printed_mib", "Table 10", _printed("mib"), "printed", "MiB", "Memory as printed in Table 10.",
        kind="text", rank=19, beside="peak_pred_mib",
    ),
)  # fmt: skip


def record_extra(records: Sequence[Record]) -> Extra[Record]:
    """The columns of Table 10, where one of the records has a row in it."""
    return Extra(COLUMNS if any(printed_for(record.case) for record in records) else ())


def record_sheets(records: Sequence[Record]) -> list[Grid]:
    """The comparison with Table 10, where one of the records has a row in it."""
    comparisons = compare(records)
    return [table10_grid(comparisons)] if comparisons else []
