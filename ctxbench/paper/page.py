"""The index page: every sheet and the ledger in one HTML file that loads nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from ctxbench.files import write_text
from ctxbench.paper.sheet import VERDICTS, Sheet
from ctxbench.table.grid import Grid
from ctxbench.table.html import grid_html
from ctxbench.table.page import drawing, image, page

PAGE = "index.html"
TITLE = "RecoNet, regenerated"
ABOUT = (
    "Tables and figures of Tensor Low-Rank Reconstruction for Semantic Segmentation (Chen et al., ECCV "
    "2020), regenerated from measurements beside what the paper prints. What was not measured is empty, with "
    "the reason."
)


def write_page(folder: Path, book: Sheet, sheets: Sequence[Sheet], *, source: str) -> Path:
    """Write ``index.html``: the ledger, then each sheet with its figure, origin and links to its files.

    The sheets lie in ``folder`` already, written by :func:`~ctxbench.paper.sheet.write_sheet`. ``source``
    is the origin of the page. Raises UserError where it cannot be written.
    """
    text = page(
        "ctxbench.paper",
        "page.html",
        style="verdicts.css",
        title=TITLE,
        about=ABOUT,
        counts=_counts(sheets),
        sections=[_section(folder, sheet) for sheet in (book, *sheets)],
        source=source,
    )
    return write_text(folder / PAGE, text)


@dataclass(frozen=True)
class _Section:
    """A sheet as the template shows it: ``files`` are the kinds that lie beside the page."""

    name: str
    label: str
    grid: Grid
    table: Markup
    pictures: list[Markup]
    files: list[str]
    origin: str


def _section(folder: Path, sheet: Sheet) -> _Section:
    return _Section(
        name=sheet.name,
        label=_label(sheet),
        grid=sheet.grid,
        table=grid_html(sheet.grid, _verdict_of),
        pictures=_pictures(folder, sheet),
        files=[kind for kind in ("csv", "md", "tex") if (folder / f"{sheet.name}.{kind}").exists()],
        origin=sheet.origin,
    )


def _label(sheet: Sheet) -> str:
    """``Table 9`` for table9, and so on."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", sheet.name).replace("_", " ").capitalize()


def _counts(sheets: Iterable[Sheet]) -> dict[str, int]:
    """How many verdicts there are in the tables, of each kind that there is."""
    counted = Counter(verdict for sheet in sheets for verdict in sheet.verdicts.to_numpy().ravel().tolist())
    return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}


def _verdict_of(text: str) -> str:
    """The verdict that a cell says, alone or with more words: ``differs by +0.50``, ``in part: …``."""
    said = (
        verdict for verdict in VERDICTS if text == verdict or text.startswith((f"{verdict} ", f"{verdict}:"))
    )
    return next(said, "")


def _pictures(folder: Path, sheet: Sheet) -> list[Markup]:
    """The sheet's figure as a drawing in the page, and its image files as data, so that nothing is loaded."""
    pictures = []
    if sheet.figure is not None:
        pictures.append(drawing(folder / f"{sheet.name}.svg", sheet.grid.title))
    pictures += map(image, sheet.pictures)
    return pictures
