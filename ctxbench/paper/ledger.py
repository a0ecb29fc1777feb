"""The ledger: each claim of the paper's text about cost, beside what the sheets' numbers say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from ctxbench.paper import printed
from ctxbench.paper.claims import ANSWERS
from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.table.column import Column, frame, lay_out, raw


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
    claims = list(claims)
    title = "Every claim of the paper's text about cost, beside what was measured"
    grid = lay_out(title, COLUMNS, [("", claims)])
    return Sheet("ledger", title, grid, frame(COLUMNS, claims), source)


COLUMNS: tuple[Column[Claim], ...] = (
    Column("words", "claim", lambda claim: claim.words, kind="text"),
    Column("section", "where", lambda claim: claim.section, kind="text"),
    Column("printed", "printed", lambda claim: claim.printed, kind="text"),
    Column("measured", "measured", lambda claim: claim.measured, kind="text"),
    Column("convention", "convention", lambda claim: claim.convention, kind="text"),
    Column(
        "verdict", "verdict", lambda claim: claim.verdict, kind="text",
        note=lambda claim: f"{claim.reason}." if claim.reason else "",
    ),
    raw("reason", lambda claim: claim.reason, "text"),
)  # fmt: skip


def _judged(frames: Mapping[str, pd.DataFrame], name: str, words: str, section: str) -> Claim:
    sheet, find = ANSWERS[name]
    if sheet not in frames:
        why = f"{sheet} was not made: ctxbench paper {sheet}"
        return Claim(words, section, "", "", "", NOT_MEASURED, why)
    try:
        answer = find(frames[sheet])
    except LookupError:
        return Claim(words, section, "", "", "", NOT_MEASURED, f"{sheet} lacks a number it needs")
    verdict = REPRODUCED if answer.holds else DIFFERS
    return Claim(words, section, answer.printed, answer.measured, answer.convention, verdict, answer.reason)
