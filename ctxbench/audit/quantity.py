"""Printed numbers with a unit, such as ``19.33G`` or ``88.00MB``: digits, and what the unit may mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log

from ctxbench.errors import UserError
from ctxbench.paper.printed.table10 import fits

_NUMBER = re.compile(
    r"\+?(?P<digits>\d+(?:\.\d+)?)\s*(?P<prefix>[KMGT])"
    r"(?P<rest>|i?B|FLOPS?|MACS?|MADDS?|MULT-ADDS|OPS)",
    re.IGNORECASE,
)
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
NEAR = 2.0
"""A factor: values within it of the printed number say how likely a fit by chance is."""


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
        """Read ``19.33G``, ``2.4 GMACs``, ``+43.1GFLOPs`` (arithmetic) or ``88.00MB``, ``1.2GiB`` (memory).

        G may be 10⁹ or 2³⁰, MB 2²⁰ or 10⁶ bytes, MiB is 2²⁰. Whether FLOPs or MACs stands there says
        nothing, since papers call either by both names. Raises UserError where the text is no such number.
        """
        found = _NUMBER.fullmatch(text.strip())
        if found is None or not float(found["digits"]):
            raise UserError(
                f"{text!r} is no printed number with a unit, such as 19.33G, 24.1GMACs or 88.00MB"
            )
        prefix, rest = found["prefix"].upper(), found["rest"]
        is_memory = rest.upper().endswith("B")
        power = "KMGT".index(prefix) + 1
        name = prefix + (rest if is_memory else "")
        decimal, binary = (10, 3 * power), (2, 10 * power)
        order = (binary, decimal) if is_memory else (decimal, binary)
        units = tuple(
            Unit(f"{name} = {base}{str(exponent).translate(_SUPERSCRIPTS)}", base**exponent)
            for base, exponent in (order[:1] if rest.lower() == "ib" else order)
        )
        return cls(found["digits"], name, is_memory, units)

    def __str__(self) -> str:
        return f"{self.digits} {self.unit}"

    @property
    def value(self) -> float:
        """The number in its unit."""
        return float(self.digits)

    @property
    def width(self) -> float:
        """The probability that a number within :data:`NEAR` of this one, log-uniform, prints as this one."""
        half = 0.5 * 10.0 ** -len(self.digits.partition(".")[2])
        return log((self.value + half) / max(self.value - half, self.value / NEAR)) / log(NEAR**2)

    def fits(self, value: float) -> bool:
        """Whether ``value``, in this unit, prints with these digits."""
        return fits(value, self.digits)

    def is_near(self, value: float) -> bool:
        """Whether ``value``, in this unit, is within :data:`NEAR` of the number."""
        return self.value / NEAR <= value <= self.value * NEAR

    def error(self, value: float) -> float:
        """The relative deviation of ``value`` from the number."""
        return value / self.value - 1
