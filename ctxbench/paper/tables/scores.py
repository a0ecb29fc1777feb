"""What Tables 1 to 6 share: the columns of a run's scores beside the printed ones, their notes and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from math import isnan

from matplotlib import rc_context
from matplotlib.figure import Figure

from ctxbench.evaluate.predictions import VOC
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.paper.own_runs import RECONET, REPORTED, OwnRun, Placed, can_be_run
from ctxbench.paper.provenance import evaluated
from ctxbench.paper.sheet import DIFFERS
from ctxbench.table.column import Column, Row, raw, signed
from ctxbench.table.style import OTHERS, PALETTE, STYLE, canvas

LOOKS = (("o", "#999999"), ("D", PALETTE["reconet"]), *zip("s^vP", reversed(OTHERS), strict=True))
"""Marker and colour: of what is printed, of RecoNet's, of runs."""

Marks = Mapping[str, Sequence[tuple[int, float, str]]]
"""Marks by name: row, counted from the top, score in %, and what is written beside it."""

PlacedOf = Callable[[Row], Placed | None]
"""Takes a run's number out of a row; None where the row has none."""


def title(table: int) -> str:
    """The table's, with what its scores are of."""
    return f"Table {table} of the paper: {REPORTED[table].title}"


def judgement(key: str, header: str, placed_of: PlacedOf[Row]) -> list[Column[Row]]:
    """The verdict on a score, and at full precision the printed score, the difference, and the reason."""

    def of(name: str) -> Callable[[Row], object]:
        return lambda row: getattr(placed_of(row), name, None)

    def printed(row: Row) -> float | None:
        placed = placed_of(row)
        return None if placed is None else float(placed.printed)

    def why(row: Row) -> str:
        placed = placed_of(row)
        return "" if placed is None or placed.difference is not None else _sentence(placed.reason)

    return [
        Column(
            f"{key}_in_words", header, lambda row: _in_words(placed_of(row)), "verdict",
            kind="text", note=why, in_frame=False,
        ),
        raw(f"{key}_printed_pct", printed),
        raw(f"{key}_difference_points", of("difference")),
        raw(f"{key}_verdict", of("verdict"), "text"),
        raw(f"{key}_reason", of("reason"), "text"),
    ]  # fmt: skip


def shown(placed: Placed | None) -> str | None:
    """A run's score in %, to two decimals; None where it has none."""
    return None if placed is None or isnan(placed.value) else f"{placed.value:.2f}"


def _in_words(placed: Placed | None) -> str | None:
    """The verdict, with the difference in points."""
    if placed is None:
        return None
    if placed.difference is None:
        return NOT_MEASURED
    return placed.verdict + (f" by {signed(placed.difference, 2)}" if placed.verdict == DIFFERS else "")


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


def notes(table: int, runs: Sequence[OwnRun]) -> list[str]:
    """What a reader must know of the verdicts, the data set, and where the runs were evaluated."""
    lines = [
        "Verdicts are on the printed RecoNet, or on the run's own network where the table has it; "
        "differences in points, the run's score less the printed.",
        *_runnable(table),
    ]
    if any(run.evaluation.dataset in VOC for run in runs):
        lines.append("VOC's test set is scored by its server alone; another split's score is another number.")
    if table == 2:
        lines.append("The table's other methods have lost their names in the copy it was taken from.")
    if table == 5:
        lines.append("The paper says 500 test images; SIFT-Flow's authors' list has 200.")
    if remark := REPORTED[table].evaluated.remark:
        lines.append(remark)
    lines += [f"Run {n} was evaluated on {evaluated(run.evaluation)}." for n, run in enumerate(runs, 1)]
    return lines


def _runnable(table: int) -> list[str]:
    """Which of the table's methods can be trained here, and how."""
    known = [f"{method} ({model})" for method, model in can_be_run(table).items() if method != RECONET]
    if not known:
        return []
    command = PRESETS[REPORTED[table].preset].command.replace("train ", "train MODEL ", 1)
    return [
        f"Trained here like RecoNet, by `{command}`: {', '.join(known)}. Their printed scores are of their "
        "authors' own training."
    ]


def dots(table: int, labels: Sequence[str], panels: Mapping[str, Marks]) -> Figure:
    """Draw each score as a mark in its row, the first on top. ``panels`` have the marks by metric."""
    with rc_context(STYLE):
        figure = canvas(4.5 + 4 * len(panels), 1.8 + 0.28 * len(labels))
        (row,) = figure.subplots(1, len(panels), squeeze=False, sharey=True)
        for axes, (name, marks) in zip(row, panels.items(), strict=True):
            for (series, points), (shape, colour) in zip(marks.items(), cycle(LOOKS)):
                drawn = [point for point in points if not isnan(point[1])]
                x, y = [score for _, score, _ in drawn], [place for place, _, _ in drawn]
                axes.scatter(x, y, marker=shape, color=colour, label=series, zorder=3)
                for place, score, text in drawn:
                    axes.annotate(text, (score, place), (7, 0), textcoords="offset points", va="center")
            axes.set_title(name)
            axes.margins(x=0.15)
        row[0].set_yticks(range(len(labels)), labels)
        row[0].invert_yaxis()
        figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.suptitle(title(table), fontweight="bold")
    return figure
