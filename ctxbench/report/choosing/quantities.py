"""What a choice is made by: where each quantity stands in a record, its units, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED
from ctxbench.report.view import SHORT
from ctxbench.table.column import MIB, Column, significant
from ctxbench.typed import MEMORY, Units, amount


class Reading(NamedTuple):
    """What is known of a quantity: its value, and the ends between which it surely lies."""

    value: float
    low: float
    high: float


# The sizes of units are in the unit of the column's values.
TIMES: Units = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1e3}
RATES: Units = {"/s": 1, "img/s": 1, "/min": 1 / 60}
SIZES: Units = {unit: size / MIB for unit, size in MEMORY.items()}
ENERGIES: Units = {"uJ": 1e-3, "µJ": 1e-3, "mJ": 1, "J": 1e3}
PREFIXES: Units = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def _counts(of: str, unit: float) -> Units:
    """Prefixes alone, or before what is counted: ``1.5G`` is ``1.5GMACs``."""
    return {f"{prefix}{what}": size / unit for what in ("", of) for prefix, size in PREFIXES.items()}


@dataclass(frozen=True)
class Quantity:
    """A quantity of a row. Its name is what :data:`~ctxbench.report.view.SHORT` calls its column, or more."""

    name: str
    units: Units
    example: str
    """A value as it is typed."""
    column_name: str = ""
    """In ``summary.csv``, where ``SHORT`` has none."""
    less_is_better: bool = True
    ends: Callable[[Record], tuple[float, float]] | None = None
    """Of a value that was measured: between which two it surely lies."""
    p: Callable[[Record, Record], float | None] | None = None
    """Of two records having it equal, where that is known by more than the ends of each."""

    @property
    def column(self) -> Column[Record]:
        """Where it stands in tables of records."""
        return FIXED[self.column_name or SHORT[self.name]]

    @property
    def flag(self) -> Literal["max", "min"]:
        """Which budget there is of it: a most or a least."""
        return "max" if self.less_is_better else "min"

    @property
    def superlative(self) -> str:
        """The best there is, in words."""
        return f"{'least' if self.less_is_better else 'most'} {self.name}"

    def read(self, record: Record) -> Reading | None:
        """What a record says of it; None where it says nothing."""
        value = self.column.value(record)
        if value is None:
            return None
        low, high = self.ends(record) if self.ends else (value, value)
        return Reading(value, low, high)

    def span(self, reading: Reading) -> str:
        """Between which ends it lies: ``19.2 to 20.7 ms``; of a lower bound, ``1.20 G or more``."""
        if reading.high == inf:
            value = self.shown(reading.value)
            return f"{value} or more" if reading.low else f"{value} without an interval"
        low, high = self.shown(reading.low), self.shown(reading.high)
        unit = high.partition(" ")[2]
        return high if low == high else f"{low.removesuffix(f' {unit}')} to {high}"

    def told(self, reading: Reading) -> str:
        """Its value, and between which ends it lies where these are apart."""
        value = self.shown(reading.value)
        if reading.high == inf:
            return self.span(reading)
        return value if reading.low == reading.high else f"{value} ({self.span(reading)})"

    def shown(self, value: float) -> str:
        """A value with its unit: of those units a table may choose from, in the one that suits it."""
        column = self.column
        if not value:
            return "0"
        if column.units is None:
            return f"{significant(value, 3)} {column.unit}"
        sizes = {unit: size / column.units[column.unit] for unit, size in column.units.items()}
        scale = self.column.scale
        unit = next((unit for unit in reversed(sizes) if sizes[unit] <= value * scale), next(iter(sizes)))
        return f"{significant(value * scale / sizes[unit], 3)} {unit}".rstrip()


def _of_latency(record: Record) -> tuple[float, float]:
    """The ends of the median's interval; without one it may be anything."""
    latency = record.latency
    return (0.0, inf) if latency.lo_ms is None or latency.hi_ms is None else (latency.lo_ms, latency.hi_ms)


def _of_throughput(record: Record) -> tuple[float, float]:
    low, high = _of_latency(record)
    return 1000 * record.case.batch / high, 1000 * record.case.batch / low if low else inf


def _of_accuracy(record: Record) -> tuple[float, float]:
    """The ends of the interval over seeds and images; from one seed it may be anything."""
    found = record.accuracy
    if found is None or found.low_pct is None or found.high_pct is None:
        return 0.0, inf
    return found.low_pct, found.high_pct


def _p_of_accuracy(record: Record, other: Record) -> float | None:
    """The study's paired test; a block is equal to itself."""
    if record.case.id == other.case.id:
        return 1.0
    return record.accuracy.p.get(other.case.id) if record.accuracy is not None else None


def _of_count(name: str) -> Callable[[Record], tuple[float, float]]:
    """A count that lacks operations is a lower bound."""

    def ends(record: Record) -> tuple[float, float]:
        value = FIXED[name].value(record)
        return value, inf if record.unknown_ops else value

    return ends


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("latency", TIMES, "20ms", ends=_of_latency),
        Quantity("throughput", RATES, "50/s", less_is_better=False, ends=_of_throughput),
        Quantity("memory", SIZES, "64MiB"),
        Quantity("process", SIZES, "64MiB", "mem_process_mib"),
        Quantity("macs", _counts("MACs", 1e9), "1.5G", ends=_of_count("gmacs")),
        Quantity("flops", _counts("FLOPs", 1e9), "3G", ends=_of_count("gflops")),
        Quantity("params", _counts("", 1), "2M", "params"),
        Quantity("energy", ENERGIES, "5mJ"),
        Quantity("accuracy", {"%": 1}, "20%", less_is_better=False, ends=_of_accuracy, p=_p_of_accuracy),
    )
}
"""Every quantity that a choice can be made by, by the name it is typed under."""


def quantity(name: str) -> Quantity:
    """A quantity by its name. Raises UserError, naming those there are, where there is no such."""
    if name not in QUANTITIES:
        raise UserError(f"no quantity {name!r}; there are {', '.join(QUANTITIES)}")
    return QUANTITIES[name]


@dataclass(frozen=True)
class Limit:
    """A budget: the most of a quantity, or the least of one of which more is better."""

    quantity: Quantity
    value: float
    """In the unit of the quantity's column."""
    typed: str
    """As it was typed: a number and a unit."""

    def __str__(self) -> str:
        return f"{self.quantity.name} {'≤' if self.quantity.less_is_better else '≥'} {self.typed}"


def limits(most: Sequence[str] = (), least: Sequence[str] = ()) -> tuple[Limit, ...]:
    """Budgets as they are typed: ``latency=20ms`` is a most, ``throughput=50/s`` a least.

    Raises UserError where one is not so, limits the good side of its quantity, or limits one twice.
    """
    found: dict[str, Limit] = {}
    for flag, texts in (("max", most), ("min", least)):
        for text in texts:
            limit = _limit(flag, text)
            if limit.quantity.name in found:
                raise UserError(f"{limit.quantity.name} is limited twice: give one --{flag} of it")
            found[limit.quantity.name] = limit
    return tuple(found.values())


def _limit(flag: str, text: str) -> Limit:
    name, equals, typed = (part.strip() for part in text.partition("="))
    if not equals:
        raise UserError(f"--{flag} takes QUANTITY=VALUE, such as latency=20ms, not {text!r}")
    of = quantity(name)
    if flag != of.flag:
        better = "less" if of.less_is_better else "more"
        raise UserError(f"of {name} {better} is better: limit it by --{of.flag} {name}={typed or of.example}")
    found = amount(typed, of.units)
    if found is None:
        known = ", ".join(unit or "no unit" for unit in of.units if not unit.startswith("µ"))
        raise UserError(
            f"--{flag} {name} takes a number and a unit ({known}), such as {of.example}; not {typed!r}"
        )
    if not found.is_positive:
        raise UserError(f"--{flag} {name} takes a positive number, such as {of.example}; not {typed!r}")
    return Limit(of, found.value, f"{found.number} {found.unit}".rstrip())
