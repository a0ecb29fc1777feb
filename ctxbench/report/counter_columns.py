"""Other counters' columns: what each says of the same case, and what a count misses in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from ctxbench.counters import LEAF_RULE
from ctxbench.measure.records import Record, why_empty
from ctxbench.table.column import COUNTS, Column

COUNTER_RANKS = {"fvcore": 6, "thop": 7, "torch": 8, "ptflops": 11, "torchinfo": 12}
"""Where the columns of other counters give way; one that is not among them goes with the last."""


def counters(records: Iterable[Record]) -> list[Column[Record]]:
    """A column for each other counter that any record has, in order of appearance."""
    names = dict.fromkeys(name for record in records for name in record.counters if name != LEAF_RULE)
    return [counter(name) for name in names]


def counter(name: str) -> Column[Record]:
    """The column of another counter."""
    about = f"MACs of the published form by {name}."
    rank = COUNTER_RANKS.get(name, max(COUNTER_RANKS.values()))
    return Column(
        f"{name}_gmacs", "MACs", partial(_gmacs, name), name, "G", about,
        digits=5, units=COUNTS, why=partial(why_empty, name), rank=rank,
    )  # fmt: skip


def _gmacs(counter: str, record: Record) -> float | None:
    value: float | None = record.counters.get(counter, {}).get("gmacs")
    return value


def missed(calls: Mapping[str, int]) -> str:
    """Operations with how often each ran, as text: ``aten::mul ×64, aten::softmax``."""
    return ", ".join(op if n == 1 else f"{op} ×{n}" for op, n in calls.items())
