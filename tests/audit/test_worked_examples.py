"""Printed numbers of papers that were explained by hand: the audit explains them as it was done by hand.

Of the 18 in the research, those whose network is a few lines. ``counts`` is the convention found by hand.
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
CUT = ("L052", "L675")
"""Of which the digits were cut off."""


def of_here(row: Row) -> Row:
    own = row.subject.startswith("networks.py")
    return replace(row, subject=f"{HERE / row.subject}") if own else row


def test_every_example_is_read() -> None:
    with EXAMPLES.open(encoding="utf-8") as lines:
        assert len(list(csv.DictReader(lines))) == len(ROWS) == 12
    assert not read_table(EXAMPLES).problems


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=pytest.mark.slow if ":" in row.subject else (), id=row.label)
        for row in map(of_here, ROWS)
    ],
)
def test_an_example_is_explained_as_by_hand(row: Row) -> None:
    (finding,) = look(row, Search()).findings
    assert finding.verdict == "reproduced"
    assert row.counts in finding.convention
    assert finding.chance is not None
    assert finding.chance <= 0.1
    assert finding.fit is not None
    assert finding.fit.printing is not None
    assert (finding.fit.printing.words != "rounded") == (row.label in CUT)
