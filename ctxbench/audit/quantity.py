"""Printed numbers with a unit, such as ``21.47G``: digits, what the unit may mean, how far a value is off.

A number was brought to its digits by a *printing*: it was rounded to them, or cut off after them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from math import inf, isfinite, log
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctxbench.errors import UserError
from ctxbench.table.column import significant

Kind = Literal["FLOPs", "memory", "parameters"]
"""What is printed of a block."""
KINDS: tuple[Kind, ...] = ("FLOPs", "memory", "parameters")
Floats = NDArray[np.float64]

_NUMBER = re.compile(
    r"\+?(?P<digits>\d+(?:\.\d+)?)\s*(?P<prefix>[KMGT])"
    r"(?P<rest>|i?B|FLOPS?|MACS?|MADDS?|MULT-ADDS|OPS)",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\+?(?P<digits>\d+(?:\.\d+)?)\s*(?P<prefix>[KMGBT]?)(?P<rest>[A-Za-z-]*)", re.IGNORECASE)
_PARAMETERS = re.compile(r"(?P<number>.*\d\s*[KMGB]?)\s*(?:params?|parameters)", re.IGNORECASE)
_COMMA = re.compile(r"\d,\d")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3}){2,}")
_UNITS = {"FLOPs": "21.47G, 2.4GMACs", "memory": "96.50MB, 1.2GiB", "parameters": "0.14M, 25557032"}
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
NEAR = 2.0
"""A factor: values within it of the printed number say how likely a fit by chance is."""
MILLION = 10**6


def prints_as(value: float | None, text: str) -> bool:
    """Whether ``value``, rounded to the decimals of ``text``, prints as ``text`` (2.5 prints as 2)."""
    return value is not None and f"{value:.{_decimals(text)}f}" == text


def is_cut_to(value: float, text: str) -> bool:
    """Whether ``value``, cut off after the decimals of ``text``, leaves ``text`` (25.7698 leaves 25.7)."""
    if abs(value - float(text)) >= 2 * 10.0 ** -_decimals(text):
        return False  # far away; what follows is slow, and fails on numbers of very many digits
    # By way of repr, since the float next to 0.29 lies under it: 100 · 0.29 is 28.999999999999996.
    step = Decimal(1).scaleb(-_decimals(text))
    return Decimal(repr(value)).quantize(step, ROUND_DOWN) == Decimal(text)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _raised(base: int, exponent: int) -> str:
    return f"{base}{str(exponent).translate(_SUPERSCRIPTS)}"


def _plain(digits: str) -> str:
    return re.sub(r"^0+(?=\d)", "", digits)  # 021.47 is printed as 21.47


class Printing(NamedTuple):
    """How a number was brought to the printed digits. Rounding is usual, anything else a deviation.

    ``below`` and ``above`` bound the values that end in the same digits, in units of the last digit;
    ``cell`` tells values in those units apart by the digits that they end in.
    """

    words: str
    deviations: int
    below: float
    above: float
    gives: Callable[[float, str], bool]
    cell: Callable[[Any], Any]


ROUNDED = Printing("rounded", 0, 0.5, 0.5, prints_as, np.rint)
CUT = Printing("cut off, not rounded", 1, 0.0, 1.0, is_cut_to, np.floor)
PRINTINGS = (ROUNDED, CUT)
"""Every printing that is tried, the usual first."""


@dataclass(frozen=True)
class Unit:
    """What a prefix may stand for: in words (``G = 10⁹``), its size, and whether that is a deviation."""

    words: str
    size: int
    deviations: int = 0


def _meanings(name: str, thousands: int, *, binary_first: bool) -> tuple[Unit, ...]:
    """What ``name`` may stand for: so many times a thousand, and so many times 1024."""
    order = ((2, 10 * thousands), (10, 3 * thousands))
    return tuple(
        Unit(f"{name} = {_raised(base, exponent)}", base**exponent, unlikely)
        for unlikely, (base, exponent) in enumerate(order if binary_first else order[::-1])
    )


@dataclass(frozen=True)
class Quantity:
    """A printed number: its digits as printed, its unit as shown, and what that may mean, the usual first."""

    digits: str
    unit: str
    kind: Kind
    units: tuple[Unit, ...]

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read ``21.47G``, ``2.4 GMACs`` (arithmetic), ``96.50MB``, ``1.2GiB`` (memory), ``0.14Mparams``.

        G may be 10⁹ or 2³⁰, MB 2²⁰ or 10⁶ bytes, MiB is 2²⁰. Whether FLOPs or MACs stands there says
        nothing, since papers call either by both names. Raises UserError where the text is no such number.
        """
        if (named := _PARAMETERS.fullmatch(text.strip())) is not None:
            return cls.of("parameters", named["number"])
        parts = _NUMBER.fullmatch(text.strip())
        if parts is None or not float(parts["digits"]) or not isfinite(float(parts["digits"])):
            raise UserError(
                f"{text!r} is no printed number with a unit, such as 21.47G, 24.1GMACs or 96.50MB"
            )
        prefix, rest = parts["prefix"].upper(), parts["rest"]
        is_memory = rest.upper().endswith("B")
        name = prefix + (rest if is_memory else "")
        units = _meanings(name, "KMGT".index(prefix) + 1, binary_first=is_memory)
        if rest.lower() == "ib":
            units = units[:1]
        return cls(_plain(parts["digits"]), name, "memory" if is_memory else "FLOPs", units)

    @classmethod
    def of(cls, kind: Kind, text: str) -> Quantity:
        """Read a number of a kind that is known, as a table's heading says it: ``58.0``, ``0.14M``, ``88MB``.

        Without a unit, FLOPs may be in any power of ten, of which one fits its row, and parameters too.
        Raises UserError, saying what is wrong, where the text is no number of that kind.
        """
        stripped = text.strip()
        if _THOUSANDS.fullmatch(stripped):
            stripped = stripped.replace(",", "")
        if _COMMA.search(stripped):
            raise UserError(f"{kind} {text!r}: a decimal point, not a comma: {stripped.replace(',', '.')}")
        parts = _COUNT.fullmatch(stripped)
        if parts is None or not float(parts["digits"]) or not isfinite(float(parts["digits"])):
            raise UserError(f"{kind} {text!r}: no printed number, such as {_UNITS[kind]}")
        digits, prefix, rest = _plain(parts["digits"]), parts["prefix"].upper(), parts["rest"]
        if not rest and not prefix and kind != "memory":
            powers = {
                power: f"in {_raised(10, power)}" if power else "as it stands" for power in range(0, 13, 3)
            }
            return cls(digits, "", kind, tuple(Unit(words, 10**power) for power, words in powers.items()))
        if not rest and kind == "parameters" and prefix != "T":
            power = {"K": 1, "M": 2, "G": 3, "B": 3}[prefix]
            return cls(digits, prefix, kind, _meanings(prefix, power, binary_first=False))
        try:
            quantity = cls.parse(stripped + "B" * (kind == "memory" and not rest))
        except UserError:
            quantity = None
        if quantity is None or quantity.kind != kind:
            raise UserError(f"{kind} {text!r}: its unit is not known; such as {_UNITS[kind]}")
        return quantity

    def __str__(self) -> str:
        return f"{self.digits} {self.unit}".rstrip()

    def printed(self, value: float) -> str:
        """A value in its unit, with as many decimals."""
        return f"{value:.{_decimals(self.digits)}f} {self.unit}".rstrip()

    @property
    def is_memory(self) -> bool:
        """Whether it is one of bytes."""
        return self.kind == "memory"

    @property
    def step(self) -> float:
        """What its last digit is worth, in its unit."""
        return 10.0 ** -_decimals(self.digits)

    def ends_in(self, values: Floats, printings: Sequence[Printing]) -> NDArray[np.bool_]:
        """Which of many values, in its unit, end in its digits by one of ``printings``."""
        close = np.flatnonzero(np.abs(values - self.value) < 2 * self.step)
        ends = np.zeros(len(values), bool)
        for i in close:
            ends[i] = any(printing.gives(float(values[i]), self.digits) for printing in printings)
        return ends

    def size_near(self, number: float) -> int:
        """The size of the unit in which ``number`` is nearest to this one; of two of a name the usual."""
        usual = [unit.size for unit in self.units if not unit.deviations]
        return min(usual, key=lambda size: self.distance(number / size))

    @property
    def value(self) -> float:
        """The number in its unit."""
        return float(self.digits)

    def share(self, *printings: Printing) -> float:
        """The share of numbers that end in these digits by each one of ``printings``.

        Of numbers that are log-uniform within :data:`NEAR` of this one.
        """
        low = max(self.value - self.step * min(printing.below for printing in printings), self.value / NEAR)
        high = min(self.value + self.step * min(printing.above for printing in printings), self.value * NEAR)
        return log(high / low) / log(NEAR**2)

    def are_near(self, values: Floats) -> NDArray[np.bool_]:
        """Which of many values, in this unit, are within :data:`NEAR` of the number."""
        return (self.value / NEAR <= values) & (values <= self.value * NEAR)

    def distances(self, values: Floats) -> Floats:
        """:meth:`distance` of many values."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.abs(np.log(np.maximum(values, 0) / self.value)), inf)

    def distance(self, value: float) -> float:
        """How far ``value``, in this unit, is off: |ln(value / number)|, so that twice is as far as half."""
        return abs(log(value / self.value)) if value > 0 else inf

    def error(self, value: float) -> float:
        """The relative deviation of ``value`` from the number."""
        return value / self.value - 1

    def off(self, value: float) -> str:
        """In words how far ``value`` is off: ``+1.2 %``, ``5.3 times``, ``1/12``."""
        ratio = value / self.value
        if 0.5 <= ratio < 1.99:  # a percentage beyond it would print as +1e+02 %
            return f"{100 * self.error(value):+.2g} %"
        if ratio > 1:
            return "over a million times" if ratio > MILLION else f"{significant(ratio, 2)} times"
        return "under a millionth" if ratio < 1 / MILLION else f"1/{significant(1 / ratio, 2)}"
