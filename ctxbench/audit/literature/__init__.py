"""Printed numbers of papers, as data: a CSV a paper, each row with where it was read, and words beside them.

``papers.toml`` has for each paper what it is called, what its audit ``found``, where one is in
``reports/audit``, and what was ``assumed`` in stating its rows, or why they are not stated.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from importlib.resources import files
from typing import NamedTuple

from ctxbench.audit.rows import Table, read_lines
from ctxbench.errors import UserError


class Words(NamedTuple):
    """What is said of a paper's table beside its numbers, each a sentence or two."""

    title: str
    assumed: str
    found: str = ""


def papers() -> list[str]:
    """The papers whose tables come with ctxbench, by name."""
    names = (file.name for file in files(__name__).iterdir())
    return sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv"))


def paper_table(paper: str) -> Table:
    """A paper's table. Raises UserError, with the nearest names and all there are, where it is none."""
    known = papers()
    if paper not in known:
        near = get_close_matches(paper.lower(), known, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UserError(f"no table of {paper!r}; {hint}there are: {', '.join(known)}")
    text = files(__name__).joinpath(f"{paper}.csv").read_text(encoding="utf-8")
    return read_lines(paper, text.splitlines(keepends=True))


def words() -> dict[str, Words]:
    """What is said of each paper, by its name."""
    text = files(__name__).joinpath("papers.toml").read_text(encoding="utf-8")
    return {paper: Words(**said) for paper, said in tomllib.loads(text).items()}
