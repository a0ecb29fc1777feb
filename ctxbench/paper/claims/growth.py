"""The claims that the frame of growth answers: orders, what a stage costs, and the rank."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from ctxbench.paper.claims.answer import UNIFORM, Answer, value
from ctxbench.paper.comparison import FORMS, REPRODUCED


def order(subject: str) -> Callable[[pd.DataFrame], Answer]:
    """Whether the MACs of a subject, over the expression in its O(·), rise as all letters grow together."""

    def find(frame: pd.DataFrame) -> Answer:
        together = {form: _together(frame, subject, form) for form in FORMS}
        decides = together["published"]
        alone = frame.loc[(frame["subject"] == subject) & frame["exponent"].notna()].to_dict("records")
        ranges = [f"{row['letter']}: {row['range']}" for row in alone if row["form"] == "published"]
        measured = {
            form: ", alone ".join(
                filter(None, (f"{row['ratios']} times the expression", _exponents(alone, form)))
            )
            for form, row in together.items()
        }
        return Answer(
            decides["claimed"],
            **measured,
            convention="; ".join((f"{UNIFORM}; together {decides['range']}", *ranges)),
            holds=decides["verdict"] == REPRODUCED,
            reason="alone, terms lead that the expression leaves out, such as C² of the 1×1 convolutions"
            if alone
            else "",
        )

    return find


def tgm(frame: pd.DataFrame) -> Answer:
    """The order of TGM, whose poolings add up more than its MACs multiply."""
    return order("TGM, one rank")(frame)._replace(
        reason="for each of the r ranks",
        not_measured="the additions of its poolings, 2CHW + 2HW, are no MACs; they are of a greater order",
    )


def rank(frame: pd.DataFrame) -> Answer:
    """Whether almost every tensor of the paper's shape has a rank as low as is claimed."""
    low, high = (value(frame, "subject", "rank of X", f"rank_{end}") for end in ("lo", "hi"))
    (row,) = frame.loc[frame["subject"] == "rank of X"].to_dict("records")
    return Answer(
        row["claimed"],
        f"{low:,.0f} to {high:,.0f}",
        "",
        f"least and greatest rank of almost every X of {row['range']}",
        row["verdict"] == REPRODUCED,
        row["reason"],
    )


def _together(frame: pd.DataFrame, subject: str, form: str) -> Mapping[Hashable, Any]:
    """The row of a subject's MACs over the expression. Raises LookupError where the frame lacks it."""
    rows = frame.loc[(frame["subject"] == subject) & (frame["form"] == form) & frame["ratios"].notna()]
    if len(rows) != 1:
        raise LookupError(f"{subject}, {form} form")
    return rows.to_dict("records")[0]


def _exponents(rows: Iterable[Mapping[Hashable, Any]], form: str) -> str:
    """What each letter's exponent is where it grows alone: ``n^1.84 (last two 1.97)``."""
    return ", ".join(
        f"{row['letter']}^{row['exponent']:.2f} (last two {row['last_exponent']:.2f})"
        for row in rows
        if row["form"] == form
    )
