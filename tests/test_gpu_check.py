"""The check that waits for a GPU: each part on the CPU at small sizes, and the whole of it without."""

import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny import TINY, tiny_folder

from ctxbench.subject import bind
from ctxbench.subject.case import Case
from ctxbench.table.markdown import grid_markdown

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[1] / "reports" / "gpu"
SHAPE = (2, 32, 12, 10)


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports one of the script's files, as the script does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield imported
    for path in FOLDER.glob("*.py"):
        if path.stem not in before:
            sys.modules.pop(path.stem, None)


def rows(section: Any) -> list[list[str]]:
    return [[cell.text for cell in row] for group in section.grids[0].groups for row in group.rows]


def in_time(seconds: float = 600) -> float:
    return time.monotonic() + seconds


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_ends_3_and_writes_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    ran = subprocess.run(
        ["bash", str(FOLDER / "check.sh"), str(report)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3
    assert re.fullmatch(r"check\.sh: no GPU, nothing checked: .*sees no CUDA device\n", ran.stderr)
    assert ran.stdout == ""
    assert not report.exists()


def test_without_torch_it_says_so_too(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n")
    python.chmod(0o755)
    ran = subprocess.run(
        ["bash", str(FOLDER / "check.sh")],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3
    assert ran.stderr.endswith("nothing checked: ModuleNotFoundError: No module named 'torch'\n")


STUB = """#!/bin/sh
case "$*" in
*"import torch"*) exit 0 ;;
*find_spec*) echo {missing} ;;
*check.py*) echo "$@"; exit {status} ;;
esac
"""


@pytest.mark.parametrize(
    ("missing", "status", "code", "said"),
    [
        ("msgspec tomli_w", 0, 2, "lacks msgspec tomli_w: install them, or put their wheels into "),
        ("", 0, 0, ""),
        ("", 1, 1, ""),
        ("", 124, 1, "stopped after 450 s; "),
    ],
)
def test_with_a_gpu_it_runs_the_parts_or_names_what_is_missing(
    tmp_path: Path, missing: str, status: int, code: int, said: str
) -> None:
    python = tmp_path / "python"
    python.write_text(STUB.format(missing=missing, status=status))
    python.chmod(0o755)
    ran = subprocess.run(
        ["bash", str(FOLDER / "check.sh"), "report.md"],
        env={**os.environ, "PYTHON": str(python)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert said in ran.stderr
    assert bool(ran.stderr) is bool(said)
    called = f"{FOLDER}/check.py --device cuda --out {tmp_path}/report.md\n"
    assert ran.stdout == ("" if missing else called)


def test_parity_of_every_form(part: Any) -> None:
    parity = part("parity")
    section = parity.section("cpu", SHAPE, in_time())
    forms = sum(len(bind.implementations(module)) for module in parity.modules())
    assert len(rows(section)) == 4 * forms
    assert section.wrong == []
    in_float32 = [row for row in rows(section) if row[2] == "float32"]
    assert all(float(row[3]) < 1e-5 for row in in_float32)


def test_parity_tells_a_form_that_is_wrong(part: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parity = part("parity")
    computed = parity.computed

    def half_a_percent_more(case: Case, *given: Any) -> Any:
        output, gradient = computed(case, *given)
        return (output * 1.005 if case.implementation == "fast" else output), gradient

    monkeypatch.setattr(parity, "computed", half_a_percent_more)
    found = {
        row.precision: row.agrees for row in parity.of_module("emau", SHAPE, "cpu") if row.form == "fast"
    }
    assert found == {"float32": False, "tf32": True, "bfloat16": True, "float16": True}
    assert not parity.section("cpu", SHAPE, 0.0).grids[0].groups[0].rows  # and without time, none
    assert parity.section("cpu", SHAPE, 0.0).wrong[0].startswith("no time was left for reconet")


def test_tf32_is_allowed_within_alone(part: Any) -> None:
    tf32 = part("parity").tf32
    before = torch.backends.cuda.matmul.allow_tf32
    with tf32(not before):
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is not before
    assert torch.backends.cuda.matmul.allow_tf32 is before


def test_peaks_of_some_modules(part: Any) -> None:
    section = part("peaks").section("cpu", (1, 32, 24, 20), in_time(), ("reconet", "se"))
    assert section.wrong == []
    assert len(rows(section)) == 4 + 2 + 2 + 1 + 1  # forms × modes, then bfloat16 of the fast ones
    (exact,) = [row for row in rows(section) if row[:4] == ["reconet", "fast", "infer", "float32"]]
    assert exact[4] == "no"
    assert exact[5] == exact[6]
    assert float(exact[8]) >= 2  # simulated, for a CUDA device
    assert exact[9] == "–"
    assert section.text[0].startswith("Of 8 cases without convolutions, ")


def test_what_nvml_does_not_say_is_said(part: Any) -> None:
    section = part("peaks").held("cpu")
    assert section.wrong or rows(section)


def test_latency(part: Any) -> None:
    case = Case("se", *SHAPE[1:], batch=1, implementation="single")
    section = part("latency").section("cpu", [case, replace(case, module="cbam")], in_time())
    assert section.wrong == []
    assert [row[0] for row in rows(section)] == ["se", "cbam"]
    assert all(float(row[2]) > 0 for row in rows(section))
    assert section.grids[0].footnotes == ["no CUDA graph on cpu"]


@pytest.mark.slow
def test_what_runs_through_the_command_line(part: Any, tmp_path: Path) -> None:
    runs = part("runs")
    row = runs.row_of_table10("cpu", tmp_path / "row", 16, 12, 300)
    assert row.wrong == []
    assert "TGM+TRM" in grid_markdown(row.grids[0])
    settings = [f"{k}={v}" for k, v in TINY.items() if k not in ("device", "iterations", "evaluate_every")]
    settings.append(f"root={tiny_folder(tmp_path / 'data')}")
    trained = runs.training("cpu", tmp_path / "train", 8, 300, *settings)
    assert "images/s" in trained.text[0]
    assert trained.wrong == [] or trained.wrong[0].startswith("the loss did not fall")


@pytest.mark.parametrize(("module", "form", "same"), [("se", "single", True), ("emau", "fast", False)])
def test_two_processes_are_held_to_one(part: Any, tmp_path: Path, module: str, form: str, same: bool) -> None:
    """On the CPU batch norm is not synchronised: each half of the batch is normalised by its own mean."""
    case = Case(module, 16, 6, 5, {}, form, 4, mode="train")
    section = part("syncbn").section("cpu", case, tmp_path / "two", in_time())
    assert (section.wrong == []) is same, section
    assert section.text[0].startswith(f"{module}, 2 processes with a part each of 4 maps")


def test_a_command_that_fails_is_in_the_report(part: Any, tmp_path: Path) -> None:
    section = part("runs").row_of_table10("cpu", tmp_path / "row", 0, 12, 300)
    assert len(section.wrong) == 1
    assert "ended 2: " in section.wrong[0]
    late = part("section").ctxbench("list", timeout_s=0.01)
    assert late == "`ctxbench list` took more than 0 s"


def test_the_report_holds_every_part_whatever_happens_in_one(part: Any, tmp_path: Path) -> None:
    check, section = part("check"), part("section").Section
    pages: list[str] = []

    def fails(seconds: float) -> Any:
        pages.append((tmp_path / "report.md").read_text())
        raise RuntimeError("out of |memory|\nat all")

    wanted = [
        ("first", 1, lambda s: section("First", text=["Of the first."])),
        ("second", 1, fails),
        ("third", 4000, lambda s: section("Third")),
    ]
    sections = check.run(wanted, "cpu", tmp_path / "report.md", 10)
    assert "**Not finished:** second, third to come." in pages[0]
    assert [len(s.wrong) for s in sections] == [0, 1, 1]
    report = (tmp_path / "report.md").read_text()
    assert "Not finished" not in report
    assert "- second: failed: RuntimeError: out of \\|memory\\|" in report
    assert re.search(r"- third: not run: \d+ s of 10 were left", report)
    assert "## First\n\nOf the first.\n" in report
    assert list(tmp_path.iterdir()) == [tmp_path / "report.md"]


def test_every_part_has_its_time(part: Any, tmp_path: Path) -> None:
    check = part("check")
    wanted = check.parts("cpu", tmp_path)
    assert [name for name, _, _ in wanted][:2] == ["peaks", "parity"]
    assert sum(seconds for _, seconds, _ in wanted) <= check.BUDGET_S < 450 < 8 * 60
