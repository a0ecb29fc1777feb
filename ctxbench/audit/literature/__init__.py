"""Printed numbers of papers, as data: a CSV a paper, each row with where it was read."""

from __future__ import annotations

from importlib.resources import files

from ctxbench.audit.rows import Table, read_lines
from ctxbench.errors import UserError


def papers() -> list[str]:
    """The papers whose tables come with ctxbench, by name."""
    names = (file.name for file in files(__name__).iterdir())
    return sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv"))


def paper_table(paper: str) -> Table:
    """A paper's table. Raises UserError, naming those there are, where it is not among them."""
    if paper not in papers():
        raise UserError(f"no table of {paper!r}; there are: {', '.join(papers())}")
    text = files(__name__).joinpath(f"{paper}.csv").read_text(encoding="utf-8")
    return read_lines(paper, text.splitlines(keepends=True))
