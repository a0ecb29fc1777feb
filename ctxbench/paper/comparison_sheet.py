"""The comparison with Table 10 as a grid."""

from collections.abc import Sequence

from ctxbench.paper.comparison import Comparison, in_words
from ctxbench.table.column import significant
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading

HEADINGS = (
    Heading("label", "row"),
    Heading("printed_flops", "FLOPs", "printed", "G"),
    Heading("paper_flops", "FLOPs", "own rule", "G"),
    Heading("printed_memory", "memory", "printed", "MiB"),
    Heading("paper_memory", "memory", "own rule", "MiB"),
    Heading("published_macs", "MACs", "published", "G", rank=3),
    Heading("fast_macs", "MACs", "fast", "G", rank=2),
    Heading("published_ratio", "÷ TGM+TRM", "published", "×", rank=1),
    Heading("fast_ratio", "÷ TGM+TRM", "fast", "×"),
    Heading("verdict", "verdict"),
)


TITLE = "Table 10 of the paper, input 1×512×64×64: printed, by its own rule, and by one uniform convention"


def table10_grid(comparisons: Sequence[Comparison], title: str = TITLE) -> Grid:
    """Lay out Table 10: printed, by the paper's own rule, and in uniform GMACs of both forms.

    Rows of another shape, of which nothing was printed, have empty texts for printed numbers.
    """
    table = Grid(title, list(HEADINGS), name="table10")
    table.groups.append(Group("", [_row(table, comparison) for comparison in comparisons]))
    table.findings += in_words(row for row in comparisons if row.printed.gflops)
    return table


def _row(table: Grid, row: Comparison) -> list[Cell]:
    why = " ".join(filter(None, (row.reason, row.note)))
    return [
        Cell(row.printed.label),
        Cell(row.printed.gflops or EMPTY),
        _number(row.paper.get("gflops"), 4),
        Cell(row.printed.mib or EMPTY),
        _number(row.paper.get("mib"), 4),
        _number(row.published_gmacs, 5),
        _number(row.fast_gmacs, 5),
        _number(row.published_ratio, 3),
        _number(row.fast_ratio, 3),
        Cell(row.verdict or EMPTY, note=table.footnote(why) if why else 0),
    ]


def _number(value: float | None, digits: int) -> Cell:
    return Cell(EMPTY if value is None else significant(value, digits))
