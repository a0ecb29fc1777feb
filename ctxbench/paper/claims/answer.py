"""What a frame says of a claim, and the numbers taken from frames for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from ctxbench.table.column import significant

UNIFORM = "MACs of every convolution and matrix product, every call"


class Answer(NamedTuple):
    """What a frame says of a claim, by which convention, and whether all of it that was measured holds.

    ``published`` is measured in the published form, which alone decides ``holds``; ``fast`` in the fast form,
    "" for what has no form. ``not_measured`` is the part of the claim that no number here is of.
    """

    printed: str
    published: str
    fast: str
    convention: str
    holds: bool
    reason: str = ""
    not_measured: str = ""


def value(frame: pd.DataFrame, key: str, row: str, column: str) -> float:
    """The number in ``column`` of the row that ``key`` names ``row``.

    Raises LookupError where it is not there or was not measured.
    """
    values = frame.loc[frame[key] == row, column]
    if not len(values) or pd.isna(values.iloc[0]):
        raise LookupError(f"{row}: {column}")
    return float(values.iloc[0])


def span(values: Iterable[float], digits: int = 3) -> str:
    """The least and the greatest, ``1.01 to 1.03``; one number where both show the same."""
    ends = list(values)
    low, high = significant(min(ends), digits), significant(max(ends), digits)
    return low if low == high else f"{low} to {high}"


def unjudged(word: str) -> str:
    """That the paper gives a word of amount no number to hold it to."""
    return f"“{word}”, to which the paper puts no number"
