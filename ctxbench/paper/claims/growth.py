"""The claims that the frame of growth answers: orders, what a stage costs, and the rank."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from ctxbench.paper.claims.answer import UNIFORM, Answer, span, value
from ctxbench.paper.comparison import REPRODUCED


def grows(subject: str) -> Callable[[pd.DataFrame], Answer]:
    """Rows of ``growth`` about a subject: whether each is as claimed."""

    def find(frame: pd.DataFrame) -> Answer:
        rows = frame.loc[frame["subject"] == subject].to_dict("records")
        if not rows:
            raise LookupError(subject)
        exponents = [
            f"{row['letter']}^{row['exponent']:.2f} (last two {row['last_exponent']:.2f}, "
            f"claimed {row['claimed_exponent']:g})"
            for row in rows
        ]
        why = [f"in {row['letter']}: {row['reason']}" for row in rows if row["reason"]]
        holds = all(row["verdict"] == REPRODUCED for row in rows)
        over = "; ".join(f"{row['letter']}: {row['range']}" for row in rows)
        convention = f"exponents fitted to {UNIFORM}, {rows[0]['form']} form; {over}"
        return Answer(rows[0]["claimed"], ", ".join(exponents), convention, holds, "; ".join(why))

    return find


def stage(subject: str) -> Callable[[pd.DataFrame], Answer]:
    """The row of a stage of TGM+TRM: whether its MACs are one multiple of the claimed expression."""

    def find(frame: pd.DataFrame) -> Answer:
        low, high = (value(frame, "subject", subject, f"ratio_{end}") for end in ("lo", "hi"))
        (row,) = frame.loc[frame["subject"] == subject].to_dict("records")
        times = f"{span((low, high))} times the expression, at {row['axis']}"
        convention = f"{UNIFORM}, {row['form']} form; {row['range']}"
        return Answer(
            row["claimed"], times, convention, row["verdict"] == REPRODUCED, "for each of the r ranks"
        )

    return find


def rank(frame: pd.DataFrame) -> Answer:
    """Whether a random tensor of the paper's shape has a rank as low as is claimed."""
    least = value(frame, "subject", "rank of X", "rank")
    (row,) = frame.loc[frame["subject"] == "rank of X"].to_dict("records")
    return Answer(
        row["claimed"],
        f"at least {least:.0f}",
        f"rank of an unfolding, {row['range']}",
        row["verdict"] == REPRODUCED,
        row["reason"],
    )
