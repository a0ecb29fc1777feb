"""Printed numbers with a unit, such as ``21.47G``: digits, what the unit may mean, how far a value is off.

A number was brought to its digits by a *printing*: it was rounded to them, or cut off after them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from math import inf, isfinite, log
from typing import NamedTuple

from ctxbench.errors import UserError
from ctxbench.table.column import significant

_NUMBER = re.compile(
    r"\+?(?P<digits>\d+(?:\.\d+)?)\s*(?P<prefix>[KMGT])"
    r"(?P<rest>|i?B|FLOPS?|MACS?|MADDS?|MULT-ADDS|OPS)",
    re.IGNORECASE,
)
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


class Printing(NamedTuple):
    """How a number was brought to the printed digits. Rounding is usual, anything else a deviation.

    ``below`` and ``above`` bound the values that end in the same digits, in units of the last digit.
    """

    words: str
    deviations: int
    below: float
    above: float
    gives: Callable[[float, str], bool]


ROUNDED = Printing("rounded", 0, 0.5, 0.5, prints_as)
CUT = Printing("cut off, not rounded", 1, 0.0, 1.0, is_cut_to)
PRINTINGS = (ROUNDED, CUT)
"""Every printing that is tried, the usual first."""


@dataclass(frozen=True)
class Unit:
    """What a prefix may stand for: in words (``G = 10⁹``), and its size."""

    words: str
    size: int


@dataclass(frozen=True)
class Quantity:
    """A printed number: its digits as printed, its unit as shown, and what that may mean, the usual first."""

    digits: str
    unit: str
    is_memory: bool
    units: tuple[Unit, ...]

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read ``21.47G``, ``2.4 GMACs``, ``+40.3GFLOPs`` (arithmetic) or ``96.50MB``, ``1.2GiB`` (memory).

        G may be 10⁹ or 2³⁰, MB 2²⁰ or 10⁶ bytes, MiB is 2²⁰. Whether FLOPs or MACs stands there says
        nothing, since papers call either by both names. Raises UserError where the text is no such number.
        """
        parts = _NUMBER.fullmatch(text.strip())
        if parts is None or not float(parts["digits"]) or not isfinite(float(parts["digits"])):
            raise UserError(
                f"{text!r} is no printed number with a unit, such as 21.47G, 24.1GMACs or 96.50MB"
            )
        prefix, rest = parts["prefix"].upper(), parts["rest"]
        is_memory = rest.upper().endswith("B")
        power = "KMGT".index(prefix) + 1
        name = prefix + (rest if is_memory else "")
        decimal, binary = (10, 3 * power), (2, 10 * power)
        order = (binary, decimal) if is_memory else (decimal, binary)
        units = tuple(
            Unit(f"{name} = {base}{str(exponent).translate(_SUPERSCRIPTS)}", base**exponent)
            for base, exponent in (order[:1] if rest.lower() == "ib" else order)
        )
        digits = re.sub(r"^0+(?=\d)", "", parts["digits"])  # 021.47 is printed as 21.47
        return cls(digits, name, is_memory, units)

    def __str__(self) -> str:
        return f"{self.digits} {self.unit}"

    @property
    def value(self) -> float:
        """The number in its unit."""
        return float(self.digits)

    def share(self, *printings: Printing) -> float:
        """The share of numbers that end in these digits by each one of ``printings``.

        Of numbers that are log-uniform within :data:`NEAR` of this one.
        """
        last_digit = 10.0 ** -_decimals(self.digits)
        low = max(self.value - last_digit * min(printing.below for printing in printings), self.value / NEAR)
        high = min(self.value + last_digit * min(printing.above for printing in printings), self.value * NEAR)
        return log(high / low) / log(NEAR**2)

    def is_near(self, value: float) -> bool:
        """Whether ``value``, in this unit, is within :data:`NEAR` of the number."""
        return self.value / NEAR <= value <= self.value * NEAR

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
