"""The ledger: each claim of the paper's text about cost, beside what the sheets' numbers say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from ctxbench.paper import printed
from ctxbench.paper.claims import ANSWERS
from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.table.grid import Cell, Grid, Group, Heading


@dataclass(frozen=True)
class Claim:
    """A claim in the paper's words, what is printed for it, and what was measured, under which convention.

    ``verdict`` is one of :data:`ctxbench.paper.sheet.VERDICTS`; ``reason`` says why.
    """

    words: str
    section: str
    printed: str
    measured: str
    convention: str
    verdict: str
    reason: str = ""


def ledger(sheets: Iterable[Sheet]) -> list[Claim]:
    """Hold every claim about cost against the frames of ``table10``, ``table9`` and ``growth``.

    A claim whose sheet is missing, or lacks a number, is not measured.
    """
    frames = {sheet.name: sheet.frame for sheet in sheets}
    return [_judged(frames, row["claim"], row["words"], row["section"]) for row in printed.claims()]


def ledger_sheet(claims: Iterable[Claim], *, source: str) -> Sheet:
    """The ledger as a table. ``source`` is its origin."""
    headings = [
        Heading("words", "claim"),
        Heading("section", "where"),
        Heading("printed", "printed"),
        Heading("measured", "measured"),
        Heading("convention", "convention"),
        Heading("verdict", "verdict"),
    ]
    claims = list(claims)
    title = "Every claim of the paper's text about cost, beside what was measured"
    grid = Grid(title, headings, [Group("", [])])
    for claim in claims:
        note = grid.footnote(f"{claim.reason}.") if claim.reason else 0
        texts = [getattr(claim, heading.name) for heading in headings]
        grid.groups[0].rows.append([*map(Cell, texts[:-1]), Cell(claim.verdict, note=note)])
    return Sheet("ledger", title, grid, pd.DataFrame(map(asdict, claims)), source)


def _judged(frames: Mapping[str, pd.DataFrame], name: str, words: str, section: str) -> Claim:
    sheet, find = ANSWERS[name]
    if sheet not in frames:
        why = f"{sheet} was not made: ctxbench paper {sheet}"
        return Claim(words, section, "", "", "", NOT_MEASURED, why)
    try:
        found = find(frames[sheet])
    except LookupError:
        return Claim(words, section, "", "", "", NOT_MEASURED, f"{sheet} lacks a number it needs")
    verdict = REPRODUCED if found.holds else DIFFERS
    return Claim(words, section, found.printed, found.measured, found.convention, verdict, found.reason)
