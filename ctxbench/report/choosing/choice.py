"""Rows that do the same work: which fit, which stand on a front, which is best, and what to take of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from ctxbench.measure.records import Record
from ctxbench.report.choosing.quantities import QUANTITIES, Limit, Quantity
from ctxbench.report.choosing.rows import ORDER, Judgement, Row
from ctxbench.report.layout import names
from ctxbench.report.view import common, conditions, family, grouped
from ctxbench.subject.case import Case

ALWAYS = ("latency", "memory", "macs")
"""Quantities that are shown whether there is a budget of them or not."""
FRONTS = (("latency", "memory"), ("latency", "macs"), ("latency", "accuracy"))
"""Pairs of quantities in which a front is looked for. Less of the first is better."""
LEVEL = 0.05
"""Below which p, corrected, tells two rows apart."""


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
        """The best of those that fit, the quickest of :attr:`alike`.

        None where none fits, or of none that does the best is known.
        """
        return min(self.alike, key=_median, default=None)

    @cached_property
    def alike(self) -> list[Row]:
        """The first of the rows that fit, and those that a study does not tell from it in what is best.

        By tests that hold together (Bonferroni): what is truly best is among them in 95 % of studies. Without
        such tests it is the first alone, and none where nothing of it is known.
        """
        known = [row for row in self.fitting if self.best.read(row.record)]
        p = self.best.p
        if p is None or not known:
            return known[:1]
        first, *others = known
        found = [(row, p(first.record, row.record)) for row in others]
        return [first, *(row for row, value in found if value is None or value * len(found) >= LEVEL)]

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
        first, *others = self.alike
        of = "the one row that fits" if len(self.fitting) == 1 else f"the {len(self.fitting)} rows that fit"
        if row is not first:
            return (
                f"Take {row.label}, {self._told(row)}: the quickest of {len(self.alike)} that the study does "
                f"not tell apart; {self.best.superlative} of {of} is that of {first.label}, "
                f"{self._told(first)}.{self._beside_none(row)}"
            )
        told = f"Take {row.label}: {self.best.superlative} of {of}, {self._told(row)}"
        if others:
            told += (
                f"; the study does not tell it from {', '.join(other.label for other in others)}, not quicker"
            )
        else:
            told += self._next(row)
        return f"{told}.{self._beside_none(row)}"

    def _told(self, row: Row) -> str:
        """What is best of a row, with its interval."""
        reading = self.best.read(row.record)
        return self.best.told(reading) if reading is not None else ""

    def _beside_none(self, row: Row) -> str:
        """How a row's accuracy, where that is what is best, stands to that without a context module."""
        found = row.record.accuracy
        if self.best.name != "accuracy" or found is None or found.none_pct is None or found.miou_pct is None:
            return ""
        told = found.p_none is not None and found.p_none < LEVEL
        stands = "surely more" if found.miou_pct > found.none_pct else "surely less"
        so = f"has {stands}" if told else "is not told from that"
        reached = self.best.shown(found.none_pct)
        return f" No context module, which costs nothing, reaches {reached}: {row.label} {so}."

    def _next(self, row: Row) -> str:
        """How the next best row stands to the best one."""
        first = self.best.read(row.record)
        second = self.fitting[1] if len(self.fitting) > 1 else None
        reading = self.best.read(second.record) if second else None
        if second is None or reading is None or first is None:
            return ""
        if reading.value == first.value:
            return f", as much as {second.label}, which is not quicker"
        less = self.best.less_is_better
        apart = self.best.p is not None or (first.high < reading.low if less else first.low > reading.high)
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


def _median(row: Row) -> float:
    """Its median latency, in ms; no end where none was measured."""
    median = row.record.latency.median_ms
    return inf if median is None else median


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
    """The records than which none is better in one quantity and as good in the other, by their values.

    A count that lacks operations may be more than it says, and stands on no front; accuracies of several
    studies are not compared.
    """
    if y.p is not None and len({record.origin for record in records if y.read(record)}) > 1:
        return set()
    points, sign = {}, 1 if y.less_is_better else -1
    for record in records:
        at, up = x.read(record), y.read(record)
        if at is not None and up is not None and (up.high < inf or y.p is not None):
            points[id(record)] = at.value, sign * up.value
    front, last = set(), (inf, inf)
    for key, point in sorted(points.items(), key=lambda item: item[1]):
        if point[1] < last[1] or point == last:
            front.add(key)
            last = point
    return front


def _ordered(rows: Sequence[Row], best: Quantity) -> tuple[Row, ...]:
    """Those that fit first, the best of them on top; those that miss by how far they do."""

    def key(row: Row) -> tuple[float, ...]:
        reading = best.read(row.record)
        value = inf if reading is None else reading.value if best.less_is_better else -reading.value
        far = row.excess if row.verdict == "misses" else 0.0
        return (ORDER.index(row.verdict), far, value, _median(row))

    return tuple(sorted(rows, key=key))
