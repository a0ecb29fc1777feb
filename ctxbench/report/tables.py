"""The tables of a set of records: for a terminal, in Markdown, and in LaTeX."""

from collections.abc import Sequence

from ctxbench.measure.records import Record
from ctxbench.paper.comparison import compare
from ctxbench.paper.comparison_sheet import table10_grid
from ctxbench.report.columns import columns
from ctxbench.table.grid import Grid, grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import glossary, grid_markdown

CONVENTION = (
    "MACs are multiply-accumulates of every convolution and matrix product, every call, in G = 10^9; "
    "FLOPs are 2 MACs + element-wise operations; memory is in MiB above parameters and input."
)


def grids(records: Sequence[Record]) -> list[Grid]:
    """Return the main table and, where a record has a row in Table 10, the comparison with it."""
    comparisons = compare(records)
    return [grid(records), *([table10_grid(comparisons)] if comparisons else [])]


def markdown(records: Sequence[Record]) -> str:
    """Return both tables as GitHub Markdown, followed by the meaning of each column."""
    tables = "\n".join(grid_markdown(table) for table in grids(records))
    return f"{tables}\n### What the columns of summary.csv mean\n\n{glossary(columns(records))}"


def latex(records: Sequence[Record]) -> str:
    r"""Return both tables as LaTeX; the preamble needs ``\usepackage{booktabs}``."""
    labelled = zip(("tab:ctxbench", "tab:table10"), grids(records), strict=False)
    return "\n".join(grid_latex(table, f"{table.title}. {CONVENTION}", label) for label, table in labelled)
