"""Figures made from records: cost bars, scaling lines, and a roofline. No pyplot, so no global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED, extra, status
from ctxbench.report.figures.labels import Name, place
from ctxbench.report.layout import caption, names
from ctxbench.subject.registry import spec
from ctxbench.table.column import significant
from ctxbench.table.style import STYLE, canvas, colours, log_axis, marker, pale

GREY = "#555555"
ROOM = 0.2
"""Share of a bar panel's width that the number behind a bar may take."""
DIAMOND, APART = 4, 1.5
"""Points: small enough to pass between the numbers of the two bars it belongs to, which give way so far."""

TOLD_APART = 16
"""Modules that a legend beside a roofline has room for; more are named at their points."""


def _value(record: Record, column: str) -> float | None:
    value = FIXED[column].value(record)
    return None if value is None else float(value)


def bars(records: Sequence[Record]) -> Figure:
    """Draw GMACs and GFLOPs, memory, and latency under one set of conditions, cheapest module on top."""
    rows = sorted(records, key=lambda r: (r.macs is None, r.macs))
    with rc_context(STYLE):
        figure = canvas(13.5, 2.2 + 0.5 * len(rows))
        cost, memory, time = figure.subplots(1, 3, sharey=True)
        _bars(cost, rows, {"gmacs": "GMACs", "gflops": "GFLOPs"})
        peaks = {"peak_pred_mib": "predicted", "mem_alloc_mib": "measured"}
        _bars(memory, rows, peaks)
        _bars(time, rows, {"lat_median_ms": "median, whisker: 95 % interval"})
        for y, record in enumerate(rows):
            timed = record.latency
            if timed.median_ms is not None and timed.lo_ms is not None and timed.hi_ms is not None:
                ends = [[timed.median_ms - timed.lo_ms], [timed.hi_ms - timed.median_ms]]
                time.errorbar(timed.median_ms, y, xerr=ends, color="black", capsize=4, linewidth=1.2)
        cost.set_yticks(range(len(rows)), names(rows))
        cost.invert_yaxis()
        cost.set_title("Arithmetic of the forward pass [G]")
        memory.set_title("Peak memory above parameters and input [MiB]")
        time.set_title("Latency of one call [ms]")
        figure.suptitle(caption(rows), fontweight="bold")
    return figure


def _bars(
    axes: Axes,
    rows: Sequence[Record],
    columns: Mapping[str, str],
) -> None:
    colour = colours(rows)
    height = 0.8 / len(columns)
    printed = [column for column in extra(rows).columns if column.beside in columns]
    marks = {
        y: float(value)
        for column in printed
        for y, row in enumerate(rows)
        if (value := column.value(row)) is not None
    }
    ends = ("lat_ci_lo_ms", "lat_ci_hi_ms") if "lat_median_ms" in columns else ()
    values = [_value(row, column) for row in rows for column in (*columns, *ends)]
    shown = [value for value in (*values, *marks.values()) if value] or [1.0]
    left = min(shown) / 2.5
    axes.set_xlim(left, left * (max(shown) / left) ** (1 / (1 - ROOM)))
    log_axis(axes, "x")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for i, column in enumerate(columns):
        for y, row in enumerate(rows):
            at = y + (i - (len(columns) - 1) / 2) * height
            value = _value(row, column)
            end = left if value is None else max(value, left)
            own = colour[row.case.module]
            axes.barh(at, end, height, color=pale(own) if i else own)
            timed = column == "lat_median_ms"
            if timed:
                end = row.latency.hi_ms or end
            noisy = "~" if timed and status(row) == "noisy" else ""
            axes.annotate(
                "not measured" if value is None else noisy + significant(value, 3),
                (end, at),
                (5, APART * (1 - 2 * i) if len(columns) > 1 else 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=8,
                color=GREY if value is None else "black",
            )
    for y, mark in marks.items():
        axes.plot(mark, y, "D", color="white", markeredgecolor="black", markersize=DIAMOND, zorder=5)
    handles: list[Patch | Line2D] = [
        Patch(color=pale(GREY) if i else GREY, label=label) for i, label in enumerate(columns.values())
    ]
    if marks:
        diamond = {"marker": "D", "color": "white", "markeredgecolor": "black", "linestyle": ""}
        handles.append(Line2D([], [], label="printed (paper's rule)", **diamond))  # type: ignore[arg-type]
    legend_below(axes, 0.35, handles=handles, ncols=3, columnspacing=1.2)


def legend_below(axes: Axes, inches: float, **legend: Any) -> None:
    """A legend so far below the axes, however high they are."""
    below = axes.transAxes + ScaledTranslation(0, -inches, axes.figure.dpi_scale_trans)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, **legend)


def exponent(n: Sequence[float], y: Sequence[float]) -> float:
    """The exponent b of y = a·nᵇ, fitted by least squares on the logarithms."""
    return float(np.polyfit(np.log(n), np.log(y), 1)[0])


def scaling(records: Sequence[Record]) -> Figure | None:
    """Draw MACs, memory and latency over n = H·W with fitted exponents; None below two sizes."""
    sizes = {_positions(record) for record in records}
    if len(sizes) < 2:
        return None
    panels = {
        "gmacs": "MACs of the forward pass [G]",
        "peak_pred_mib": "Predicted peak memory [MiB]",
        "lat_median_ms": "Latency of one call, with 95 % interval [ms]",
    }
    with rc_context(STYLE):
        lines = set(names(records))
        figure = canvas(13.5, 5.2 + 0.24 * len(lines))
        for axes, (column, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            _lines(axes, records, column)
            axes.set_title(title)
        warning = "\ntwo sizes only: an exponent is the slope between two points" if len(sizes) == 2 else ""
        figure.suptitle(_heading(records) + warning, fontweight="bold")
    return figure


def _heading(records: Sequence[Record]) -> str:
    """The caption, with the smallest and the largest input where they differ in size."""
    small, large = min(records, key=_positions).case, max(records, key=_positions).case
    if small.shape == large.shape:
        return caption(records)
    sizes = f"{small.height}×{small.width} to {large.height}×{large.width}"
    return f"input {small.batch}×{small.channels}×H×W, {sizes} · {caption(records)}"


def _positions(record: Record) -> int:
    return record.case.height * record.case.width


def _lines(axes: Axes, records: Sequence[Record], column: str) -> None:
    colour = colours(records)
    of_label: dict[str, list[Record]] = {}
    for record, label in zip(records, names(records), strict=True):
        of_label.setdefault(label, []).append(record)
    for label, of in of_label.items():
        line = sorted((record for record in of if _value(record, column)), key=_positions)
        if not line:
            continue
        case = line[0].case
        built_in = spec(case.module)
        n = [_positions(r) for r in line]
        y = [value for r in line if (value := _value(r, column))]
        if len(set(n)) > 1:
            label += f": $n^{{{exponent(n, y):.2f}}}$"
        if column == "gmacs" and built_in and built_in.complexity:
            label += f", claimed {built_in.complexity}"
        dashes = "--" if case.implementation == "published" else "-"
        axes.plot(
            n, y, dashes, color=colour[case.module], marker=marker(case.module), markersize=6, label=label
        )
        if column == "lat_median_ms":
            low = [r.latency.lo_ms or value for r, value in zip(line, y, strict=True)]
            high = [r.latency.hi_ms or value for r, value in zip(line, y, strict=True)]
            axes.fill_between(n, low, high, color=colour[case.module], alpha=0.25, linewidth=0)
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.set_xlabel("positions n = H·W")
    if axes.lines:
        legend_below(axes, 0.5)
    else:
        axes.axis("off")
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)


def roofline(records: Sequence[Record], ceilings: Mapping[str, float]) -> Figure | None:
    """Draw attained GFLOP/s over arithmetic intensity, under the ceilings measured in the run.

    ``ceilings`` has ``gemm_gflops`` (10⁹ FLOP/s) and ``copy_gib_s`` (2³⁰ bytes/s), or is empty. Only forward
    passes are drawn, since only their bytes are known; None where there is none.
    """
    points = [
        (r, x, y) for r in records if (x := _value(r, "intensity_flop_per_byte")) and (y := _attained(r))
    ]
    if not points:
        return None
    drawn = [record for record, _, _ in points]
    colour = colours(drawn)
    of_label: dict[str, list[tuple[Record, float, float]]] = {}
    for point, label in zip(points, names(drawn), strict=True):
        of_label.setdefault(label, []).append(point)
    many = len(of_label) > TOLD_APART
    with rc_context(STYLE):
        figure = canvas(13.5, 9) if many else canvas(10.5, 6)
        axes = figure.subplots()
        if ceilings:
            _roof(axes, [x for _, x, _ in points], ceilings)
        for label, own in of_label.items():
            case = own[0][0].case
            axes.plot(
                [x for _, x, _ in own],
                [y for _, _, y in own],
                linestyle=":" if len(own) > 1 else "",
                color=colour[case.module],
                marker=marker(case.module),
                markersize=9,
                fillstyle="none" if case.implementation == "published" else "full",
                label=label,
            )
        axes.margins(0.12)
        log_axis(axes, "x")
        log_axis(axes, "y")
        axes.set_xlabel("arithmetic intensity [FLOP/byte], nothing staying in cache between operations")
        axes.set_ylabel("attained [GFLOP/s]")
        figure.suptitle(_heading(drawn), fontweight="bold")
        if many:
            figure.draw_without_rendering()  # names are placed in the layout as it will be
            place(axes, [Name(x, y, label) for label, own in of_label.items() for _, x, y in own], 8)
            axes.legend(handles=axes.lines[:1] if ceilings else [], loc="lower right")
        else:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _attained(record: Record) -> float | None:
    median_ms = record.latency.median_ms
    if record.case.mode != "infer" or record.flops is None or not median_ms:
        return None
    return record.flops / (median_ms * 1e6)


def _roof(axes: Axes, intensities: Sequence[float], ceilings: Mapping[str, float]) -> None:
    gemm, copy = ceilings["gemm_gflops"], ceilings["copy_gib_s"]
    bandwidth = copy * 2**30 / 1e9
    ridge = gemm / bandwidth
    x = np.array([min(*intensities, ridge) / 3, ridge, max(*intensities, ridge) * 3])
    label = f"ceilings measured in this run:\ncopy {copy:.1f} GiB/s, GEMM {gemm:.0f} GFLOP/s"
    axes.plot(x, np.minimum(x * bandwidth, gemm), color="black", linewidth=1.8, label=label)
