"""Printed numbers of papers that were explained by hand: the audit explains them as it was done by hand.

``counts`` is the convention found by hand, which the search is not told.
"""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from ctxbench.audit.findings import look
from ctxbench.audit.rows import Row, read_table
from ctxbench.audit.search import Search

HERE = Path(__file__).parent
EXAMPLES = HERE / "worked_examples.csv"
ROWS = read_table(EXAMPLES).rows
CUT = ("L052", "L675", "L732")
"""Of which the digits were cut off."""
LARGER = {"L705": "input 512×2048"}
"""Of which the number is of a larger input than the row suggests."""
SAYS = {"L136": "torchprofile; input 512 x 512"}
"""What the papers say that they count, where they name a counter."""


def of_here(row: Row) -> Row:
    own = ".py:" in row.subject
    return replace(row, subject=f"{HERE / row.subject}") if own else row


def test_every_example_is_read() -> None:
    with EXAMPLES.open(encoding="utf-8") as lines:
        assert len(list(csv.DictReader(lines))) == len(ROWS) == 18
    assert not read_table(EXAMPLES).problems


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=pytest.mark.slow if ":" in row.subject else (), id=row.label)
        for row in map(of_here, ROWS)
    ],
)
def test_an_example_is_explained_as_by_hand(row: Row) -> None:
    (finding,) = look(replace(row, counts=SAYS.get(row.label, "")), Search()).findings
    assert finding.verdict == ("misleading" if row.label in LARGER else "reproduced")
    assert finding.configuration.startswith(LARGER.get(row.label, "the "))
    assert row.counts in finding.convention
    assert finding.chance is not None
    assert finding.chance <= (0.2 if row.label == "L732" else 0.1), "of one digit no more can be said"
    assert finding.fit is not None
    assert finding.fit.printing is not None
    assert (finding.fit.printing.words != "rounded") == (row.label in CUT)
