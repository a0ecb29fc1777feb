"""A column: its name, heading, unit and meaning, how a record fills it, and how a table shows it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ctxbench.measure import stats
from ctxbench.measure.records import Record
from ctxbench.paper.comparison import printed_for

MIB = 2**20

Getter = Callable[[Record], Any]


def significant(value: float, digits: int) -> str:
    """Format a number at ``digits`` significant digits, without an exponent from 1e-4 up."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{digits - 1}e}" if exponent < -4 else f"{rounded:.{max(digits - 1 - exponent, 0)}f}"


@dataclass(frozen=True)
class Column:
    """One column. ``name`` is its key in CSV, unit included.

    In other tables ``header`` stands over neighbours that share it, ``part`` and ``unit`` under it.
    ``value`` takes it from a record at full precision, ``scale`` and ``digits`` say how tables show it,
    ``field`` is the record's field whose reason explains an empty cell, and ``ranked`` that less is better.
    """

    name: str
    header: str
    part: str
    unit: str
    about: str
    value: Getter
    kind: str = "float"
    digits: int = 4
    scale: float = 1.0
    field: str = ""
    ranked: bool = False

    def show(self, record: Record) -> str | None:
        """Return the cell as text for a table; None where nothing was measured."""
        value = self.value(record)
        if value is None or self.kind in ("text", "bool"):
            return None if value in (None, "") else str(value)
        return significant(value * self.scale, self.digits)


def latency(record: Record) -> stats.Summary:
    """Return the statistics of a record's samples."""
    return _latency(tuple(map(tuple, record.rounds_ms)))


@lru_cache(maxsize=4096)  # a bootstrap each, and every table and figure asks again
def _latency(rounds_ms: tuple[tuple[float, ...], ...]) -> stats.Summary:
    return stats.summary(rounds_ms)


def of_record(name: str, unit: float = 1) -> Getter:
    """Take a field of the record, in multiples of ``unit``."""

    def value(record: Record) -> Any:
        raw = getattr(record, name)
        return raw if raw is None or unit == 1 else raw / unit

    return value


def of_case(name: str) -> Getter:
    """Take a field of the record's case."""
    return lambda record: getattr(record.case, name)


def of_latency(name: str) -> Getter:
    """Take a statistic of the record's samples; None where it has none."""
    return lambda record: getattr(latency(record), name) if latency(record).n else None


def of_counter(name: str) -> Getter:
    """Take another counter's GMACs."""
    return lambda record: record.counters.get(name, {}).get("gmacs")


def of_table10(name: str) -> Getter:
    """Take a printed number, where the record's case is the one it was printed for."""
    return lambda record: getattr(printed_for(record.case), name, None)


def text(name: str, header: str, about: str, value: Getter) -> Column:
    """Make a column of words."""
    return Column(name, header, "", "", about, value, "text")


def integer(name: str, header: str, about: str, value: Getter) -> Column:
    """Make a column of whole numbers without a unit."""
    return Column(name, header, "", "", about, value, "int")


def memory(name: str, part: str, about: str, field: str, ranked: bool = False) -> Column:
    """Make a column of MiB from a field in bytes."""
    return Column(name, "memory", part, "MiB", about, of_record(field, MIB), field=field, ranked=ranked)


def milliseconds(name: str, part: str, about: str, statistic: str, ranked: bool = False) -> Column:
    """Make a column of milliseconds from a statistic of the samples."""
    return Column(name, "latency", part, "ms", about, of_latency(statistic), field="rounds_ms", ranked=ranked)
