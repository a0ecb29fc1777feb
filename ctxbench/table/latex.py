r"""Grids as LaTeX tables that need ``\usepackage{booktabs}`` and nothing else.

A table stands in one column of a two-column paper where it can, else across both (``table*``). How wide it
is is known from its text: 8 points in Computer Modern, than which the classes' own fonts are narrower.
"""

import re
from collections.abc import Iterable, Sequence
from math import inf

from ctxbench.table.grid import Cell, Grid, Heading
from ctxbench.table.latex_text import breakable, escape, width_pt

COLUMN_PT, PAGE_PT = 237, 397
"""The narrowest column and the narrowest page that a table is to fit: a column of CVPR (3.28 inches; IEEE's
has 252 points), and the page of NeurIPS (5.5 inches; those of CVPR and IEEE are wider)."""
GAP_PT = 6
"""Between columns."""
LEAST_PT = 60
"""How narrow a column of words may become, whose words then wrap."""
BOLD = 1.18
"""How much wider bold letters are, at most."""
CAPTION_PT = 100
"""Of the longest piece in a caption: LaTeX sets it loosely, and leaves that much of a line empty at most."""


def grid_latex(grid: Grid, caption: str, label: str) -> str:
    """The grid as a ``table`` environment with booktabs rules, and its notes under it.

    Where even a page is too narrow for all columns, they stand in blocks, one under the other, each with the
    first column.
    """
    tabulars, environment = _tabulars(grid)
    notes = [rf"\textsuperscript{{{number}}} {_text(note)}" for number, note in enumerate(grid.footnotes, 1)]
    notes += [_text(note) for note in (*grid.notes, *grid.findings)]
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(breakable(caption, CAPTION_PT))}}}\label{{{label}}}",
        *([rf"\par {escape(breakable(grid.preface, CAPTION_PT))}\par\smallskip"] if grid.preface else []),
        "",
        r"\smallskip",
        "\n\n\\medskip\n".join(tabulars),
    ]
    if notes:
        lines += ["", r"\smallskip\raggedright\scriptsize", *(rf"{note}\par" for note in notes)]
    return "\n".join([*lines, rf"\end{{{environment}}}"]) + "\n"


def _tabulars(grid: Grid) -> tuple[list[str], str]:
    """The grid as one or several tabulars, and the environment that is wide enough for them."""
    if not any(heading.is_number for heading in grid.headings):  # words alone, which wrap
        share = 0.92 / max(len(grid.headings), 1)
        return [_tabular(grid, rf"p{{{share:.3f}\linewidth}}" * len(grid.headings), [])], "table"
    for environment, room in (("table", COLUMN_PT), ("table*", PAGE_PT)):
        if widths := _fitted(grid, room):
            return [_tabular(grid, _alignment(grid), widths)], environment
    blocks = [_only(grid, block) for block in _split(grid)]
    return [_tabular(b, _alignment(b), _fitted(b, PAGE_PT) or _widths(b)) for b in blocks], "table*"


def _only(grid: Grid, kept: Sequence[Heading]) -> Grid:
    return grid.without([heading for heading in grid.headings if heading not in kept])


def _split(grid: Grid) -> list[list[Heading]]:
    """The headings in blocks that each fit a page, with the first heading in each."""
    first, *others = grid.headings
    blocks = [[first]]
    for heading in others:
        if len(blocks[-1]) > 1 and _fitted(_only(grid, [*blocks[-1], heading]), PAGE_PT) is None:
            blocks.append([first])
        blocks[-1].append(heading)
    return blocks


def _alignment(grid: Grid) -> str:
    return "".join("r" if heading.is_number else "l" for heading in grid.headings)


def _fitted(grid: Grid, room: float) -> list[float] | None:
    """The columns' widths in points where they fit, those of words narrowed; None where they cannot."""
    widths = _widths(grid)
    while (excess := sum(widths) + GAP_PT * (len(widths) - 1) - room) > 0:
        wide = [
            i for i, heading in enumerate(grid.headings) if not heading.is_number and widths[i] > LEAST_PT
        ]
        if not wide:
            return None
        widest = max(wide, key=widths.__getitem__)
        widths[widest] = max(LEAST_PT, widths[widest] - excess)
    return widths


def _widths(grid: Grid) -> list[float]:
    """How wide each column is at most, in points, if nothing wraps."""
    spans = grid.spans()
    alone = {span.start for span in spans if len(span.headings) == 1}
    rows = [row for group in grid.groups for row in group.rows]
    widths = []
    for i, heading in enumerate(grid.headings):
        words = (heading.header if i in alone else "", heading.part, f"[{heading.unit}]")
        widths.append(max(*map(width_pt, words), *(_cell_pt(heading, row[i]) for row in rows)))
    for span in spans:  # a header wider than the columns that it spans widens the last of them
        last = span.start + len(span.headings) - 1
        under = sum(widths[span.start : last + 1]) + GAP_PT * (last - span.start)
        widths[last] += max(0.0, width_pt(span.header) - under)
    return widths


def _shown(heading: Heading, cell: Cell) -> str:
    """A cell's text; a number such as 3.28e-05 with a power of ten."""
    if not heading.is_number:
        return cell.text
    return re.sub(r"(?<=\d)e([+-]\d+)$", lambda match: f"×10^{int(match[1])}", cell.text)


def _cell_pt(heading: Heading, cell: Cell) -> float:
    citation = width_pt(" [100]") if cell.cite else 0.0
    text = width_pt(_shown(heading, cell)) * (BOLD if cell.best else 1)
    return text + citation + width_pt(str(cell.note or ""))


def _tabular(grid: Grid, columns: str, widths: Sequence[float]) -> str:
    """A tabular; what is wider than its column's width wraps, where widths are given."""
    room = sum(widths) + GAP_PT * (len(widths) - 1)
    lines = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", *_head(grid), r"\midrule"]
    for number, group in enumerate(grid.groups):
        if number:
            lines.append(r"\addlinespace")
        if group.label:
            label = _fitting(group.label, width_pt(group.label), room if widths else inf, r"\emph")
            lines.append(rf"\multicolumn{{{len(grid.headings)}}}{{@{{}}l@{{}}}}{{{label}}} \\")
        for row in group.rows:
            cells = zip(grid.headings, row, widths or [inf] * len(row), strict=True)
            lines.append(_row(_cell(heading, cell, width) for heading, cell, width in cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _head(grid: Grid) -> list[str]:
    """Set the headings in up to three lines; neighbours that share the first are spanned by it."""
    top, rules = [], []
    for span in grid.spans():
        width = len(span.headings)
        if width > 1:
            top.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(span.header)}}}")
            rules.append(rf"\cmidrule(lr){{{span.start + 1}-{span.start + width}}}")  # LaTeX counts from 1
        else:
            top.append(escape(span.header))
    parts = [escape(heading.part) for heading in grid.headings]
    units = [escape(f"[{heading.unit}]") if heading.unit else "" for heading in grid.headings]
    return [_row(top), *rules, *(_row(line) for line in (parts, units) if any(line))]


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(heading: Heading, cell: Cell, room: float) -> str:
    width = _cell_pt(heading, cell)
    cited = rf"\cite{{{cell.cite}}}" if cell.cite else ""
    tie = "" if not cited else "~" if width <= room else " "
    note = rf"\textsuperscript{{{cell.note}}}" if cell.note else ""
    return _fitting(
        _shown(heading, cell), width, room, r"\textbf" if cell.best else "", f"{tie}{cited}{note}"
    )


def _fitting(text: str, width: float, room: float, style: str, after: str = "") -> str:
    """Text in a style, and what stands after it; in a box as wide as there is room where it is wider."""
    latex = escape(text if width <= room else breakable(text, room / BOLD))
    latex = (f"{style}{{{latex}}}" if style else latex) + after
    return latex if width <= room else rf"\parbox[t]{{{room:.0f}pt}}{{\raggedright {latex}\strut}}"


def _text(text: str) -> str:
    return escape(breakable(text, COLUMN_PT))
