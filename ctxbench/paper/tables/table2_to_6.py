"""Tables 2 to 6: the scores of each method as printed, with own runs as further rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from ctxbench.paper import printed
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.offers.evaluations import PAPERS_SETTING
from ctxbench.paper.own_runs import RECONET, REPORTED, OwnRun, Placed, place
from ctxbench.paper.provenance import evaluated
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.scores import Marks, dots, judgement, notes, shown, title
from ctxbench.table.column import Column, frame, lay_out, raw

METRICS = {"pixel_acc": "pixel accuracy", "miou": "mIoU"}
THE_PAPERS, ITS_AUTHORS = "the paper's", "its authors'"


@dataclass(frozen=True)
class MethodRow:
    """A method as printed (``row`` is ``printed``), a run (``run 1``), or that there is no run (``run``).

    ``scores`` are printed ones, as text; ``placed`` are those of a run. Both are by metric.
    """

    row: str
    method: str
    setting: str
    """The paper's, its authors', or why it is another."""
    backbone: str = ""
    split: str = ""
    evaluated: str = ""
    checkpoint: str = ""
    scores: Mapping[str, str] = field(default_factory=dict)
    placed: Mapping[str, Placed] = field(default_factory=dict)
    run: OwnRun | None = None
    missing: str = ""
    """Why there is no run, and the command that would make one."""


def table2_to_6(table: int, runs: Sequence[OwnRun], none: str, command: str, *, source: str) -> Sheet:
    """A row for each method and run.

    ``none`` says why there are no ``runs``, and ``command`` would make one. ``source`` is the sheet's origin.
    """
    lines = printed.rows(table)
    metrics = {key: words for key, words in METRICS.items() if key in lines[0]}
    as_printed = [_printed_row(table, line, metrics) for line in lines]
    own = [_own_row(table, metrics, number, run) for number, run in enumerate(runs, 1)]
    if not runs:
        own = [MethodRow("run", "own run", NOT_MEASURED, missing=f"{none}: {command}")]
    columns = _columns(metrics, f"Not measured: {none}: `{command}`." if not runs else "")
    grid = lay_out(title(table), columns, [("printed", as_printed), ("own", own)])
    grid.notes += notes(table, runs)
    figure = _figure(table, metrics, runs)
    return Sheet(f"table{table}", grid.title, grid, frame(columns, [*as_printed, *own]), source, figure)


def _printed_row(table: int, line: Mapping[str, str], metrics: Mapping[str, str]) -> MethodRow:
    is_the_papers = line["method"] == RECONET
    return MethodRow(
        row="printed",
        method=line["method"],
        backbone=line.get("backbone", ""),
        split=REPORTED[table].evaluated.split,
        evaluated=PAPERS_SETTING if is_the_papers else "",
        setting=THE_PAPERS if is_the_papers else ITS_AUTHORS,
        scores={key: line[key] for key in metrics},
    )


def _own_row(table: int, metrics: Mapping[str, str], number: int, run: OwnRun) -> MethodRow:
    evaluation, incomparable = run.evaluation, run.incomparable_reason()
    method = run.printed_as(table)
    reference = _reference(table, method, evaluation.backbone)
    differing = run.differing_settings(table, method, reference.get("backbone", ""))
    return MethodRow(
        row=f"run {number}",
        method=evaluation.network,
        backbone=evaluation.backbone,
        split=evaluation.split,
        evaluated=evaluation.setting,
        checkpoint=evaluation.checkpoint,
        setting="; ".join(filter(None, (incomparable, *differing))) or THE_PAPERS,
        placed={key: place(_scores(run)[key], reference[key], differing, incomparable) for key in metrics},
        run=run,
    )


def _reference(table: int, method: str, backbone: str) -> Mapping[str, str]:
    """The method's printed row of that backbone, else of the table's."""
    rows = {row.get("backbone", ""): row for row in printed.rows(table) if row["method"] == method}
    by_registered_name = {name.lower().replace("-", ""): row for name, row in rows.items()}
    return by_registered_name.get(backbone, rows[REPORTED[table].evaluated.backbone])


def _columns(metrics: Mapping[str, str], no_run: str) -> list[Column[MethodRow]]:
    """``no_run`` is the footnote that says why there is none; empty where there is one."""
    about = ("method", "backbone", "split", "evaluated", "checkpoint")
    columns: list[Column[MethodRow]] = [
        raw("row", lambda row: row.row, "text"),
        *(Column(name, name, _attribute(name), kind="text") for name in about),
    ]
    for key, words in metrics.items():
        columns += _of_metric(key, words, has_runs=not no_run)
    columns.append(
        Column(
            "setting", "setting", lambda row: row.setting, kind="text",
            format=lambda text: text if text in (THE_PAPERS, ITS_AUTHORS, NOT_MEASURED) else "another",
            note=lambda row: no_run if row.missing else _another_setting(row),
        )
    )  # fmt: skip
    if not no_run:
        columns += [
            raw("images", lambda row: row.run and row.run.evaluation.images, "int"),
            raw("evaluated_on", lambda row: row.run and evaluated(row.run.evaluation), "text"),
            raw("folder", lambda row: row.run and str(row.run.folder), "text"),
        ]
    return columns


def _attribute(name: str) -> Callable[[MethodRow], str]:
    return lambda row: str(getattr(row, name))


def _another_setting(row: MethodRow) -> str:
    return f"Another setting: {row.setting}." if row.setting not in (THE_PAPERS, ITS_AUTHORS) else ""


def _of_metric(key: str, words: str, *, has_runs: bool) -> list[Column[MethodRow]]:
    """The score as printed or to two decimals, as a number, and the verdict on it."""
    columns: list[Column[MethodRow]] = [
        Column(
            key, words, lambda row: row.scores.get(key) or shown(row.placed.get(key)),
            unit="%", kind="text", in_frame=False,
        ),
        raw(f"{key}_pct", lambda row: _number(row, key)),
        *judgement(key, words, lambda row: row.placed.get(key)),
    ]  # fmt: skip
    if has_runs:
        return columns
    return [
        *(column for column in columns if column.in_grid),
        raw(f"{key}_pct", lambda row: _number(row, key)),
        raw(f"{key}_verdict", lambda row: NOT_MEASURED if row.missing else None, "text"),
        raw(f"{key}_reason", lambda row: row.missing or None, "text"),
    ]


def _number(row: MethodRow, key: str) -> float | None:
    if key in row.placed:
        return row.placed[key].value
    return float(row.scores[key]) if row.scores.get(key) else None


def _scores(run: OwnRun) -> dict[str, float]:
    return {"pixel_acc": run.evaluation.pixel_accuracy, "miou": run.evaluation.reported_miou}


def _figure(table: int, metrics: Mapping[str, str], runs: Sequence[OwnRun]) -> Figure:
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
    return dots(table, labels, panels)
