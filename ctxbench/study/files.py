"""The files of a probe or a study: its tables as CSV, Markdown, LaTeX and a page, and its figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ctxbench.files import write_text
from ctxbench.table.grid import Grid
from ctxbench.table.html import grid_html
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.page import drawing, page
from ctxbench.table.style import save

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

PAGE = "report.html"


class Made(Protocol):
    """By what a result was made."""

    @property
    def command(self) -> tuple[str, ...]:
        """By which it was begun."""

    @property
    def version(self) -> str:
        """Of ctxbench."""

    @property
    def created_at(self) -> str:
        """When it was begun."""


class Found(Protocol):
    """A result with tables and a frame."""

    def grids(self) -> Sequence[Grid]:
        """Its tables."""

    def to_frame(self) -> pd.DataFrame:
        """Its rows at full precision."""


def latex(found: Found, name: str) -> str:
    """Its tables in LaTeX."""
    labels = (f"tab:{name}" + (f"-{number}" if number else "") for number in range(len(found.grids())))
    return "\n".join(
        grid_latex(grid, f"{grid.title}.", label) for grid, label in zip(found.grids(), labels, strict=True)
    )


def markdown(found: Found) -> str:
    """Its tables in Markdown."""
    return "\n".join(map(grid_markdown, found.grids()))


def write_result(
    folder: Path,
    name: str,
    plan: Made,
    found: Found,
    *,
    title: str,
    figures: Mapping[str, Figure],
) -> list[Path]:
    """Write ``NAME.csv``, ``.md``, ``.tex``, the figures, and the page; each file whole.

    Raises UserError where the folder cannot be written.
    """
    made = f"`{shlex.join(plan.command)}`, " if plan.command else ""
    origin = f"Made by {made}ctxbench {plan.version}, begun {plan.created_at}."
    drawn = {label: save(figure, folder / label) for label, figure in figures.items()}
    pictures = "\n".join(f"![{label}]({label}.png)" for label in drawn)
    text = page(
        "ctxbench.study",
        "page.html",
        title=title,
        source=origin,
        grids=found.grids(),
        table=grid_html,
        figures=[
            (label, drawing(path, label))
            for label, paths in drawn.items()
            for path in paths
            if path.suffix == ".svg"
        ],
    )
    return [
        write_text(folder / f"{name}.csv", found.to_frame().to_csv(index=False)),
        write_text(folder / f"{name}.md", f"{origin}\n\n{markdown(found)}\n{pictures}\n"),
        write_text(folder / f"{name}.tex", latex(found, name)),
        write_text(folder / PAGE, text),
        *(path for paths in drawn.values() for path in paths),
    ]
