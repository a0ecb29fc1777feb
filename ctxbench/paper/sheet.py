"""One regenerated table or figure of the paper, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ctxbench.files import write_text, writing
from ctxbench.paper.comparison import NOT_MEASURED, NOT_REPRODUCIBLE, REPRODUCED
from ctxbench.table.column import Column, frame, lay_out
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.style import save
from ctxbench.table.terminal import plain

DIFFERS = "differs"
IN_PART = "in part"
VERDICTS = (REPRODUCED, IN_PART, DIFFERS, NOT_REPRODUCIBLE, NOT_MEASURED)
"""What is said of a printed number beside ours. All but the first come with a reason."""


@dataclass(frozen=True)
class Sheet:
    """A table or figure of the paper, regenerated.

    ``name`` is its files' stem (``table10``). ``frame`` holds the raw numbers, units in the column names, one
    row for each row of the table; each column that is called ``verdict`` or ends in ``_verdict`` holds one
    of :data:`VERDICTS`, or nothing where the paper printed no number. ``origin`` says where they come from,
    as :mod:`ctxbench.paper.provenance` has it. ``pictures`` are image files that lie in the folder the
    sheet is written to.
    """

    name: str
    title: str
    grid: Grid
    frame: pd.DataFrame
    origin: str
    figure: Figure | None = None
    pictures: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return plain([self.grid])

    def to_frame(self) -> pd.DataFrame:
        """The raw numbers, a row for each row of the table."""
        return self.frame

    @property
    def verdicts(self) -> pd.DataFrame:
        """The frame's columns of verdicts."""
        return self.frame[[name for name in self.frame if str(name).endswith("verdict")]]

    @property
    def tally(self) -> tuple[int, int]:
        """The number of rows to be measured, and of those of which nothing was, or something failed.

        A ``row`` that is ``printed`` has printed numbers alone; a ``status`` that is not ``ok`` is a failure.
        """
        asked = self.frame["row"] != "printed" if "row" in self.frame else pd.Series(True, self.frame.index)
        missing = (self.verdicts == NOT_MEASURED).all(axis=1) & bool(len(self.verdicts.columns))
        if "status" in self.frame:
            missing |= self.frame["status"] != "ok"
        return int(asked.sum()), int((asked & missing).sum())


def unmeasured(name: str, title: str, reason: str, command: str, *, source: str) -> Sheet:
    """A sheet that could not be made: the ``reason``, and the ``command`` that would make it.

    ``source`` is its origin.
    """
    row = {"table": name, "verdict": NOT_MEASURED, "reason": reason, "command": command}
    columns: list[Column[dict[str, str]]] = [Column(key, key, itemgetter(key), kind="text") for key in row]
    return Sheet(name, title, lay_out(title, columns, [("", [row])]), frame(columns, [row]), source)


def write_sheet(sheet: Sheet, folder: Path) -> list[Path]:
    """Write ``NAME.csv``, ``NAME.md``, ``NAME.tex`` and, of its figure, ``NAME.png`` and ``NAME.svg``.

    Each file is whole or as it was. Raises UserError where ``folder`` cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    figures = save(sheet.figure, folder / sheet.name) if sheet.figure else []
    shown = [path.name for path in figures if path.suffix == ".png"]
    shown += [path.relative_to(folder).as_posix() for path in sheet.pictures]
    images = "".join(f"\n![{sheet.name}]({name})\n" for name in shown)
    return [
        write_text(folder / f"{sheet.name}.csv", sheet.frame.to_csv(index=False)),
        write_text(
            folder / f"{sheet.name}.md", f"{grid_markdown(sheet.grid)}{images}\nMade by: {sheet.origin}\n"
        ),
        write_text(
            folder / f"{sheet.name}.tex",
            grid_latex(sheet.grid, f"{sheet.grid.title}. {sheet.origin}", f"tab:{sheet.name}"),
        ),
        *figures,
    ]
