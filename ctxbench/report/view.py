"""How records are seen in a table: which columns, in which order and groups, at how many digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from ctxbench.counters import COUNTERS
from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED, IDENTITY, columns, summary
from ctxbench.report.further_columns import counter
from ctxbench.report.several import of_runs
from ctxbench.subject.bind import is_built_in
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, frame

if TYPE_CHECKING:
    import pandas as pd

Own = Literal["last", "first"]
SHORT = {
    "macs": "gmacs",
    "flops": "gflops",
    "memory": "mem_alloc_mib",
    "latency": "lat_median_ms",
    "throughput": "throughput_img_per_s",
    "energy": "energy_mj",
    "accuracy": "miou_pct",
    "form": "implementation",
}
"""Short words for the usual columns; all others go by their names in ``summary.csv``."""
DIGITS = 3
"""Significant digits of the columns that somebody chose, where they choose no others."""
MOST_DIGITS = 17
"""A double has no more."""


@dataclass(frozen=True)
class View:
    """What a table of records shows, and in which order. Raises UserError for what no table could show.

    ``columns`` are names of columns, from left to right; none are all that say something. ``sort`` is the
    column whose least value stands first, with empty cells last; by default rows keep their order. ``digits``
    are significant ones. Modules that are not built in, the user's own, stand ``own``: last or first.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""
    digits: int | None = None
    own: Own = "last"

    def __post_init__(self) -> None:
        if self.digits is not None and not 1 <= self.digits <= MOST_DIGITS:
            raise UserError(f"a number has 1 to {MOST_DIGITS} significant digits, not {self.digits}")
        if self.own not in ("last", "first"):
            raise UserError(f"own rows stand last or first, not {self.own!r}")
        if twice := [name for name, times in Counter(map(_long, self.columns)).items() if times > 1]:
            raise UserError(f"the column {twice[0]} is asked for twice")

    def check(self, records: Sequence[Record]) -> None:
        """Raise UserError where a column is asked for that these records do not have."""
        self.chosen(records)
        self.arranged(records)

    def chosen(self, records: Sequence[Record]) -> list[Column[Record]]:
        """The columns asked for. A usual one that stands alone under its header needs nothing below that."""
        known = _known(records)
        chosen = [_column(name, known) for name in self.columns]
        alike = Counter(column.header for column in chosen)
        return [
            replace(column, part="")
            if column.name in SHORT.values() and alike[column.header] == 1
            else column
            for column in chosen
        ]

    def rounded(self, shown: Iterable[Column[Record]]) -> list[Column[Record]]:
        """The columns with as many digits as are asked for."""
        digits = self.digits or (DIGITS if self.columns else None)
        return [column if digits is None else replace(column, digits=digits) for column in shown]

    def arranged(self, records: Sequence[Record]) -> list[Record]:
        """The records in the order of the rows."""
        if self.sort:
            column = _column(self.sort, _known(records))

            def key(record: Record) -> tuple[bool, Any]:
                value = column.value(record)
                missing = value is None or value != value  # NaN
                return missing, 0 if missing else value

            records = sorted(records, key=key)
        return sorted(records, key=lambda record: is_built_in(record.case.module) == (self.own == "first"))

    def frame(self, records: Sequence[Record]) -> pd.DataFrame:
        """The rows at full precision: all columns, or those chosen between what each is of and its status."""
        if not self.columns:
            return summary(self.arranged(records))
        about = [*of_runs(records), FIXED["status"], FIXED["reason"]]
        named = {column.name: column for column in (*IDENTITY, *self.chosen(records), *about)}
        return frame(list(named.values()), self.arranged(records))


def _long(name: str) -> str:
    return SHORT.get(name, name)


def _known(records: Sequence[Record]) -> dict[str, Column[Record]]:
    """The columns that these records could have, by name."""
    others = map(counter, COUNTERS)
    return {**FIXED, **{column.name: column for column in (*others, *columns(records))}}


def _column(name: str, known: dict[str, Column[Record]]) -> Column[Record]:
    if (long := _long(name)) in known:
        return known[long]
    names = [*SHORT, *(each for each in known if each not in SHORT.values())]
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}? There are " if near else "there are "
    raise UserError(f"no column {name!r}; {hint}{', '.join(names)}")


ALL = View()
"""Everything there is to say, in the order it was asked for, the user's own modules last."""


def conditions(case: Case, free: Collection[str] = ()) -> tuple[str, ...]:
    """What a case was measured under, module and options aside, each condition as text.

    That of the threads is empty where a case takes those there are. So are the fields of the case that are
    ``free``, which are not said; of a shape their letters are.
    """
    sides = zip(
        "NCHW",
        ("batch", "channels", "height", "width"),
        (case.fit or case.batch, *case.shape[1:]),
        strict=True,
    )
    shape = "×".join(letter if name in free else str(number) for letter, name, number in sides)
    runtime = "compiled" if case.runtime == "compile" else case.runtime
    threads = "" if case.threads is None else in_threads(case.threads)
    others = {
        "dtype": case.dtype,
        "layout": case.layout,
        "mode": case.mode,
        "device": case.device,
        "runtime": runtime,
        "threads": threads,
    }
    return (f"input {shape}", *("" if name in free else said for name, said in others.items()))


def in_threads(number: int) -> str:
    """So many CPU threads, in words."""
    return f"{number} CPU thread{'s' if number > 1 else ''}"


def family(case: Case) -> tuple[str, ...]:
    """What a case was measured under, its size aside."""
    return (f"batch {case.fit or case.batch}", f"{case.channels} channels", *conditions(case)[1:])


Parts = Callable[[Case], tuple[str, ...]]


def grouped(records: Sequence[Record], parts: Parts = conditions) -> list[tuple[str, list[Record]]]:
    """Group records by conditions, smallest input first; a label names what the groups do not share."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(records, key=lambda r: r.case.shape):
        groups.setdefault(parts(record.case), []).append(record)
    shared = common(records, parts)
    return [
        (" · ".join(part for part in key if part and part not in shared), group)
        for key, group in groups.items()
    ]


def common(records: Sequence[Record], parts: Parts = conditions) -> list[str]:
    """The conditions that all records share."""
    every = [parts(record.case) for record in records]
    return [same[0] for same in zip(*every, strict=True) if len(set(same)) == 1 and same[0]]
