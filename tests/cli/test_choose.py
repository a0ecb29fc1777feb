"""``ctxbench choose`` as it is typed: what it prints, exports and leaves with."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import record, write_run
from tex import needs_tex, overfull, typeset

Run = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", [record(name) for name in ("nonlocal", "reconet", "emau")])


def test_a_budget_that_one_meets_is_told_in_every_form(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ("--max", "latency=100ms,memory=20MiB", "--min", "throughput=10/s")
    assert run("choose", "run", *budget, "--csv", "c.csv", "--md", "c.md", "--tex", "c.tex") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("Choice within latency ≤ 100 ms, memory ≤ 20 MiB, throughput ≥ 10 /s · input")
    assert "Take TGM+TRM: least latency of the one row that fits, 9." in said
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert [(row["module"], row["verdict"]) for row in rows] == [
        ("reconet", "fits"), ("emau", "misses"), ("nonlocal", "misses"),
    ]  # fmt: skip
    assert float(rows[0]["throughput_img_per_s"]) == pytest.approx(1000 / float(rows[0]["lat_median_ms"]))
    for text in ((tmp_path / "c.md").read_text(), (tmp_path / "c.tex").read_text()):
        assert re.search(r"memory \+26 \\?%", text)
        assert "Take TGM+TRM" in text


def test_a_budget_that_nothing_meets_is_exit_code_1(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("choose", "run", "--max", "latency=1ms") == 1
    assert "Nothing fits. Nearest is TGM+TRM: latency ×9." in " ".join(capsys.readouterr().out.split())


def test_without_a_budget_it_puts_rows_in_order(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("choose", "run", "--best", "params", "--csv", "-") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["module"] for row in rows] == ["nonlocal", "emau", "reconet"]
    assert [row["recommended"] for row in rows] == ["True", "False", "False"]


@pytest.mark.slow
@needs_tex
@pytest.mark.parametrize("conference", ["CVPR", "IEEE", "NeurIPS"])
def test_its_table_fits_a_paper(run: Run, folder: Path, tmp_path: Path, conference: str) -> None:
    assert run("choose", "run", "--max", "latency=100ms,memory=20MiB,macs=1G", "--tex", "c.tex") == 0
    assert overfull(typeset(tmp_path, (tmp_path / "c.tex").read_text(), conference)) == []


@pytest.mark.slow
def test_a_real_run_of_two_runtimes_is_chosen_from(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--channels", "16", "--size", "8", "--budget", "0.2", "--counter", "none")
    assert run("profile", "se", "emau", *small, "--dtype", "fp32,bf16", "--out", "r") == 0
    capsys.readouterr()
    assert run("choose", "r", "--max", "latency=1s,memory=1GiB", "--out", "c") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of the 4 rows that fit" in said
    assert (tmp_path / "c" / "fronts.png").exists()
    assert run("choose", "r", "--max", "latency=1ns") == 1
    assert run("choose", "r", "--max", "latency=1h") == 2
