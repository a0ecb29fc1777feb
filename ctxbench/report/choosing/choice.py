"""Rows judged by budgets: which fit, which do not and by how much, which stand on a front, which is best.

What was measured is judged by the 95 % interval of its median: a row fits a budget that the whole interval
keeps, and misses one that no part of it keeps; between them it is unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log
from typing import Literal

from ctxbench.measure.records import Record
from ctxbench.report.choosing.quantities import QUANTITIES, Limit, Quantity, Reading
from ctxbench.report.layout import names
from ctxbench.report.view import common, conditions, family, grouped
from ctxbench.subject.case import Case
from ctxbench.table.column import signed, significant

Verdict = Literal["fits", "unsure", "misses", "not known"]
WORSE: tuple[Verdict, ...] = ("fits", "unsure", "not known", "misses")
"""A row's verdict is that of its budgets which stands last here."""
ORDER: tuple[Verdict, ...] = ("fits", "unsure", "misses", "not known")
"""In which rows stand."""
ALWAYS = ("latency", "memory", "macs")
"""Quantities that are shown whether there is a budget of them or not."""
FRONTS = (("latency", "memory"), ("latency", "macs"))
"""Pairs of quantities in which a front is looked for. Less of each is better."""


@dataclass(frozen=True)
class Judgement:
    """A row under one budget."""

    limit: Limit
    reading: Reading | None
    why: str = ""
    """Why nothing is known."""

    @property
    def verdict(self) -> Verdict:
        """Whether the row keeps the budget, by both ends of what is known."""
        if self.reading is None:
            return "not known"
        _, low, high = self.reading
        if self.limit.quantity.less_is_better:
            surely, perhaps = high <= self.limit.value, low <= self.limit.value
        else:
            surely, perhaps = low >= self.limit.value, high >= self.limit.value
        return "fits" if surely else "unsure" if perhaps else "misses"

    @property
    def excess(self) -> float:
        """How far the value misses the budget, as the logarithm of a factor: above 0 where it does."""
        if self.reading is None or not self.reading.value:
            return inf if self.reading is None else -inf
        excess = log(self.reading.value / self.limit.value)
        return excess if self.limit.quantity.less_is_better else -excess

    @property
    def words(self) -> str:
        """How it misses the budget, ``latency +35 %``, or why that is not sure; empty where it fits."""
        of, reading = self.limit.quantity, self.reading
        if self.verdict == "fits":
            return ""
        if reading is None:
            return f"{of.name} not known"
        if self.verdict == "misses":
            ratio = reading.value / self.limit.value
            return f"{of.name} {f'×{significant(ratio, 3)}' if ratio >= 2 else _percent(ratio)}"
        return f"{of.name} {of.span(reading)} against {self.limit.typed}"


def _percent(ratio: float) -> str:
    """By how much a ratio is above or below 1."""
    off = 100 * (ratio - 1)
    return f"{signed(off, 1 if abs(off) < 10 else 0)} %"


@dataclass(frozen=True)
class Row:
    """A record among those to choose from."""

    record: Record
    name: str
    """The module, with form, options and run where the others hold it in several."""
    under: str
    """The conditions that it does not share with all others."""
    judgements: tuple[Judgement, ...]
    fronts: tuple[str, ...] = ()
    """What it trades with latency on each front that it stands on: no other row has less of both."""

    @property
    def label(self) -> str:
        """What tells it from the others, in one line."""
        return f"{self.name} ({self.under})" if self.under else self.name

    @property
    def verdict(self) -> Verdict:
        """Of all budgets together; of a row that did not run to its end, that it is not known."""
        if self.record.status != "ok":
            return "not known"
        return max((judgement.verdict for judgement in self.judgements), key=WORSE.index, default="fits")

    @property
    def excess(self) -> float:
        """How far it misses the budget that it misses most, as :attr:`Judgement.excess`."""
        if self.record.status != "ok":
            return inf
        return max((judgement.excess for judgement in self.judgements), default=-inf)

    @property
    def misses(self) -> str:
        """Which budgets it misses, and by how much."""
        if self.record.status != "ok":
            return self.record.status
        return ", ".join(filter(None, (judgement.words for judgement in self.judgements)))


@dataclass(frozen=True)
class Task:
    """Rows that do the same work, the best first: ``label`` says which, where there are several."""

    label: str
    rows: tuple[Row, ...]
    best: Quantity

    @property
    def records(self) -> list[Record]:
        """Of its rows, in their order."""
        return [row.record for row in self.rows]

    @cached_property
    def fitting(self) -> list[Row]:
        """The rows that surely keep every budget."""
        return [row for row in self.rows if row.verdict == "fits"]

    @property
    def recommended(self) -> Row | None:
        """The best of those that fit; None where none does, or of none that does the best is known."""
        first = next(iter(self.fitting), None)
        return first if first is not None and self.best.read(first.record) else None

    @property
    def advice(self) -> str:
        """Which row to take and why; where nothing fits, what comes nearest and how far it misses."""
        if not self.fitting:
            return self._nearest
        row = self.recommended
        if row is None:
            why = self.best.column.why
            said = f": {why(self.fitting[0].record)}" if why else ""
            return f"{len(self.fitting)} fit, but the {self.best.name} of none of them is known{said}."
        reading = self.best.read(row.record)
        assert reading is not None
        of = "the one row that fits" if len(self.fitting) == 1 else f"the {len(self.fitting)} rows that fit"
        told = f"Take {row.label}: {self.best.superlative} of {of}, {self.best.told(reading)}"
        return f"{told}{self._next(reading)}."

    def _next(self, first: Reading) -> str:
        """How the next best row stands to the best one."""
        second = self.fitting[1] if len(self.fitting) > 1 else None
        reading = self.best.read(second.record) if second else None
        if second is None or reading is None:
            return ""
        if reading.value == first.value:
            return f", as much as {second.label}, which is not quicker"
        less = self.best.less_is_better
        apart = first.high < reading.low if less else first.low > reading.high
        if not apart:
            return f"; not surely {'less' if less else 'more'} than {second.label}, {self.best.told(reading)}"
        return f"; next is {second.label}, {self.best.told(reading)}"

    @property
    def unknown(self) -> dict[str, list[Row]]:
        """The rows that cannot be judged, by what there is a budget of and is not known of them, and why."""
        rows: dict[str, list[Row]] = {}
        for row in self.rows:
            missing = [each for each in row.judgements if each.verdict == "not known"]
            if row.verdict == "not known" and row.record.status == "ok":
                rows.setdefault("; ".join(f"{m.limit.quantity.name}: {m.why}" for m in missing), []).append(
                    row
                )
        return rows

    @property
    def _nearest(self) -> str:
        unsure = [row for row in self.rows if row.verdict == "unsure"]
        if unsure:
            return f"Nothing surely fits. {unsure[0].label} may: {unsure[0].misses}."
        known = [row for row in self.rows if row.excess < inf]
        if not known:
            return "Nothing fits: of no row is all known that there is a budget of."
        row = min(known, key=lambda row: row.excess)
        return f"Nothing fits. Nearest is {row.label}: {row.misses}."


def tasks(records: Sequence[Record], limits: Sequence[Limit], best: Quantity) -> list[Task]:
    """Judge records, of one run or several, task by task.

    A task is a shape and a mode, since a block that does less work is no better for it. The batch belongs to
    it but where images per second are asked for, by which batches compare.
    """
    per_image = QUANTITIES["throughput"] in (best, *(limit.quantity for limit in limits))

    def work(case: Case) -> tuple[str, ...]:
        shape = conditions(case)[0]
        return (f"input N×{shape.partition('×')[2]}" if per_image else shape, case.mode)

    return [
        Task(label, _ordered(_rows(group, limits), best), best) for label, group in grouped(records, work)
    ]


def _rows(records: Sequence[Record], limits: Sequence[Limit]) -> list[Row]:
    shared = set(common(records, family))
    fronts = {y: _front(records, QUANTITIES[x], QUANTITIES[y]) for x, y in FRONTS}

    def row(record: Record, name: str) -> Row:
        under = [part for part in family(record.case) if part and part not in shared]
        on = tuple(y for y, front in fronts.items() if id(record) in front)
        return Row(record, name, " · ".join(under), tuple(_judge(record, limit) for limit in limits), on)

    return [row(record, name) for record, name in zip(records, names(records), strict=True)]


def _judge(record: Record, limit: Limit) -> Judgement:
    reading = limit.quantity.read(record)
    why = limit.quantity.column.why
    return Judgement(limit, reading, why(record) if reading is None and why else "")


def _front(records: Sequence[Record], x: Quantity, y: Quantity) -> set[int]:
    """The records than which none has less of one quantity and as little of the other, by their values.

    A count that lacks operations may be more than it says, and stands on no front.
    """
    points = {}
    for record in records:
        at, up = x.read(record), y.read(record)
        if at is not None and up is not None and up.high == up.value:
            points[id(record)] = at.value, up.value
    front, last = set(), (inf, inf)
    for key, point in sorted(points.items(), key=lambda item: item[1]):
        if point[1] < last[1] or point == last:
            front.add(key)
            last = point
    return front


def _ordered(rows: Sequence[Row], best: Quantity) -> tuple[Row, ...]:
    """Those that fit first, the best of them on top; those that miss by how far they do."""

    def key(row: Row) -> tuple[float, ...]:
        reading, median = best.read(row.record), row.record.latency.median_ms
        value = inf if reading is None else reading.value if best.less_is_better else -reading.value
        far = row.excess if row.verdict == "misses" else 0.0
        return (ORDER.index(row.verdict), far, value, inf if median is None else median)

    return tuple(sorted(rows, key=key))
