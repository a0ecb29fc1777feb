import csv
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from synthetic import record, records, write_run

from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.run import MOST_BARS, load_run, write_report

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    gone = record("afnb", 32, 32, status="oom", reason="out of memory", rounds_ms=[], alloc_bytes=None)
    small = [gone if r.case.module == "afnb" else r for r in records(32, 32)]
    before = dict(matplotlib.rcParams)
    paths = write_report(load_run(write_run(tmp_path_factory.mktemp("runs") / "run", [*small, *records()])))
    assert dict(matplotlib.rcParams) == before
    return paths


def test_it_writes_tables_and_figures_and_leaves_nothing_half_written(sweep: list[Path]) -> None:
    folder = sweep[0].parent
    stems = ["bars-input-1-512-32-32", "bars-input-1-512-64-64", "scaling", "roofline", "ranks-size"]
    pictures = {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    texts = {"summary.csv", "table.md", "table.tex", "ctxbench.bib", "table.svg", "report.html"}
    assert {path.name for path in sweep} == texts | pictures
    assert {path.name for path in folder.iterdir()} == {p.name for p in sweep} | {"run.json", "records.jsonl"}


def test_the_csv_has_a_row_for_each_case(sweep: list[Path]) -> None:
    rows = list(csv.DictReader(sweep[0].read_text().splitlines()))
    assert len(rows) == 16
    by_case = {(row["module"], row["height"]): row for row in rows}
    assert by_case["nonlocal", "64"]["gmacs"] == "10.73741824"
    assert by_case["afnb", "32"]["lat_median_ms"] == ""
    assert by_case["afnb", "32"]["status"] == "oom"


def test_pictures_are_whole_and_say_what_they_show(sweep: list[Path]) -> None:
    for path in sweep:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG)
        if path.suffix == ".svg" and path.name != "table.svg":
            words = " ".join(t for t in ElementTree.parse(path).getroot().itertext() if t.strip())
            for word in ("float32", "cpu", "torch 2.13.0+cpu"):
                assert word in words


def test_scaling_says_that_two_points_are_no_fit(sweep: list[Path]) -> None:
    words = next(path for path in sweep if path.name == "scaling.svg").read_text()
    assert "slope between two points" in words
    assert "claimed O(CH²W²)" in words


def test_table_md_shows_every_picture(sweep: list[Path]) -> None:
    links = re.findall(r"!\[.*?\]\((.*?)\)", sweep[1].read_text())
    assert sorted(links) == sorted(path.name for path in sweep if path.suffix == ".png")


@pytest.mark.slow
def test_of_many_conditions_there_are_lines_and_no_charts_of_bars(tmp_path: Path) -> None:
    of_sizes = [record("emau", side, side) for side in range(8, 8 + MOST_BARS)]
    assert "bars-input-1-512-8-8.png" in {path.name for path in _written(tmp_path / "few", of_sizes)}
    written = _written(tmp_path / "many", [*of_sizes, record("emau", 64, 64)])
    assert not [path.name for path in written if path.name.startswith("bars")]
    assert "scaling.png" in {path.name for path in written}
    assert f"for each of {MOST_BARS + 1} sets of conditions" in (tmp_path / "many" / "table.md").read_text()


@pytest.mark.slow
def test_along_an_axis_of_many_values_nothing_is_drawn_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a heat map, which goes along two axes."""
    monkeypatch.setattr("ctxbench.report.run.MOST_PLACES", 2)
    monkeypatch.setattr("ctxbench.report.run.MOST_BARS", 0)
    own = record("emau", 8, 8)
    measured = [
        replace(own, case=replace(own.case, height=side, width=side, channels=channels))
        for channels in (16, 32, 64)
        for side in (8, 16)
    ]
    along = {"heat.png", "each-channels.png"}
    assert along <= {path.name for path in _written(tmp_path / "few", measured[:4])}
    assert "No figure of ranks" not in (tmp_path / "few" / "table.md").read_text()
    assert not along & {path.name for path in _written(tmp_path / "many", measured)}
    said = "No figure of ranks or of each module along channels: 3 values are more than 2.\n"
    assert said in (tmp_path / "many" / "table.md").read_text()


def _written(folder: Path, measured: list[Record]) -> list[Path]:
    return write_report(load_run(write_run(folder, measured)))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run \(no run.json in it\)$"):
        load_run(tmp_path)
    write_run(tmp_path / "inside", [record("emau")])
    with pytest.raises(UserError, match=r"\(no run.json in it; there is one in .*inside\)$"):
        load_run(tmp_path)


def test_the_table_is_drawn_and_its_origin_told(sweep: list[Path]) -> None:
    drawing = next(path for path in sweep if path.name == "table.svg")
    words = " ".join(ElementTree.parse(drawing).getroot().itertext()).replace("\xa0", " ")
    assert "TGM+TRM" in words
    assert "torch 2.13.0+cpu" in words
    assert sweep[1].read_text().startswith("Made by ")
