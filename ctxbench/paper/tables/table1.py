"""Table 1: the IoU of each class of VOC as printed, with own runs as further columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from ctxbench.paper import printed
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.own_runs import RECONET, OwnRun, Placed, place
from ctxbench.paper.provenance import evaluated
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.scores import dots, judgement, notes, shown, title
from ctxbench.table.column import Column, frame, lay_out, raw


@dataclass(frozen=True)
class ClassRow:
    """A class: its printed IoU by method, as text, and that of each run."""

    name: str
    printed: dict[str, str]
    placed: tuple[Placed, ...]


def table1(runs: Sequence[OwnRun], none: str, command: str, *, source: str) -> Sheet:
    """A row for each class, a column for each method and run.

    ``none`` says why there are no ``runs``, and ``command`` would make one. ``source`` is the sheet's origin.
    """
    rows = _rows(runs)
    columns = [*_printed(), *(column for n, run in enumerate(runs, 1) for column in _of_run(n, run))]
    if not runs:
        columns += [
            raw("verdict", lambda row: NOT_MEASURED, "text"),
            raw("reason", lambda row: f"{none}: {command}", "text"),
        ]
    grid = lay_out(title(1), columns, [("", rows[:-1]), ("", rows[-1:])])  # the last is the mean
    grid.notes += notes(1, runs)
    grid.notes += [f"Run {n}: {_about(run)}." for n, run in enumerate(runs, 1)]
    if not runs:
        grid.notes.append(f"Not measured: {none}: `{command}`.")
    return Sheet("table1", grid.title, grid, frame(columns, rows), source, _figure(runs))


def _rows(runs: Sequence[OwnRun]) -> list[ClassRow]:
    lines = printed.rows(1)
    placed = []
    for run in runs:
        method, incomparable = run.printed_as(1), run.incomparable_reason()
        differing = run.differing_settings(1, method)
        scored = zip(_scores(run), lines, strict=True)
        placed.append([place(score, line[method], differing, incomparable) for score, line in scored])
    return [
        ClassRow(line["class"], line, tuple(of_run[i] for of_run in placed)) for i, line in enumerate(lines)
    ]


def _methods() -> list[str]:
    return [name for name in printed.rows(1)[0] if name != "class"]


def _printed() -> list[Column[ClassRow]]:
    columns: list[Column[ClassRow]] = [Column("class", "class", lambda row: row.name, kind="text")]
    return columns + [column for method in _methods() for column in _of_method(method)]


def _of_method(method: str) -> list[Column[ClassRow]]:
    """As printed, with its decimals, and as a number."""
    return [
        Column(
            method, "printed", lambda row: row.printed[method], method, "%", kind="text", in_frame=False
        ),
        raw(f"{method}_pct", lambda row: float(row.printed[method])),
    ]  # fmt: skip


def _of_run(number: int, run: OwnRun) -> list[Column[ClassRow]]:
    def placed(row: ClassRow) -> Placed:
        return row.placed[number - 1]

    key, header = f"run{number}", f"run {number}"
    return [
        Column(f"{key}_iou", header, lambda row: shown(placed(row)), "IoU", "%", kind="text", in_frame=False),
        raw(f"{key}_pct", lambda row: placed(row).value),
        *judgement(key, header, placed),
        raw(key, lambda row: f"{run.folder}: {_about(run)}", "text"),
        raw(f"{key}_evaluated_on", lambda row: evaluated(run.evaluation), "text"),
    ]


def _about(run: OwnRun) -> str:
    differing = run.differing_settings(1, run.printed_as(1))
    why = "; ".join(filter(None, (run.incomparable_reason(), *differing)))
    return f"{run.evaluation.about}; " + (f"another setting: {why}" if why else "the paper's setting")


def _scores(run: OwnRun) -> list[float]:
    """IoU of VOC's classes but the background, then the mean over all."""
    return [*map(float, run.evaluation.iou[1:]), run.evaluation.miou]


def _figure(runs: Sequence[OwnRun]) -> Figure:
    rows = printed.rows(1)
    others = [name for name in _methods() if name != RECONET]
    marks = {
        "printed": [(n, float(row[name]), "") for n, row in enumerate(rows) for name in others],
        f"printed {RECONET}": [(n, float(row[RECONET]), "") for n, row in enumerate(rows)],
        **{
            f"run {n}": [(at, score, "") for at, score in enumerate(_scores(run))]
            for n, run in enumerate(runs, 1)
        },
    }
    return dots(1, [row["class"] for row in rows], {"IoU [%]": marks})
