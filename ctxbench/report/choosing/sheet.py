"""A choice as it is looked at: a table for each task, and what to take of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctxbench.errors import UserError
from ctxbench.files import write_text, writing
from ctxbench.measure.folder import Run, read_run
from ctxbench.measure.records import Record
from ctxbench.report.choosing.choice import ALWAYS, Task, tasks
from ctxbench.report.choosing.quantities import QUANTITIES, Limit, Quantity, quantity
from ctxbench.report.choosing.quantities import limits as parsed
from ctxbench.report.choosing.rows import Row
from ctxbench.report.columns import FIXED, IDENTITY, LATENCY_CI, NOT_COUNTED, ODD
from ctxbench.report.further_columns import MIOU_CI, found_under
from ctxbench.report.layout import caption, noise, remarks
from ctxbench.report.several import Source, check_different, of_runs, read_runs, said_of_runs
from ctxbench.report.tables import meaning
from ctxbench.report.view import DIGITS
from ctxbench.subject.cases import kept
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd

FITS, NOTHING_FITS = 0, 1
PROCESS = " (`process`, the growth of the process, is measured under every runtime)"
ACCURACY = "accuracy"
INTERVALS = {"latency": LATENCY_CI, ACCURACY: MIOU_CI}
"""Columns that stand behind those of quantities."""
NAMED = 6
"""Rows that a note names; of more, which the table has, it says how many."""
LABEL = "tab:choice"
"""Of the table in LaTeX."""


@dataclass(frozen=True, repr=False)
class Choice(Result):
    """What fits of one run or several: ``str()`` is a table for each task, :meth:`to_frame` a row for each.

    ``tasks`` have the rows, the best first, and which of them to take.
    """

    limits: tuple[Limit, ...]
    best: Quantity
    tasks: tuple[Task, ...]
    sources: Sequence[Source]
    """The runs that the rows are from."""

    @property
    def exit_code(self) -> int:
        """0 where a row surely fits, 1 where none does."""
        return FITS if any(task.fitting for task in self.tasks) else NOTHING_FITS

    @property
    def headline(self) -> str:
        """How many rows fit what, and which to take."""
        verdicts = Counter(row.verdict for task in self.tasks for row in task.rows)
        counted = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
        advice = (f"{task.label}: {task.advice}" if task.label else task.advice for task in self.tasks)
        return f"{self._budget}: {counted}; {' '.join(advice)}"

    @property
    def _budget(self) -> str:
        return ", ".join(map(str, self.limits)) or "no budget"

    def grids(self) -> list[Grid]:
        """A table for each task, what to take under it."""
        return [self._grid(task) for task in self.tasks]

    def _grid(self, task: Task) -> Grid:
        shown = [of.column for of in _shown(task, self.limits, self.best)]
        title = f"Choice within {self._budget}" if self.limits else f"Choice by {self.best.superlative}"
        chosen = [
            column for column in _columns(task, self.limits, self.best) if _says_something(column, task)
        ]
        grid = lay_out(f"{title} · {caption(task.records)}", chosen, [("", task.rows)])
        grid.notes += [f"{meaning(shown)}.", *noise(task.records)]
        if any(row.fronts for row in task.rows):
            grid.notes.append(
                "Front: no other row has less of both latency and what is named there, by medians."
            )
        if any("accuracy" in row.fronts for row in task.rows):
            grid.notes.append(
                "Of accuracy more, by means over seeds, whether or not the study tells them apart."
            )
        grid.notes += found_under(task.records)
        grid.notes += said_of_runs(self.sources, ", so the code may not be the cause")
        grid.notes += [note for note in remarks(task.records) if note.startswith((NOT_COUNTED, ODD))]
        for why, rows in task.unknown.items():
            hint = PROCESS if "memory" in why else ""
            named = ", ".join(row.label for row in rows[:NAMED])
            more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
            grid.notes.append(f"Not judged: {named}{more} — {why}{hint}.")
        grid.findings.append(task.advice)
        return grid

    def markdown(self) -> str:
        """The tables in GitHub Markdown."""
        return "\n".join(map(grid_markdown, self.grids()))

    def latex(self) -> str:
        r"""The tables in LaTeX; the preamble needs ``\usepackage{booktabs}``."""
        grids = self.grids()
        labels = [LABEL if len(grids) == 1 else f"{LABEL}-{number}" for number, _ in enumerate(grids, 1)]
        return "\n".join(grid_latex(g, g.title, label) for g, label in zip(grids, labels, strict=True))

    def to_frame(self) -> pd.DataFrame:
        """A row for each row of the runs, in the tables' order: its conditions, its numbers, the verdict."""
        import pandas as pd

        frames = [frame(_columns(task, self.limits, self.best), task.rows) for task in self.tasks]
        return pd.concat(frames, ignore_index=True)


def choose(
    runs: Sequence[Path],
    *,
    most: Sequence[str] = (),
    least: Sequence[str] = (),
    best: str = "latency",
    where: str = "",
    read: Callable[[Path], Run] = read_run,
) -> Choice:
    """Judge the rows of runs, each of which ``read`` reads, by budgets.

    ``most`` and ``least`` are budgets as :func:`~ctxbench.report.choosing.quantities.limits` reads them,
    ``where`` the rows to choose from as :func:`ctxbench.subject.axes.condition` does. Raises UserError where
    an argument or a run cannot be read, or of accuracy where there is none, or that of several studies.
    """
    budget, by = parsed(most, least), quantity(best)
    if not runs:
        raise UserError("name a run's folder to choose from")
    check_different(runs)
    sources = read_runs(runs, read)
    records = [record for source in sources for record in source.run.records]
    ids = {case.id for case in kept([record.case for record in records], where)}
    wanted = [record for record in records if record.case.id in ids]
    if ACCURACY in _asked(budget, by):
        _check_studied(wanted)
    return Choice(budget, by, tuple(tasks(wanted, budget, by)), sources)


def _check_studied(records: Sequence[Record]) -> None:
    studies = dict.fromkeys(record.origin for record in records if record.accuracy is not None)
    if not studies:
        raise UserError("these runs hold no accuracy, which is what ctxbench study finds: give its folder")
    if len(studies) > 1:
        raise UserError("accuracies of several studies are not compared: give the folder of one")


def _asked(limits: Sequence[Limit], best: Quantity) -> set[str]:
    """The quantities that a choice is made by."""
    return {best.name, *(limit.quantity.name for limit in limits)}


def _shown(task: Task, limits: Sequence[Limit], best: Quantity) -> list[Quantity]:
    """The quantities that a table shows."""
    there = any(record.accuracy is not None for record in task.records)
    wanted = {*ALWAYS, *_asked(limits, best), *([ACCURACY] if there else [])}
    return [of for name, of in QUANTITIES.items() if name in wanted]


def _columns(task: Task, limits: Sequence[Limit], best: Quantity) -> list[Column[Row]]:
    taken = task.recommended
    chosen: Column[Row] = Column(
        "name", "module", lambda row: row.name, kind="text", emphasis=lambda row: row is taken, in_frame=False
    )
    under: Column[Row] = Column("under", "under", lambda row: row.under, kind="text", in_frame=False)
    verdict: Column[Row] = Column(
        "verdict", "verdict", lambda row: row.verdict, kind="text", emphasis=lambda row: row is taken,
        note=lambda row: row.record.reason,
        about="Whether it keeps every budget, by the whole interval of what was measured.",
    )  # fmt: skip
    misses: Column[Row] = Column(
        "misses", "misses", lambda row: row.misses, kind="text", rank=1,
        about="The budgets that it does not surely keep, and by how much.",
    )  # fmt: skip
    front: Column[Row] = Column("front", "front", lambda row: ", ".join(row.fronts), kind="text", rank=2)
    asked = _asked(limits, best)
    numbers = []
    for of in _shown(task, limits, best):
        numbers.append(replace(_of_row(of.column), rank=0 if of.name in asked else 3, digits=DIGITS))
        if of.name in INTERVALS:
            numbers.append(_of_row(INTERVALS[of.name]))
    own = (*of_runs(task.records), FIXED["case_id"], *IDENTITY)
    identity = [replace(_of_row(column), in_grid=False) for column in own]
    return [
        chosen, under, *identity, *numbers, verdict, misses,
        *(raw(f"{limit.quantity.name}_off_pct", _off(i)) for i, limit in enumerate(limits)),
        front, raw("recommended", lambda row: row is taken, "bool"),
        *(replace(_of_row(FIXED[name]), in_grid=False) for name in ("status", "reason")),
    ]  # fmt: skip


def _of_row(column: Column[Record]) -> Column[Row]:
    return column.of(lambda row: row.record)


def _off(place: int) -> Callable[[Row], float | None]:
    """By how many percent of it a row is off the budget at this place."""

    def off(row: Row) -> float | None:
        judged = row.judgements[place]
        return None if judged.reading is None else 100 * (judged.reading.value / judged.limit.value - 1)

    return off


def _says_something(column: Column[Row], task: Task) -> bool:
    return column.heading.is_number or any(column.text(row) is not None for row in task.rows)


def write_choice(folder: Path, choice: Choice) -> list[Path]:
    """Write ``choice.csv``, ``choice.md``, ``choice.tex`` and a figure for each task, each file whole.

    Raises UserError where ``folder`` cannot be written.
    """
    from ctxbench.report.choosing.figure import fronts  # Matplotlib takes longer to import than to choose
    from ctxbench.table.style import SMALL, save, stem

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    figures: list[Path] = []
    for task in choice.tasks:
        figure = fronts(task, choice.limits)
        if figure is not None:
            figures += save(figure, folder / stem("fronts", task.label), SMALL)
    shown = "\n".join(f"![{path.stem}]({path.name})" for path in figures if path.suffix == ".png")
    return [
        write_text(folder / "choice.csv", choice.to_frame().to_csv(index=False)),
        write_text(folder / "choice.md", f"{choice.markdown()}\n{shown}\n"),
        write_text(folder / "choice.tex", choice.latex()),
        *figures,
    ]
