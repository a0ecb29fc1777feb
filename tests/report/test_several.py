"""Several runs in one report: every record a row, equal cases told apart, and what of the runs is said."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import record, write_run

import ctxbench
from ctxbench.errors import UserError
from ctxbench.measure.folder import PLAN, Plan, read_run
from ctxbench.measure.records import Origin, Record
from ctxbench.measure.shards import Shard
from ctxbench.report.run import Merged, load_report, write_report
from ctxbench.report.several import are_apart, letter, read_runs


def small(name: str, height: int = 32, factor: float = 1.0) -> Record:
    own = record(name, height, height)
    return replace(own, rounds_ms=[[factor * ms for ms in samples] for samples in own.rounds_ms[:5]])


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("several")
    here = write_run(home / "here", [small("emau"), small("afnb"), small("emau", 16)])
    there = write_run(home / "there", [small("afnb", factor=0.25), small("rcca")], cpu="Another CPU")
    return [here, there]


@pytest.fixture(scope="module")
def merged(places: list[Path]) -> Merged:
    found = load_report(places, places[0].parent / "both")
    assert isinstance(found, Merged)
    return found


@pytest.fixture(scope="module")
def written(merged: Merged) -> Path:
    write_report(merged)
    return merged.folder


def test_every_record_is_a_row_and_equal_cases_are_two_side_by_side(merged: Merged) -> None:
    rows = merged.to_frame()
    said = zip(rows["module"], rows["height"], rows["run"], strict=True)
    assert [(module, height, Path(run).name) for module, height, run in said] == [
        ("emau", 32, "here"), ("afnb", 32, "here"), ("afnb", 32, "there"), ("emau", 16, "here"),
        ("rcca", 32, "there"),
    ]  # fmt: skip
    own, other = rows["lat_median_ms"][1:3]
    assert other == pytest.approx(own / 4)  # neither is a mean of the two
    named = [row[0].text for group in merged.grids()[0].groups for row in group.rows]
    assert named == ["EMAUnit, A", "EMAUnit, A", "AFNB, A", "AFNB, B", "RCCA, B"]


def test_equal_cases_of_one_machine_are_told_apart_too(places: list[Path], tmp_path: Path) -> None:
    again = write_run(tmp_path / "again", [small("emau", factor=1.5), small("rcca")])
    found = load_report([places[0], again], tmp_path / "both").grids()[0]
    assert [row[0].text for group in found.groups for row in group.rows] == [
        "EMAUnit, A", "EMAUnit, A", "EMAUnit, B", "AFNB, A", "RCCA, B",
    ]  # fmt: skip


def test_devices_of_two_machines_are_told_apart_by_themselves() -> None:
    """Rows of a CPU and of a GPU need no letter, though they are of two machines; rows of two CPUs do."""
    first = replace(small("emau"), origin=Origin("A", "here"), environment={"cpu": "One"})
    second = replace(small("afnb"), origin=Origin("B", "there"), environment={"cpu": "Two", "gpu": "Some"})
    assert are_apart([first, second])
    assert not are_apart([first, replace(second, case=replace(second.case, device="cuda:0"))])


def test_the_runs_and_their_machines_are_said(merged: Merged, places: list[Path]) -> None:
    begun = [read_run(place).plan.created_at for place in places]
    assert merged.grids()[0].notes[-3:] == [
        f"A: {places[0]}, Synthetic CPU, begun {begun[0]}.",
        f"B: {places[1]}, Another CPU, begun {begun[1]}.",
        "Environments differ: cpu: cpu Synthetic CPU in A, Another CPU in B.",
    ]
    assert "of 2 runs: 5 ok" in " ".join(repr(merged).split())


@pytest.mark.slow
def test_the_runs_and_their_machines_are_said_in_every_file(written: Path) -> None:
    page = (written / "report.html").read_text()
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["A: cpu", "B: cpu"]
    assert "AFNB, B" in page
    tex = " ".join((written / "table.tex").read_text().split())
    assert "Environments differ: cpu: cpu Synthetic CPU in A, Another CPU in B" in tex
    markdown = (written / "table.md").read_text()
    assert markdown.startswith("A: Made by ctxbench")
    assert " B: Made by ctxbench" in markdown
    with (written / "summary.csv").open(newline="") as file:
        assert [Path(row["run"]).name for row in csv.DictReader(file)].count("there") == 2


def test_no_latency_of_one_run_wins_over_another_s(merged: Merged, places: list[Path]) -> None:
    """The count does: it is of no machine."""
    (group,) = (group for group in merged.grids()[0].groups if "32×32" in group.label)
    headings = [heading.name for heading in merged.grids()[0].headings]
    assert not any(row[headings.index("lat_median_ms")].best for row in group.rows)
    alone = load_report(places[:1], places[0]).grids()[0]
    assert any(row[headings.index("lat_median_ms")].best for group in alone.groups for row in group.rows)


@pytest.mark.slow
def test_bars_hold_all_rows_and_lines_are_of_one_run_each(written: Path) -> None:
    drawn = {path.name for path in written.glob("*.svg")}
    assert {"bars-input-1-512-32-32.svg", "roofline-A.svg", "roofline-B.svg", "scaling-A.svg"} <= drawn
    assert "scaling-B.svg" not in drawn  # of one size
    for name in ("EMAUnit, A", "AFNB, A", "AFNB, B", "RCCA, B"):
        assert name in (written / "bars-input-1-512-32-32.svg").read_text()


def shard(folder: Path, number: int, measured: list[Record]) -> Path:
    """A shard of three."""
    write_run(folder, measured)
    plan = replace(Plan.read(folder), shard=Shard(number, 3, 3, "0123456789ab"))
    (folder / PLAN).write_text(json.dumps(plan.to_json()))
    return folder


def test_shards_of_one_run_are_its_rows_and_missing_ones_are_said(tmp_path: Path) -> None:
    parts = [
        shard(tmp_path / str(number), number, [small(name)])
        for number, name in enumerate(("emau", "afnb", "rcca"), start=1)
    ]
    whole = load_report(parts, tmp_path / "out").grids()[0]
    assert [row[0].text for group in whole.groups for row in group.rows] == ["EMAUnit", "AFNB", "RCCA"]
    assert whole.findings == []
    assert f"B: {parts[1]}, shard 2 of 3, Synthetic CPU, begun" in whole.notes[-2]
    part = load_report(parts[:2], tmp_path / "out").grids()[0]
    assert part.findings == ["Of 3 shards, 3 is missing."]
    two_gone = load_report(
        [parts[1], write_run(tmp_path / "more", [small("rcca")])], tmp_path / "out"
    ).grids()[0]
    assert two_gone.findings == ["Of 3 shards, 1 and 3 are missing."]


@pytest.mark.slow
def test_the_python_interface_writes_it_where_it_is_told(places: list[Path], tmp_path: Path) -> None:
    paths = ctxbench.report(*places, out=tmp_path / "both", columns=["macs", "latency"], sort="latency")
    assert {path.parent for path in paths} == {tmp_path / "both"}
    header, *rows = (tmp_path / "both" / "summary.csv").read_text().splitlines()
    assert len(rows) == 5
    assert "run" in header.split(",")


def test_what_no_report_can_be_of_is_refused_and_nothing_written(places: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is given twice"):
        ctxbench.report(places[0], places[0], out=tmp_path / "twice")
    with pytest.raises(UserError, match="holds a run, with a report of its own"):
        ctxbench.report(*places, out=places[0])
    with pytest.raises(UserError, match="name the folder of a run"):
        ctxbench.report()
    assert list(tmp_path.iterdir()) == []
    assert not (places[0] / "table.md").exists()


@pytest.mark.slow
def test_one_run_s_report_may_go_elsewhere_and_says_nothing_of_runs(
    places: list[Path], tmp_path: Path
) -> None:
    place = shard(tmp_path / "2", 2, [small("emau")])
    before = sorted(place.iterdir())
    ctxbench.report(place, out=tmp_path / "new" / "place")
    assert sorted(place.iterdir()) == before
    table = (tmp_path / "new" / "place" / "table.md").read_text()
    assert table.startswith("Made by ")
    assert "; shard 2 of 3, 1 of 3 cases." in table.splitlines()[0]
    assert "A: " not in table
    assert "run" not in (tmp_path / "new" / "place" / "summary.csv").read_text().splitlines()[0].split(",")


def test_a_stored_record_says_nothing_of_who_read_it(places: list[Path]) -> None:
    marked = read_runs(places)[1].run.records[0]
    assert marked.origin is not None
    assert marked.origin.letter == "B"
    assert "origin" not in marked.to_json()
    assert Record.from_json(marked.to_json()) == marked


def test_there_are_letters_for_any_number_of_runs() -> None:
    assert [letter(number) for number in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        "A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip
