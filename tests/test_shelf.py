"""A paper plugs in from its own folder alone, and nothing else knows of it."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_paper import PRINTED

import ctxbench
from ctxbench.report.columns import columns
from ctxbench.report.tables import grids
from ctxbench.report.view import View
from ctxbench.subject.cases import cases
from ctxbench.subject.presets import presets

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tiny(install_paper: Callable[[str, str], None]) -> None:
    install_paper("tiny", "tiny_paper:OFFERS")


@pytest.mark.usefixtures("tiny")
def test_a_second_paper_offers_a_preset_a_column_and_a_sheet(tmp_path: Path) -> None:
    assert list(presets()) == ["table10", "tiny"]
    wanted = cases(preset="tiny", channels=16, sizes=8)
    assert [(case.module, case.config) for case in wanted] == [
        ("se", "reduction=8"),
        ("emau", "bases=4"),
        ("cam", ""),
    ]
    run = ctxbench.profile(
        preset="tiny", channels=16, sizes=8, counters=(), budget_s=0.05, out=tmp_path / "run"
    )
    assert [record.case for record in run.records] == wanted
    assert dict(zip(run.to_frame()["module"], run.to_frame()["tiny_printed_gmacs"], strict=True)) == PRINTED
    main, sheet = grids(run.records)
    assert "MACs tiny paper (G)" in [heading.line for heading in main.headings]
    assert "The tiny paper counts MACs." in main.notes
    assert "The tiny paper is right." in main.findings
    assert sheet.title == "The tiny paper's table"
    written = (tmp_path / "run" / "table.md").read_text()
    assert "The tiny paper's table" in written
    assert "9.99" in written
    assert "tiny" not in (tmp_path / "run" / "table.tex").read_text()  # where nothing stands unasked
    asked = run.seen(View(("macs", "tiny_printed_gmacs")))
    assert "MACs tiny paper" in asked.latex()
    assert "9.99" in asked.latex()


@pytest.mark.usefixtures("tiny")
def test_a_record_of_no_row_gets_nothing_from_either_paper(tmp_path: Path) -> None:
    run = ctxbench.profile("cam", channels=12, sizes=8, counters=(), budget_s=0.05, out=tmp_path / "run")
    assert not [
        column.name for column in columns(run.records) if "printed" in column.name or "paper" in column.name
    ]
    assert len(grids(run.records)) == 1


def test_not_installed_it_is_gone() -> None:
    assert "tiny" not in presets()


PAPER = re.compile(r"tables?[ _]?(7|8|9|10)(?!\d)|fig[ _.]?5", re.IGNORECASE)
"""How a table or figure of the paper is named."""


def test_only_the_papers_own_folder_and_the_command_line_name_its_tables() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "ctxbench"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    texts = [ROOT / line for line in listed.stdout.splitlines() if line.endswith((".py", ".html", ".toml"))]
    others = [path for path in texts if path.relative_to(ROOT).parts[1] not in ("paper", "cli")]
    assert len(others) > 80
    named = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in others
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if PAPER.search(line)
    }
    assert named == set()


def test_only_the_papers_own_folder_holds_its_printed_figures() -> None:
    """Figures of three digits or more, such as 19.33; "0.9" or "512" are said of other things too."""
    figures = {
        value
        for path in (ROOT / "ctxbench" / "paper" / "printed").glob("table*.csv")
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
        for value in line.split(",")
        if re.fullmatch(r"\d+\.\d+", value) and len(value.replace(".", "").lstrip("0")) >= 3
    }
    assert {"19.33", "0.0215"} <= figures
    texts = [
        path
        for path in (ROOT / "ctxbench").rglob("*.py")
        if path.relative_to(ROOT).parts[1] not in ("paper", "cli")
    ]
    pattern = re.compile(r"(?<![\d.])(" + "|".join(map(re.escape, figures)) + r")(?![\d])")
    held = {
        f"{path.name}: {found[0]}" for path in texts for found in pattern.finditer(path.read_text("utf-8"))
    }
    assert held == set()
