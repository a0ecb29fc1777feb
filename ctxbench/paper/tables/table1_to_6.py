"""Tables 1 to 6: the printed scores, with the user's own evaluated runs placed in them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle
from math import isnan

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from ctxbench.evaluate.predictions import VOC
from ctxbench.paper import printed
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.evaluations import PAPERS_SETTING, SINGLE_SCALE
from ctxbench.paper.own_runs import RECONET, REPORTED, OwnRun, Placed, for_table, place
from ctxbench.paper.provenance import evaluated
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.style import OTHERS, PALETTE, STYLE, canvas
from ctxbench.train.presets import PRESETS

METRICS = {"pixel_acc": "pixel accuracy", "miou": "mIoU"}
ABOUT = ("method", "backbone", "split", "evaluated", "checkpoint")
LOOKS = (("o", "#999999"), ("D", PALETTE["reconet"]), *zip("s^vP", reversed(OTHERS), strict=True))
"""Marker and colour: of what is printed, of RecoNet's, of runs."""

Marks = Mapping[str, Sequence[tuple[int, float, str]]]
"""Marks by name: row, counted from the top, score in %, and what is written beside it."""


def results_table(table: int, runs: Sequence[OwnRun], *, source: str, placing: bool = False) -> Sheet:
    """Table 1 to 6 as printed, with ``runs`` as further rows, or columns of Table 1.

    ``source`` is the sheet's origin. Runs of another data set are left out with ``placing``, else refused:
    UserError names the first.
    """
    chosen, none = for_table(runs, table, placing=placing)
    return _classes(chosen, none, source) if table == 1 else _methods(table, chosen, none, source)


def miou_columns(runs: Sequence[OwnRun]) -> dict[str, dict[str, Placed]]:
    """Table 9's scores: by a network's name, ``miou_ss`` and ``miou_ms_flip`` beside the printed ones.

    ``runs`` are of the table's data set; those of other networks or scales have no place there. Of several
    for one place, the first that is comparable stands, else the first.
    """
    rows = {printed.plain_name(row["method"]): row for row in printed.rows(9) if row["miou_ss"]}
    settings = {"miou_ss": SINGLE_SCALE, "miou_ms_flip": PAPERS_SETTING}
    columns: dict[str, dict[str, Placed]] = {}
    for run in runs:
        row = rows.get(run.evaluation.network)
        name = next((key for key, words in settings.items() if words == run.evaluation.setting), None)
        if row is None or name is None:
            continue
        placed = place(run.evaluation.miou, row[name], run.departures(9, row["method"]), run.barred())
        placed = replace(placed, on=evaluated(run.evaluation))
        standing = columns.setdefault(run.evaluation.network, {}).setdefault(name, placed)
        if standing.difference is None and placed.difference is not None:
            columns[run.evaluation.network][name] = placed
    return columns


def commands(table: int) -> str:
    """The commands that would place a run in Table 1 to 6 or 9."""
    preset = PRESETS[REPORTED[table].preset]
    folder = f"runs/{preset.name}"
    return (
        f"{preset.command} && ctxbench eval {folder} --ms-flip && ctxbench paper table{table} --run {folder}"
    )


def _methods(table: int, runs: Sequence[OwnRun], none: str, source: str) -> Sheet:
    """Tables 2 to 6: a row for each method. ``none`` says why there are no ``runs``."""
    metrics = {key: words for key, words in METRICS.items() if key in printed.rows(table)[0]}
    grid = Grid(_title(table), [Heading(name, name) for name in ABOUT])
    for key, words in metrics.items():
        grid.headings += [
            Heading(f"{key}_pct", words, "", "%"),
            Heading(f"{key}_verdict", words, "verdict"),
        ]
    grid.headings.append(Heading("setting", "setting"))
    theirs = [_printed_row(table, row, metrics) for row in printed.rows(table)]
    ours = [_own_row(grid, table, metrics, number, run) for number, run in enumerate(runs, 1)]
    if not runs:
        note = grid.footnote(f"Not measured: {none}: `{commands(table)}`.")
        rest = [Cell(EMPTY)] * (len(grid.headings) - 2)
        reasons = {f"{key}_reason": f"{none}: {commands(table)}" for key in metrics}
        verdicts = dict.fromkeys((f"{key}_verdict" for key in metrics), NOT_MEASURED)
        ours = [
            ([Cell("own run"), *rest, Cell(NOT_MEASURED, note=note)], {"row": "run", **verdicts, **reasons})
        ]
    grid.groups += [
        Group("printed", [cells for cells, _ in theirs]),
        Group("own", [cells for cells, _ in ours]),
    ]
    grid.notes += _notes(table, runs)
    frame = pd.DataFrame([row for _, row in chain(theirs, ours)])
    figure = _methods_figure(table, metrics, runs)
    return Sheet(f"table{table}", grid.title, grid, frame, source, figure)


Row = tuple[list[Cell], dict[str, object]]
"""A row of the table, and of the raw numbers."""


def _printed_row(table: int, row: Mapping[str, str], metrics: Mapping[str, str]) -> Row:
    own = row["method"] == RECONET
    split = REPORTED[table].evaluated.split
    about = (row["method"], row.get("backbone", ""), split, PAPERS_SETTING if own else "", "")
    scores = [cell for key in metrics for cell in (Cell(row[key] or EMPTY), Cell(EMPTY))]
    numbers = {f"{key}_pct": float(row[key]) if row[key] else None for key in metrics}
    setting = "the paper's" if own else "its authors'"
    cells = [*(Cell(text or EMPTY) for text in about), *scores, Cell(setting)]
    return cells, {"row": "printed", **dict(zip(ABOUT, about, strict=True)), **numbers}


def _own_row(grid: Grid, table: int, metrics: Mapping[str, str], number: int, run: OwnRun) -> Row:
    found, barred = run.evaluation, run.barred()
    reference = _reference(table, found.backbone)
    departures = run.departures(table, backbone=reference.get("backbone", ""))
    placed = {key: place(_scores(run)[key], reference[key], departures, barred) for key in metrics}
    about = (found.network, found.backbone, found.split, found.setting, found.checkpoint)
    why = "; ".join(filter(None, (barred, *departures)))
    setting = Cell("another", note=grid.footnote(f"Another setting: {why}.")) if why else Cell("the paper's")
    scores = [cell for each in placed.values() for cell in _cells(grid, each)]
    cells = [*(Cell(text or EMPTY) for text in about), *scores, setting]
    return cells, {
        "row": f"run {number}",
        **dict(zip(ABOUT, about, strict=True)),
        **{name: value for key, each in placed.items() for name, value in _raw(key, each).items()},
        "images": found.images,
        "setting": why or "the paper's",
        "evaluated_on": evaluated(found),
        "folder": str(run.folder),
    }


def _classes(runs: Sequence[OwnRun], none: str, source: str) -> Sheet:
    """Table 1: a row for each class, a column for each method and run. ``none`` is as for the others."""
    rows = printed.rows(1)
    methods = [name for name in rows[0] if name != "class"]
    grid = Grid(_title(1), [Heading("class", "class"), *(Heading(m, "printed", m, "%") for m in methods)])
    columns: list[list[Placed]] = []
    for number, run in enumerate(runs, 1):
        departures, barred = run.departures(1), run.barred()
        pairs = zip(_class_scores(run), rows, strict=True)
        columns.append([place(score, row[RECONET], departures, barred) for score, row in pairs])
        header = f"run {number}"
        grid.headings.append(Heading(f"run{number}_pct", header, "IoU", "%"))
        grid.headings.append(Heading(f"run{number}_verdict", header, "verdict"))
    cells: list[list[Cell]] = []
    frame: list[dict[str, object]] = []
    for at, row in enumerate(rows):
        cells.append([Cell(text) for text in row.values()])
        frame.append({"class": row["class"], **{f"{name}_pct": float(row[name]) for name in methods}})
        for number, (run, column) in enumerate(zip(runs, columns, strict=True), 1):
            cells[-1] += _cells(grid, column[at])
            frame[-1] |= {
                **_raw(f"run{number}", column[at]),
                f"run{number}": f"{run.folder}: {_about(run, 1)}",
                f"run{number}_evaluated_on": evaluated(run.evaluation),
            }
        if not runs:
            frame[-1] |= {"verdict": NOT_MEASURED, "reason": f"{none}: {commands(1)}"}
    grid.groups += [Group("", cells[:-1]), Group("", cells[-1:])]
    grid.notes += _notes(1, runs)
    for number, run in enumerate(runs, 1):
        grid.notes.append(f"Run {number}: {_about(run, 1)}.")
    if not runs:
        grid.notes.append(f"Not measured: {none}: `{commands(1)}`.")
    return Sheet("table1", grid.title, grid, pd.DataFrame(frame), source, _classes_figure(runs))


def _about(run: OwnRun, table: int) -> str:
    why = "; ".join(filter(None, (run.barred(), *run.departures(table))))
    return f"{run.evaluation.about}; " + (f"another setting: {why}" if why else "the paper's setting")


def _title(table: int) -> str:
    return f"Table {table} of the paper: {REPORTED[table].title}"


def _reference(table: int, backbone: str) -> Mapping[str, str]:
    """RecoNet's printed row of that backbone, else of the table's."""
    rows = {row.get("backbone", ""): row for row in printed.rows(table) if row["method"] == RECONET}
    named = {name.lower().replace("-", ""): row for name, row in rows.items()}
    return named.get(backbone, rows[REPORTED[table].evaluated.backbone])


def _cells(grid: Grid, placed: Placed) -> list[Cell]:
    """Score, and verdict with the difference in points; why nothing is compared is a footnote."""
    value = EMPTY if isnan(placed.value) else f"{placed.value:.2f}"
    if placed.difference is None:
        note = grid.footnote(f"{placed.reason[0].upper()}{placed.reason[1:]}.")
        return [Cell(value), Cell(NOT_MEASURED, note=note)]
    points = f" by {placed.difference:+.2f}" if placed.verdict == DIFFERS else ""
    return [Cell(value), Cell(f"{placed.verdict}{points}")]


def _raw(key: str, placed: Placed) -> dict[str, object]:
    return {
        f"{key}_pct": placed.value,
        f"{key}_printed_pct": float(placed.printed),
        f"{key}_difference_points": placed.difference,
        f"{key}_verdict": placed.verdict,
        f"{key}_reason": placed.reason,
    }


def _notes(table: int, runs: Sequence[OwnRun]) -> list[str]:
    notes = ["Verdicts are on the printed RecoNet; differences in points, the run's score less the printed."]
    if any(run.evaluation.dataset in VOC for run in runs):
        notes.append("VOC's test set is scored by its server alone; another split's score is another number.")
    if table == 2:
        notes.append("The table's other methods have lost their names in the copy it was taken from.")
    if table == 5:
        notes.append("The paper says 500 test images; SIFT-Flow's authors' list has 200.")
    notes += [f"Run {n} was evaluated on {evaluated(run.evaluation)}." for n, run in enumerate(runs, 1)]
    return notes


def _methods_figure(table: int, metrics: Mapping[str, str], runs: Sequence[OwnRun]) -> Figure:
    rows = printed.rows(table)
    labels = [" ".join(filter(None, (row["method"], row.get("backbone")))) for row in rows]
    labels += [
        f"run {n}: {run.evaluation.network}, {run.evaluation.setting}" for n, run in enumerate(runs, 1)
    ]
    panels: dict[str, Marks] = {}
    for key, words in metrics.items():
        marks: dict[str, list[tuple[int, float, str]]] = {"printed": [], f"printed {RECONET}": []}
        for number, row in enumerate(rows):
            if row[key]:
                name = f"printed {RECONET}" if row["method"] == RECONET else "printed"
                marks[name].append((number, float(row[key]), row[key]))
        if runs:
            scores = [_scores(run)[key] for run in runs]
            marks["own runs"] = [(len(rows) + n, score, f"{score:.2f}") for n, score in enumerate(scores)]
        panels[f"{words} [%]"] = marks
    return _dots(_title(table), labels, panels)


def _classes_figure(runs: Sequence[OwnRun]) -> Figure:
    rows = printed.rows(1)
    others = [name for name in rows[0] if name not in ("class", RECONET)]
    marks = {
        "printed": [(n, float(row[name]), "") for n, row in enumerate(rows) for name in others],
        f"printed {RECONET}": [(n, float(row[RECONET]), "") for n, row in enumerate(rows)],
        **{
            f"run {n}": [(at, score, "") for at, score in enumerate(_class_scores(run))]
            for n, run in enumerate(runs, 1)
        },
    }
    return _dots(_title(1), [row["class"] for row in rows], {"IoU [%]": marks})


def _dots(title: str, labels: Sequence[str], panels: Mapping[str, Marks]) -> Figure:
    """Draw each score as a mark in its row, the first on top."""
    with rc_context(STYLE):
        figure = canvas(4.5 + 4 * len(panels), 1.8 + 0.28 * len(labels))
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)
        for axes, (name, marks) in zip(grid[0], panels.items(), strict=True):
            for (series, points), (shape, colour) in zip(marks.items(), cycle(LOOKS)):
                shown = [point for point in points if not isnan(point[1])]
                x, y = [score for _, score, _ in shown], [row for row, _, _ in shown]
                axes.scatter(x, y, marker=shape, color=colour, label=series, zorder=3)
                for row, score, text in shown:
                    axes.annotate(text, (score, row), (7, 0), textcoords="offset points", va="center")
            axes.set_title(name)
            axes.margins(x=0.15)
        grid[0][0].set_yticks(range(len(labels)), labels)
        grid[0][0].invert_yaxis()
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.suptitle(title, fontweight="bold")
    return figure


def _scores(run: OwnRun) -> dict[str, float]:
    return {"pixel_acc": run.evaluation.pixel_accuracy, "miou": run.evaluation.miou}


def _class_scores(run: OwnRun) -> list[float]:
    """IoU of VOC's classes but the background, then the mean over all."""
    return [*map(float, run.evaluation.iou[1:]), run.evaluation.miou]
