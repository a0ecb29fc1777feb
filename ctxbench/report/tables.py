"""The tables of a set of records: for a terminal, in Markdown, and in LaTeX."""

from collections.abc import Sequence

from ctxbench import shelf
from ctxbench.measure.records import Record
from ctxbench.report.columns import columns
from ctxbench.report.layout import grid
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import glossary, grid_markdown

CONVENTION = (
    "MACs are multiply-accumulates of every convolution and matrix product, every call, in G = 10^9; "
    "FLOPs are 2 MACs + element-wise operations; memory is in MiB above parameters and input."
)
LABEL = "tab:ctxbench"
"""Of the main table in LaTeX; those after it are numbered."""


def grids(records: Sequence[Record]) -> list[Grid]:
    """The main table, and the papers' on the shelf: each offer ``record_sheets`` takes the records."""
    sheets: list[Grid] = [sheet for offer in shelf.offers("record_sheets") for sheet in offer(records)]
    return [grid(records), *sheets]


def markdown(tables: Sequence[Grid], records: Sequence[Record]) -> str:
    """Tables of these records as GitHub Markdown, followed by the meaning of each column."""
    drawn = "\n".join(map(grid_markdown, tables))
    return f"{drawn}\n### What the columns of summary.csv mean\n\n{glossary(columns(records))}"


def latex(tables: Sequence[Grid]) -> str:
    r"""Tables as LaTeX; the preamble needs ``\usepackage{booktabs}``."""
    return "\n".join(
        grid_latex(table, f"{table.title}. {CONVENTION}", _label(table, number))
        for number, table in enumerate(tables)
    )


def _label(table: Grid, number: int) -> str:
    if table.name:
        return f"tab:{table.name}"
    return f"{LABEL}-{number}" if number else LABEL
