"""What a finished training is looked at by: the table of the gap to its baseline."""

from math import nan

from ctxbench.table.column import lay_out
from ctxbench.table.grid import EMPTY
from ctxbench.train.curves import ClassGap, _gap_columns


def test_a_class_that_neither_truth_nor_prediction_has_leaves_its_gap_empty() -> None:
    rows = [ClassGap("road", 50.126, 51.0), ClassGap("moon", nan, nan)]
    grid = lay_out("A gap", _gap_columns("one", "two"), [("", rows)])
    assert [heading.line for heading in grid.headings] == [
        "class", "IoU one (%)", "IoU two (%)", "gap (points)",
    ]  # fmt: skip
    assert [[cell.text for cell in row] for row in grid.groups[0].rows] == [
        ["road", "50.13", "51.00", "−0.87"],
        ["moon", EMPTY, EMPTY, EMPTY],
    ]
