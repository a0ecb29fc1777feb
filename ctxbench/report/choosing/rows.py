"""A record among those to choose from, judged by budgets.

What was measured is judged by the 95 % interval of its median: a row fits a budget that the whole interval
keeps, and misses one that no part of it keeps; between them it is unsure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from typing import Literal

from ctxbench.measure.records import Record
from ctxbench.report.choosing.quantities import Limit, Reading
from ctxbench.table.column import signed, significant

Verdict = Literal["fits", "unsure", "misses", "not known"]
WORSE: tuple[Verdict, ...] = ("fits", "unsure", "not known", "misses")
"""A row's verdict is that of its budgets which stands last here."""
ORDER: tuple[Verdict, ...] = ("fits", "unsure", "misses", "not known")
"""In which rows stand."""


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
        if self.reading is None:
            return inf
        excess = log(self.reading.value / self.limit.value) if self.reading.value else -inf
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
            if of.column.unit == "%":  # of which a percentage would be read as points
                return f"{of.name} {signed(reading.value - self.limit.value)} points"
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
    """What it trades with latency on each front that it stands on: no other row is better in both."""

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
