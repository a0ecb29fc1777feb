"""What tables, figures and choices say of batches that were found to fit memory."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import record, rounds, write_run

import ctxbench
from ctxbench.measure.records import Fit, Record
from ctxbench.report.columns import summary
from ctxbench.report.layout import grid
from ctxbench.report.run import load_run, write_report
from ctxbench.report.view import View
from ctxbench.table.grid import Cell, Grid
from ctxbench.table.markdown import grid_markdown

MIB = 2**20


def found(module: str, batch: int, fit: Fit, **fields: object) -> Record:
    """A record at the batch that was found."""
    own = record(module, fit=replace(fit, batch=batch), **fields)
    return replace(own, case=replace(own.case, batch=batch))


def lost(module: str) -> Record:
    """A record of a case without a batch, as a run leaves it."""
    why = "no batch fits 64MiB: N = 1 is predicted to take 132.00 MiB"
    case = replace(record(module).case, fit="fit:64MiB")
    return Record(case, "oom", why, fit=Fit(("fit:64MiB",), status="oom", reason=why))


FITS = Fit(("fit:64MiB",), peak_bytes=60 * MIB, next_bytes=66 * MIB)
RECORDS = [
    record("emau"),
    found("emau", 4, FITS, alloc_bytes=60 * MIB),
    found("reconet", 4, replace(FITS, memory=("fit:60MiB", "fit:64MiB")), alloc_bytes=62 * MIB),
    found("afnb", 5, replace(FITS, next_bytes=None, next_reason="ValueError: five at most"), alloc_bytes=None,
          reasons={"alloc_bytes": "elsewhere"}),
    lost("nonlocal"),
]  # fmt: skip


def cells(table: Grid, name: str) -> list[Cell]:
    at = [heading.name for heading in table.headings].index(name)
    return [row[at] for group in table.groups for row in group.rows]


def test_a_row_says_what_was_found_and_whether_it_was_confirmed() -> None:
    rows = csv.DictReader(summary(RECORDS).to_csv().splitlines())
    shown = ("batch", "fit_memory", "fit_peak_mib", "fit_next_mib", "fit_confirmed")
    assert [[row[name] for name in shown] for row in rows] == [
        ["1", "", "", "", ""],
        ["4", "64MiB", "60.0", "66.0", "yes"],
        ["4", "60MiB, 64MiB", "60.0", "66.0", "no: 62.000 MiB"],
        ["5", "64MiB", "60.0", "", ""],
        ["", "64MiB", "", "", ""],
    ]
    table = grid(RECORDS)
    assert {group.label for group in table.groups} == {
        "input 1×512×64×64", "input 4×512×64×64", "input 5×512×64×64", "input fit:64MiB×512×64×64",
    }  # fmt: skip
    text = grid_markdown(table)
    assert "Largest batch: the largest N whose peak, predicted of eager execution above parameters" in text
    assert "no batch fits 64MiB: N = 1 is predicted to take 132.00 MiB" in text
    assert "ValueError: five at most" in text
    assert "its batch was given" in text
    images = [float(cell.text) for cell in cells(table, "throughput_img_per_s") if cell.text[0].isdigit()]
    assert len(images) == 4, "images a second are what batches are compared by"


def test_a_table_without_such_batches_has_none_of_it() -> None:
    table = grid(RECORDS[:1])
    assert not [h.name for h in table.headings if h.name.startswith(("fit", "throughput"))]
    assert "argest batch" not in grid_markdown(table)
    assert not [name for name in summary(RECORDS[:1]) if name.startswith("fit_")]


def test_columns_and_order_can_be_asked_for() -> None:
    view = View(("batch", "fit_confirmed", "throughput"), sort="batch")
    assert [cell.text for cell in cells(grid(RECORDS, view), "batch")] == ["1", "–", "4", "4", "5"]
    assert "argest batch" not in grid_markdown(grid(RECORDS, View(("params", "latency"))))
    assert list(view.frame(RECORDS)["batch"].fillna(0)) == [1, 4, 4, 5, 0]


@pytest.mark.slow
def test_what_has_no_batch_is_in_no_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "run", RECORDS)
    names = {path.name for path in write_report(load_run(tmp_path / "run"))}
    assert {"bars-input-4-512-64-64.png", "each-batch.png"} <= names
    assert not [name for name in names if "fit" in name]
    write_run(tmp_path / "lost", RECORDS[-1:])
    names = {path.name for path in write_report(load_run(tmp_path / "lost"))}
    assert not [name for name in names if name.endswith(".png")]


def test_images_a_second_are_chosen_by_at_the_batches_found(tmp_path: Path) -> None:
    fast = found("emau", 4, FITS, rounds_ms=rounds(80, seed=3))
    run = write_run(tmp_path / "run", [record("emau"), fast, lost("nonlocal")])
    (task,) = ctxbench.choose(run, best="throughput").tasks
    assert [row.label for row in task.rows] == [
        "EMAUnit (batch 4)", "EMAUnit (batch 1)", "Non-Local (batch fit:64MiB)",
    ]  # fmt: skip
    assert [row.verdict for row in task.rows] == ["fits", "fits", "not known"]
    by_batch = ctxbench.compare(run, by="batch")
    assert "At batch fit:64MiB alone, so compared with nothing: Non-Local." in str(by_batch)


@pytest.mark.parametrize("number", [6, 7])
def test_many_that_cannot_be_judged_are_counted(number: int, tmp_path: Path) -> None:
    gone = record("emau", alloc_bytes=None, reasons={"alloc_bytes": "gone"})
    rows = [replace(gone, case=replace(gone.case, threads=n)) for n in range(1, number + 1)]
    choice = ctxbench.choose(write_run(tmp_path / "run", rows), max=["memory=1GiB"])
    (note,) = [note for note in choice.grids()[0].notes if note.startswith("Not judged: ")]
    assert note.count("EMAUnit (") == 6
    assert ("CPU threads) and 1 more — memory: gone" in note) == (number > 6)
