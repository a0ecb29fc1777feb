"""Table 10 of the RecoNet paper (Chen et al., ECCV 2020) as printed: FLOPs and GPU memory of eight modules.

Input 1×512×64×64. The numbers are kept as text, since their decimals are part of what was printed.
"""

from dataclasses import dataclass
from functools import cache

from ctxbench.paper.printed import rows

PAPER_SHAPE = (1, 512, 64, 64)
"""The table's input shape (N, C, H, W)."""


@dataclass(frozen=True)
class PrintedRow:
    """One row: ``gflops`` in G of the paper's own convention, ``mib`` in MiB, both as printed."""

    module: str
    label: str
    gflops: str
    mib: str


@cache
def table10() -> dict[str, PrintedRow]:
    """The printed rows by module key, in the table's order."""
    return {row["module"]: PrintedRow(**row) for row in rows(10)}


def printed(module: str) -> PrintedRow | None:
    """The printed row of a module; None for a module the table does not have."""
    return table10().get(module)
