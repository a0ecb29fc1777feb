"""The ledger: each claim of the paper's text about cost, beside what the sheets' numbers say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from ctxbench.paper import printed
from ctxbench.paper.claims import ANSWERS
from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.sheet import DIFFERS, IN_PART, Sheet
from ctxbench.table.column import Column, frame, lay_out, raw

TITLE = "The paper's claims about cost, beside what was measured"
RULE = (
    "One rule for every row: the published form, the authors' operation order, decides, and the fast form "
    "stands beside it. Every part of a claim is held to what was measured at the paper's own shape: a figure "
    "at the digits it has, a comparison by its order, an O(·) by MACs over the expression, which must not "
    "rise as all its letters grow together. Words of amount that speak of a table (negligible, relatively "
    "small) are held to the shares printed there; to others (≫, much, huge) the paper puts no number, and "
    "they are not judged. “reproduced”: every part was measured and holds. “differs”: a part that was "
    "measured does not hold. “in part”: what was measured holds, and after the colon stands what was not."
)
"""What the verdicts of every row follow."""


@dataclass(frozen=True)
class Claim:
    """A claim in the paper's words, what is printed for it, and what was measured, under which convention.

    ``published`` and ``fast`` are measured in that form. ``verdict`` is one of
    :data:`ctxbench.paper.sheet.VERDICTS`; ``not_measured`` is what it leaves out, ``reason`` says why.
    """

    words: str
    section: str
    printed: str = ""
    published: str = ""
    fast: str = ""
    convention: str = ""
    verdict: str = NOT_MEASURED
    not_measured: str = ""
    reason: str = ""


def ledger(frames: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Hold every claim about cost against the frames of the sheets ``table10``, ``table9`` and ``growth``.

    A claim whose sheet is missing, or lacks a number, is not measured.
    """
    return [_judged(frames, row["claim"], row["words"], row["section"]) for row in printed.claims()]


def ledger_sheet(claims: Iterable[Claim], *, source: str) -> Sheet:
    """The ledger as a table, its rule above it. ``source`` is its origin."""
    claims = list(claims)
    grid = lay_out(TITLE, COLUMNS, [("", claims)])
    grid.preface = RULE
    return Sheet("ledger", TITLE, grid, frame(COLUMNS, claims), source)


def _verdict(claim: Claim) -> str:
    return f"{claim.verdict}: {claim.not_measured}" if claim.verdict == IN_PART else claim.verdict


def _why(claim: Claim) -> str:
    """The reason, and of a claim that differs in what was measured also what was not."""
    unmeasured = (
        f"not measured: {claim.not_measured}" if claim.verdict == DIFFERS and claim.not_measured else ""
    )
    words = "; ".join(filter(None, (claim.reason, unmeasured)))
    return f"{words}." if words else ""


COLUMNS: tuple[Column[Claim], ...] = (
    Column("words", "claim", lambda claim: claim.words, kind="text"),
    Column("section", "where", lambda claim: claim.section, kind="text"),
    Column("printed", "printed", lambda claim: claim.printed, kind="text"),
    Column("published", "measured", lambda claim: claim.published, "published form, decides", kind="text"),
    Column("fast", "measured", lambda claim: claim.fast, "fast form", kind="text"),
    Column("convention", "convention", lambda claim: claim.convention, kind="text"),
    raw("verdict", lambda claim: claim.verdict, "text"),
    raw("not_measured", lambda claim: claim.not_measured, "text"),
    Column("verdict_in_words", "verdict", _verdict, kind="text", note=_why, in_frame=False),
    raw("reason", lambda claim: claim.reason, "text"),
)


def _judged(frames: Mapping[str, pd.DataFrame], name: str, words: str, section: str) -> Claim:
    sheet, find = ANSWERS[name]
    if sheet not in frames:
        return Claim(words, section, reason=f"{sheet} was not made: ctxbench paper {sheet}")
    try:
        answer = find(frames[sheet])
    except LookupError:
        return Claim(words, section, reason=f"{sheet} lacks a number it needs")
    partly = IN_PART if answer.not_measured else REPRODUCED
    return Claim(
        words,
        section,
        answer.printed,
        answer.published,
        answer.fast,
        answer.convention,
        partly if answer.holds else DIFFERS,
        answer.not_measured,
        answer.reason,
    )
