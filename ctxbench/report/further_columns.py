"""Columns that some records have: other counters' counts, what they miss in words, a study's accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def _half_width(record: Record) -> float | None:
    found = record.accuracy
    if found is None or found.low_pct is None or found.high_pct is None:
        return None
    return (found.high_pct - found.low_pct) / 2


def why(record: Record) -> str:
    """Why nothing is known of a record's accuracy, or not all of it; empty where all is."""
    return "not in a study" if record.accuracy is None else record.accuracy.reason


MIOU: Column[Record] = Column(
    "miou_pct", "accuracy", lambda record: record.accuracy.miou_pct if record.accuracy else None, "mIoU", "%",
    "Mean IoU that `ctxbench study` found, its mean over seeds.", why=why, note=why,
)  # fmt: skip
MIOU_CI: Column[Record] = Column(
    "miou_ci_points", "accuracy", _half_width, "±", "points",
    "Half the width of the 95 % interval of the mean IoU, over seeds and images.",
    digits=2, why=lambda record: why(record) or "an interval needs two seeds", rank=4,
)  # fmt: skip


def studied(records: Sequence[Record]) -> list[Column[Record]]:
    """The columns of accuracy, where any record was read with one."""
    return [MIOU, MIOU_CI] if any(record.accuracy is not None for record in records) else []


def found_under(records: Sequence[Record]) -> list[str]:
    """Under what the accuracies of records were found, a note for each study."""
    studies = dict.fromkeys(record.accuracy.study for record in records if record.accuracy)
    return [f"Accuracy: {study}" for study in studies]
