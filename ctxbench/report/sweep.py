"""How MACs, memory and time grow along one axis: exponents fitted on log-log, beside the claimed O(·).

An exponent is the slope of the least-squares line through the logarithms. Lower-order terms bend that
line, so the slope between the last two points is given too: it tends to the asymptotic exponent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from ctxbench.errors import UserError, in_one_line
from ctxbench.measure import session
from ctxbench.measure.folder import Settings, read_run
from ctxbench.measure.records import Record
from ctxbench.report.order import exponent
from ctxbench.subject import registry
from ctxbench.subject.case import Case, validate
from ctxbench.table.column import MIB

if TYPE_CHECKING:
    import pandas as pd

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
}
"""The axes that a case has by itself: how a plot names each, and the letter it has in an O(·)."""
OPTION_LETTERS = {"rank": "r", "bases": "k"}
"""Options that stand in an O(·) under a letter of their own."""


class Quantity(NamedTuple):
    """What is fitted: a heading, its unit, how a record gives it, and the record's field it comes from."""

    words: str
    unit: str
    value: Callable[[Record], float | None]
    field: str


QUANTITIES = {
    "gmacs": Quantity("MACs of the forward pass", "G", lambda record: _scaled(record.macs, 1e9), "macs"),
    "peak_pred_mib": Quantity(
        "predicted peak memory", "MiB", lambda record: _scaled(record.peak_pred_bytes, MIB), "peak_pred_bytes"
    ),
    "lat_median_ms": Quantity(
        "median latency of one call", "ms", lambda record: record.latency.median_ms, "rounds_ms"
    ),
}

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
        first, last = (abs(_slope(self.x, self.y, at) - self.claimed) for at in (0, -2))
        if last < first - ROUNDING:
            return TOWARDS
        return BELOW if self.slope < self.claimed else ABOVE


@dataclass(frozen=True)
class Sweep:
    """Modules measured along one axis. ``str()`` is a table, :meth:`to_frame` a row per exponent."""

    axis: str
    records: tuple[Record, ...]

    @property
    def growths(self) -> list[Growth]:
        """Every fit, module by module."""
        of = {record.case.id: record for record in self.records}
        lines = [[of[case.id] for case in line] for line in _lines(record.case for record in self.records)]
        return [_growth(self.axis, line, name) for line in lines for name in QUANTITIES]

    def __str__(self) -> str:
        from ctxbench.report.sweep_sheet import sweep_grid
        from ctxbench.table.terminal import plain

        return plain([sweep_grid(self)])

    def to_frame(self) -> pd.DataFrame:
        """A row per module and quantity: exponent, interval, last slope, claim, verdict, points."""
        import pandas as pd

        return pd.DataFrame(
            {
                "module": growth.case.module,
                "implementation": growth.case.implementation,
                "axis": self.axis,
                "quantity": growth.quantity,
                "exponent": growth.slope,
                "ci_lo": growth.low,
                "ci_hi": growth.high,
                "last_exponent": growth.last,
                "claimed": complexity(growth.case),
                "claimed_exponent": growth.claimed,
                "verdict": growth.verdict,
                "x": " ".join(f"{x:g}" for x in growth.x),
                "y": " ".join(f"{y:.6g}" for y in growth.y),
                "reason": growth.reason,
            }
            for growth in self.growths
        )


def sweep(
    cases: Iterable[Case],
    *,
    latency: bool = False,
    out: Path | None = None,
    settings: Settings | None = None,
    command: Sequence[str] = (),
    progress: Callable[[session.Progress], None] | None = None,
) -> Sweep:
    """Count cases that differ along one axis, and fit how each module's cost grows with it.

    ``cases`` are as from :func:`ctxbench.api.cases`: ``sweep(cases("nonlocal", sizes=[16, 32, 64]))``. MACs
    and peak memory come from traces, which take no memory and next to no time. ``latency`` measures too: in
    processes of their own, interleaved, kept in the folder ``out`` from which :func:`resume` can go on.

    Raises UserError where the cases do not lie along one axis or are fewer than three for a module, and
    where a module cannot be built or run.
    """
    cases = list({case.id: case for case in cases}.values())
    axis = axis_of(cases)
    if not latency:
        return Sweep(axis, tuple(map(_counted, cases)))
    run = session.run(cases, settings=settings, out=out, command=command, progress=progress)
    return Sweep(axis, tuple(run.records))


def resume(folder: Path, *, progress: Callable[[session.Progress], None] | None = None) -> Sweep:
    """Go on with an interrupted sweep that measures latency; of a finished run, fit what is there.

    Raises UserError where ``folder`` holds no run, or one whose cases do not lie along one axis.
    """
    axis = axis_of(read_run(folder).plan.cases)
    return Sweep(axis, tuple(session.resume(folder, progress=progress).records))


def axis_of(cases: Iterable[Case]) -> str:
    """The one thing in which a module's cases differ: an axis of :data:`AXES`, or an option's name.

    An option that follows the channels is part of that axis. Raises UserError where there is no such thing,
    or a module has fewer than three cases along it.
    """
    cases = list(cases)
    varying = [name for name in ("channels", "height", "width") if len({getattr(c, name) for c in cases}) > 1]
    if varying == ["height", "width"] and len({case.height / case.width for case in cases}) == 1:
        varying = ["size"]
    axes = varying or sorted({key for line in _lines(cases) for key in _varying_options(line)})
    if len(axes) != 1:
        found = f"these differ in {' and '.join(axes)}" if axes else "nothing differs here"
        raise UserError(f"a sweep goes along one axis (H and W grow together); {found}")
    few = [line for line in _lines(cases) if len({_position(axes[0], case) for case in line}) < MIN_POINTS]
    if few:
        raise UserError(f"an exponent with its interval needs {MIN_POINTS} values of {axes[0]} or more")
    return axes[0]


def complexity(case: Case) -> str:
    """The O(·) its authors claim of a module; empty where none is known."""
    known = registry.spec(case.module)
    return known.complexity if known else ""


def title_of(axis: str) -> tuple[str, str]:
    """An axis in words, and its letter in an O(·)."""
    return AXES.get(axis, (f"option {axis}", OPTION_LETTERS.get(axis, axis)))


def _lines(cases: Iterable[Case]) -> list[list[Case]]:
    lines: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        lines.setdefault((case.module, case.implementation), []).append(case)
    return list(lines.values())


def _varying_options(line: Sequence[Case]) -> set[str]:
    keys = {key for case in line for key in case.options}
    return {key for key in keys if len({repr(case.options.get(key)) for case in line}) > 1}


def _position(axis: str, case: Case) -> float:
    if axis == "size":
        return case.height * case.width
    value = getattr(case, axis) if axis in AXES else case.options.get(axis)
    if not isinstance(value, int):
        raise UserError(f"{case.module}: the axis {axis} takes whole numbers, not {value!r}")
    return value


def _claimed(axis: str, case: Case) -> float | None:
    if axis == "size":
        degree = exponent(complexity(case), "HW")
        return None if degree is None else degree / 2
    known = axis in AXES or axis in OPTION_LETTERS
    return exponent(complexity(case), title_of(axis)[1]) if known else None


def _counted(case: Case) -> Record:
    import torch

    from ctxbench.subject.bind import build_case
    from ctxbench.tracing import trace, views

    validate(case)
    build, dtype = partial(build_case, case), getattr(torch, case.dtype)
    try:
        recorded = trace(build, case.shape, dtype=dtype, layout=case.layout, mode=case.mode)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{case.module} fails on {case.shape}: {in_one_line(error)}") from error
    return Record(
        case,
        macs=views.macs(recorded),
        peak_pred_bytes=views.peak_bytes(recorded, views.CUDA_BLOCK if case.device != "cpu" else 1),
        reasons={"rounds_ms": "not asked for"},
    )


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _slope(x: Sequence[float], y: Sequence[float], at: int) -> float:
    """The slope on log-log between the point ``at`` and the next."""
    (x0, x1), (y0, y1) = (np.log([of[at], of[at + 1]]) for of in (x, y))
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
