"""How a cost grows along one axis: an exponent fitted on log-log, beside the one that its authors claim.

An exponent is the slope of the least-squares line through the logarithms. Lower-order terms bend that
line, so the slope between the last two points is given too: it tends to the asymptotic exponent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED
from ctxbench.subject import registry
from ctxbench.subject.case import Case

MIN_POINTS = 3
"""Two points make a line, but no interval."""
LEVEL = 0.95
ROUNDING = 0.005
"""Exponents are shown to two decimals; a claim that rounds to the interval's end is within it."""

AXES: dict[str, tuple[str, str]] = {
    "size": ("positions n = H·W", "n"),
    "height": ("height H", "H"),
    "width": ("width W", "W"),
    "channels": ("channels C", "C"),
    "batch": ("batch size N", "N"),
    "threads": ("CPU threads t", "t"),
}
"""The axes that a case has by itself: how a plot names each, and the letter it has in an O(·)."""
NOT_CLAIMED = ("batch", "threads")
"""Axes that no O(·) is about: it is of one map, in which N may stand for its positions."""
OPTION_LETTERS = {"rank": "r", "bases": "k"}
"""Options that stand in an O(·) under a letter of their own."""

# A power of a power is left out: Python would work out 9^9^9^9 before anything else sees it.
_TOKEN = re.compile(r"[A-Za-z]|\d+|\^\d+(?![\d^])|[+()]")
_POSITIONS = {"n": "HW", "N": "HW"}
"""n = H·W positions."""


class _Degree(NamedTuple):
    """The degree of a term when letters grow together: sums take the larger, products add."""

    degree: int

    def __add__(self, other: _Degree) -> _Degree:  # type: ignore[override]
        return max(self, other)

    def __mul__(self, other: _Degree) -> _Degree:  # type: ignore[override]
        return _Degree(self.degree + other.degree)

    def __pow__(self, power: int) -> _Degree:
        return _Degree(self.degree * power)


def exponent(complexity: str, letters: Iterable[str]) -> int | None:
    """The degree of ``complexity`` when all ``letters`` grow together: that of its largest term.

    ``exponent("O(CHW(H+W))", "HW")`` is 3. A letter not in it has degree 0, as a number has; n stands for
    H·W. None for a text that is no polynomial of single letters.
    """
    text = re.sub(r"[·*\s]", "", complexity).removeprefix("O").replace("²", "^2").replace("³", "^3")
    if "log" in text or not re.fullmatch(f"({_TOKEN.pattern})+", text):
        return None
    growing = frozenset(letters)

    def source(token: str) -> str:
        if token[0] in "+()":
            return token
        if token[0] == "^":
            return f"**{int(token[1:])}"
        return f"_({sum(letter in growing for letter in _POSITIONS.get(token, token))})"

    # Python's own grammar reads sums, powers and brackets; only what stands side by side lacks its sign.
    python = re.sub(r"(?<=[)\d])(?=[(_])", "*", "".join(map(source, _TOKEN.findall(text))))
    try:
        # Safe: the text holds nothing but numbers, + * ** ( ) and _, which is the class above.
        return int(eval(python, {"__builtins__": {}, "_": _Degree}).degree)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        return None


class Quantity(NamedTuple):
    """What is fitted: a heading, its unit, how a record gives it, and the record's field it comes from."""

    words: str
    unit: str
    value: Callable[[Record], float | None]
    field: str


def _quantity(column: str, words: str, field: str) -> Quantity:
    return Quantity(words, FIXED[column].unit, FIXED[column].value, field)


QUANTITIES = {
    "gmacs": _quantity("gmacs", "MACs of the forward pass", "macs"),
    "peak_pred_mib": _quantity("peak_pred_mib", "predicted peak memory", "peak_pred_bytes"),
    "lat_median_ms": _quantity("lat_median_ms", "median latency of one call", "rounds_ms"),
}
"""By the record's column that each is."""

AS_CLAIMED, TOWARDS, BELOW, ABOVE = "as claimed", "drifts to the claim", "below the claim", "above the claim"
UNDECIDED = "too scattered to say"
WIDEST = 1.0
"""Width of an interval beyond which it tells no order from the next."""


@dataclass(frozen=True)
class Growth:
    """A quantity's exponent along an axis, for one module.

    ``x`` and ``y`` are the points, in the axis's and the quantity's units; ``low`` and ``high`` end the
    slope's 95 % interval (Student's t); ``last`` is the slope between the last two points. Below three points
    there is no fit; ``reason`` says why points are missing.
    """

    case: Case
    quantity: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    claimed: float | None
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    last: float | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """How the exponent stands to the claimed one; empty where either is missing.

        ``drifts to the claim``: the interval does not hold the claimed exponent, but the slope between the
        last two points is nearer to it than that between the first two.
        """
        if self.claimed is None or self.slope is None or self.low is None or self.high is None:
            return ""
        if self.high - self.low > WIDEST:
            return UNDECIDED
        if self.low - ROUNDING <= self.claimed <= self.high + ROUNDING:
            return AS_CLAIMED
        # Lower-order terms weigh less and less: where they hide the claim, the last slope is nearer to it.
        first, last = (abs(_slope(self.x, self.y, at) - self.claimed) for at in (0, -2))
        if last < first - ROUNDING:
            return TOWARDS
        return BELOW if self.slope < self.claimed else ABOVE


def growths(axis: str, records: Iterable[Record]) -> list[Growth]:
    """Every fit along ``axis``, module by module, form by form, quantity by quantity."""
    by_case = {record.case.id: record for record in records}
    lines = lines_of(record.case for record in by_case.values())
    return [
        _growth(axis, [by_case[case.id] for case in line], quantity)
        for line in lines
        for quantity in QUANTITIES
    ]


def axis_of(cases: Iterable[Case]) -> str:
    """The one thing in which a module's cases differ: an axis of :data:`AXES`, or an option's name.

    An option that follows the channels is part of that axis. Raises UserError where there is no such thing,
    or a module has fewer than three cases along it.
    """
    cases = list(cases)
    own = ("batch", "channels", "height", "width", "threads")
    varying = [name for name in own if len({getattr(case, name) for case in cases}) > 1]
    if varying == ["height", "width"] and len({case.height / case.width for case in cases}) == 1:
        varying = ["size"]
    axes = varying or sorted({key for line in lines_of(cases) for key in _varying_options(line)})
    if len(axes) != 1:
        what = f"these differ in {' and '.join(axes)}" if axes else "nothing differs here"
        raise UserError(f"a sweep goes along one axis (H and W grow together); {what}")
    axis = axes[0]
    if any(len({_position(axis, case) for case in line}) < MIN_POINTS for line in lines_of(cases)):
        raise UserError(f"an exponent with its interval needs {MIN_POINTS} values of {axis} or more")
    return axis


def lines_of(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases of each module and form together."""
    lines: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        lines.setdefault((case.module, case.implementation), []).append(case)
    return list(lines.values())


def complexity(case: Case) -> str:
    """The O(·) its authors claim of a module; empty where none is known."""
    spec = registry.spec(case.module)
    return spec.complexity if spec else ""


def title_of(axis: str) -> tuple[str, str]:
    """An axis in words, and its letter in an O(·)."""
    return AXES.get(axis, (f"option {axis}", OPTION_LETTERS.get(axis, axis)))


def _varying_options(line: Sequence[Case]) -> set[str]:
    keys = {key for case in line for key in case.options}
    return {key for key in keys if len({repr(case.options.get(key)) for case in line}) > 1}


def _position(axis: str, case: Case) -> float:
    """Where a case stands on the axis. Raises UserError for an option that is no whole number."""
    if axis == "size":
        return case.height * case.width
    value = getattr(case, axis) if axis in AXES else case.options.get(axis)
    if not isinstance(value, int):
        raise UserError(f"{case.module}: the axis {axis} takes whole numbers, not {value!r}")
    return value


def _claimed(axis: str, case: Case) -> float | None:
    if axis == "size":  # the axis is n = H·W, so that degree 2 in H and W together is degree 1 in n
        degree = exponent(complexity(case), "HW")
        return None if degree is None else degree / 2
    has_letter = axis not in NOT_CLAIMED and (axis in AXES or axis in OPTION_LETTERS)
    return exponent(complexity(case), title_of(axis)[1]) if has_letter else None


def _slope(x: Sequence[float], y: Sequence[float], at: int) -> float:
    """The slope on log-log between the point ``at`` and the next."""
    (x0, x1), (y0, y1) = (np.log([values[at], values[at + 1]]) for values in (x, y))
    return float((y1 - y0) / (x1 - x0))


def _growth(axis: str, line: Sequence[Record], name: str) -> Growth:
    quantity = QUANTITIES[name]
    measured = {_position(axis, record.case): quantity.value(record) for record in line}
    points = {x: y for x, y in sorted(measured.items()) if y is not None}
    x, y = tuple(points), tuple(points.values())
    reasons = [record.reason or record.reasons.get(quantity.field, "") for record in line]
    why = next(filter(None, reasons), "not measured") if len(x) < len(line) else ""
    growth = Growth(line[0].case, name, x, y, _claimed(axis, line[0].case), reason=why)
    if len(x) < MIN_POINTS:
        return growth
    if min(y) <= 0:
        return replace(growth, reason="zero has no logarithm")
    fit = stats.linregress(np.log(x), np.log(y))
    error = fit.stderr if len(set(y)) > 1 else 0  # scipy has none for a constant
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(x) - 2) * error)
    slope = float(fit.slope)
    return replace(growth, slope=slope, low=slope - half, high=slope + half, last=_slope(x, y, -2))
