"""A sheet's files, its tally, and where its numbers are said to come from."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from ctxbench.errors import UserError
from ctxbench.paper.sheet import Sheet, unmeasured, write_sheet
from ctxbench.table.grid import Cell, Grid, Group, Heading
from ctxbench.table.style import canvas


def sheet(**changes: object) -> Sheet:
    grid = Grid("A table", [Heading("name", "name"), Heading("gmacs", "MACs", "", "G")])
    grid.groups.append(Group("", [[Cell("one"), Cell("1.5")], [Cell("two"), Cell("–", note=1)]]))
    grid.footnotes.append("why it is empty")
    frame = pd.DataFrame(
        {"name": ["one", "two"], "gmacs": [1.5, None], "verdict": ["reproduced", "not measured"]}
    )
    values = {"name": "table99", "title": "A table", "grid": grid, "frame": frame, "origin": "here"}
    return Sheet(**{**values, **changes})


def test_its_files_hold_its_numbers_its_table_and_its_origin(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    picture = tmp_path / "out" / "photo.png"
    picture.write_bytes(b"png")
    written = write_sheet(sheet(figure=canvas(2, 2), pictures=(picture,)), tmp_path / "out")
    assert [path.name for path in written] == [
        f"table99.{kind}" for kind in ("csv", "md", "tex", "png", "svg")
    ]
    rows = list(csv.DictReader((tmp_path / "out" / "table99.csv").read_text().splitlines()))
    assert rows[0] == {"name": "one", "gmacs": "1.5", "verdict": "reproduced"}
    assert rows[1]["gmacs"] == ""
    text = (tmp_path / "out" / "table99.md").read_text()
    for part in (
        "| one | 1.5 |",
        "<sup>1</sup> why it is empty",
        "(table99.png)",
        "(photo.png)",
        "Made by: here",
    ):
        assert part in text
    assert "tab:table99" in (tmp_path / "out" / "table99.tex").read_text()


def test_without_a_figure_none_is_written(tmp_path: Path) -> None:
    assert {path.suffix for path in write_sheet(sheet(), tmp_path)} == {".csv", ".md", ".tex"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/out"):
        write_sheet(sheet(), tmp_path / "file" / "out")


def test_rows_without_anything_measured_are_counted() -> None:
    assert sheet().tally == (2, 1)


def test_a_row_with_one_verdict_that_was_measured_is_measured() -> None:
    frame = sheet().frame.assign(flops_verdict=["differs", "not reproducible"])
    assert sheet(frame=frame).tally == (2, 0)


def test_rows_of_printed_numbers_are_not_to_be_measured() -> None:
    assert sheet(frame=sheet().frame.assign(row=["printed", "run"])).tally == (1, 1)


def test_a_failed_row_is_missing_whatever_its_verdict() -> None:
    assert sheet(frame=sheet().frame.assign(status=["oom", "ok"])).tally == (2, 2)


def test_a_frame_without_verdicts_misses_nothing() -> None:
    assert sheet(frame=sheet().frame.drop(columns="verdict")).tally == (2, 0)


def test_what_could_not_be_made_says_why_and_how() -> None:
    made = unmeasured("fig5", "Figure 5", "no run", "ctxbench train", source="here")
    assert made.tally == (1, 1)
    assert made.frame.iloc[0].to_dict() == {
        "table": "fig5",
        "verdict": "not measured",
        "reason": "no run",
        "command": "ctxbench train",
    }


def test_latex_keeps_signs_and_wraps_tables_of_words(tmp_path: Path) -> None:
    words = Grid(
        "Words", [Heading("a", "a"), Heading("b", "b")], [Group("", [[Cell("≫ −0.7"), Cell("x " * 99)]])]
    )
    write_sheet(sheet(grid=words), tmp_path)
    text = (tmp_path / "table99.tex").read_text()
    assert r"$\gg$ $-$0.7 &" in text
    assert text.count(r"p{0.460\linewidth}") == 2
    write_sheet(sheet(), tmp_path)
    assert r"\begin{tabular}{@{}lr@{}}" in (tmp_path / "table99.tex").read_text()
