"""Slope charts of ranks: which module is quickest at each value of an axis, and who changes places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from textwrap import fill
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.measure.records import Record
from ctxbench.report.figures.along import WORDS, Held, held, too_long, values
from ctxbench.report.layout import caption
from ctxbench.table.style import BRIGHT, COLUMN_IN, SMALL, canvas, colours, ink_on, lines_in

STAYS = "#999999"
"""Of a module that surely changes places with none."""
LEAST = 3
"""Modules below which a table tells as much."""
ACROSS, MOST = 4, 24
"""Panels beside each other, and in all."""
NOTE = 60
"""Characters of a line under a panel."""
PLACE_IN, SLANTED_IN = 0.2, 0.35
"""Inches from a place to the next, and of slanted words over a panel."""
ROOM = 24
"""Characters that stand beside each other over a panel."""

Line = dict[Any, Record]
"""What was measured of a module at each value of the axis."""


def ranks(records: Sequence[Record], axis: str) -> Figure | None:
    """Draw who is how quick, in order, at each value of an axis: a panel for each of the other conditions.

    In colour are those of which one was surely before another at one value and surely behind it at another,
    by the intervals of their medians. A panel is as wide as a column of a paper. None where no three
    modules were measured at two values.
    """
    found = [(group, *_common(group, values(records, axis))) for group in held(records, axis)]
    panels = [(group, at, lines) for group, at, lines in found if len(lines) >= LEAST]
    if not panels:
        return None
    shown = panels[:MOST]
    across = min(ACROSS, len(shown))
    rows = [shown[i : i + across] for i in range(0, len(shown), across)]
    most = [max(len(lines) for _, _, lines in row) for row in rows]
    part = f" · {len(shown)} of {len(panels)} conditions" if len(shown) < len(panels) else ""
    title = f"Ranks by latency; in colour: who surely changes places · {caption(records)}{part}"
    with rc_context(SMALL):
        beside = [0.55 + SLANTED_IN * any(too_long(axis, at, ROOM) for _, at, _ in row) for row in rows]
        height = lines_in(title, COLUMN_IN * across) + sum(beside) + PLACE_IN * sum(most) + 0.2
        figure = canvas(COLUMN_IN * across, height)
        drawn = list(figure.subplots(len(rows), across, squeeze=False, height_ratios=most).flat)
        for axes in drawn[len(shown) :]:
            axes.axis("off")
        for axes, (group, at, lines) in zip(drawn, shown, strict=False):
            _panel(axes, axis, at, lines)
            axes.set_title(group.label)
            if left_out := _left_out(group, axis, at, lines):
                axes.set_xlabel(fill(left_out, NOTE), color="#555555", fontsize=6)
        figure.suptitle(title, fontweight="bold")
    return figure


def _common(group: Held, every: Sequence[Any]) -> tuple[list[Any], dict[str, Line]]:
    """The values of the axis and the modules that are ranked: each of these was measured at each of those.

    Where none is missing all are; else those that leave most to see.
    """
    timed = {
        name: {value: record for value, record in line.items() if record.latency.median_ms is not None}
        for name, line in group.lines.items()
    }
    best: tuple[list[Any], dict[str, Line]] = [], {}
    for number in range(len(every), 1, -1):
        if number * len(timed) <= len(best[0]) * len(best[1]):
            break  # fewer values leave no more to see, whatever is missing
        for chosen in combinations(every, number):
            lines = {name: line for name, line in timed.items() if set(chosen) <= line.keys()}
            if len(lines) > 1 and len(lines) * number > len(best[0]) * len(best[1]):
                best = list(chosen), lines
    return best


def _left_out(group: Held, axis: str, at: Sequence[Any], lines: dict[str, Line]) -> str:
    """What is not ranked, for want of a latency; empty where nothing is."""
    there = dict.fromkeys(value for line in group.lines.values() for value in line)
    missing = [name for name in group.lines if name not in lines]
    missing += [WORDS[axis](value) for value in there if value not in at]
    return f"not ranked, not measured throughout: {', '.join(missing)}" if missing else ""


def _panel(axes: Axes, axis: str, at: Sequence[Any], lines: dict[str, Line]) -> None:
    def median(name: str, value: Any) -> float:
        return lines[name][value].latency.median_ms or 0.0

    order = [sorted(lines, key=lambda name: median(name, value)) for value in at]
    moves = _movers(at, lines)
    colour = colours([lines[name][at[0]] for name in lines if name in moves], BRIGHT)
    for name, line in lines.items():
        is_mover = name in moves
        own = colour[line[at[0]].case.module] if is_mover else STAYS
        places = [names.index(name) + 1 for names in order]
        axes.plot(places, color=own, linewidth=1.8 if is_mover else 0.8, zorder=3 if is_mover else 2)
        axes.plot(places, "o", color=own, markersize=8, zorder=4, clip_on=False)
        for x, place in enumerate(places):
            axes.text(
                x, place, str(place), ha="center", va="center_baseline", fontsize=5.5, zorder=5,
                color=ink_on(own),
            )  # fmt: skip
        style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 6.5}
        style["color"] = "black" if is_mover else "#555555"
        axes.annotate(name, (0, places[0]), (-7, 0), ha="right", **style)
        axes.annotate(name, (len(at) - 1, places[-1]), (7, 0), ha="left", **style)
    slanted: dict[str, Any] = {"rotation": 30, "ha": "left", "rotation_mode": "anchor"}
    words = [WORDS[axis](value) for value in at]
    axes.set_xticks(range(len(at)), words, **(slanted if too_long(axis, at, ROOM) else {}))
    axes.tick_params(axis="x", length=0, top=False, labeltop=True, labelbottom=False)
    axes.set_yticks([])
    axes.set_ylim(len(lines) + 0.6, 0.4)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def _movers(at: Sequence[Any], lines: dict[str, Line]) -> set[str]:
    """Those that stand surely before another at one value and surely behind it at another."""

    def before(one: str, other: str, value: Any) -> bool:
        high, low = lines[one][value].latency.hi_ms, lines[other][value].latency.lo_ms
        return high is not None and low is not None and high < low

    return {
        name
        for one, other in combinations(lines, 2)
        if any(before(one, other, value) for value in at) and any(before(other, one, value) for value in at)
        for name in (one, other)
    }
