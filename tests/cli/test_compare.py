"""``ctxbench compare`` along axes and over several runs, and runs in shards, as they are typed."""

import csv
import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cli.test_interrupt import started
from synthetic import record, write_run

from ctxbench.errors import UserError
from ctxbench.measure.records import Record

Run = Callable[..., int]


def timed(name: str, factor: float = 1.0, **conditions: Any) -> Record:
    own = record(name)
    slower = [[factor * ms for ms in samples] for samples in own.rounds_ms[:5]]
    return replace(own, case=replace(own.case, **conditions), rounds_ms=slower)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


@pytest.fixture
def two(tmp_path: Path) -> None:
    for name, factor in (("one", 1.0), ("two", 2.0)):
        write_run(
            tmp_path / name, [timed("emau", factor), timed("emau", 3, runtime="compile"), timed("afnb")]
        )


def test_one_command_compares_runs_an_axis_or_with_a_module_and_exports_it(
    run: Run, two: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", "one", "two") == 1
    said = capsys.readouterr().out
    assert "Latency of B over A, threshold 5 %" in said
    assert run("compare", "one", "two", "--fail-on", "median:150%") == 0
    capsys.readouterr()
    assert run("compare", "one", "--by", "runtime", "--csv", "-") == 0
    (row,) = rows(capsys.readouterr().out)
    assert (row["module"], row["value"], row["baseline"], row["verdict"]) == (
        "emau", "compile", "eager", "SLOWER",
    )  # fmt: skip
    assert float(row["ratio"]) == pytest.approx(3)
    exports = ("--csv", "c.csv", "--md", "c.md", "--tex", "c.tex")
    assert run("compare", "one", "--baseline", "afnb", "--fail-on", "median:5%", *exports) == 1
    printed = capsys.readouterr().out
    assert "Latency over AFNB" in printed
    ratio = f"{float(rows((tmp_path / 'c.csv').read_text())[0]['ratio']):.3f}"
    assert ratio in printed
    assert f"| {ratio} |" in (tmp_path / "c.md").read_text()
    tex = (tmp_path / "c.tex").read_text()
    assert rf"& {ratio} &" in tex
    assert r"\label{tab:comparison}" in tex
    assert "At module AFNB alone" not in printed
    assert not (tmp_path / "ctxbench.bib").exists()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_a_terminal(
    width: int, run: Run, two: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("compare", "one", "two", "--by", "runtime") == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("EMAUnit, A"))
    assert row.rstrip().endswith("SLOWER")


def test_a_shard_is_handed_on_as_it_was_typed(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    asked: dict[str, Any] = {}

    def profile(*_: object, **given: object) -> None:
        asked.update(given)
        raise UserError("enough")

    monkeypatch.setattr("ctxbench.api.profile", profile)
    assert run("profile", "emau", "--shard", "2/8") == 2
    assert asked["shard"] == (2, 8)
    assert str(asked["out"]).endswith("-2of8")
    assert run("profile", "emau") == 2
    assert asked["shard"] is None


SHARDED = (
    "profile", "se,cam", "--channels", "16", "--size", "8", "--dtype", "fp32,bf16", "--counter", "none",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to one process are POSIX")
def test_shards_are_measured_one_is_killed_and_resumed_and_their_runs_are_one_table(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SHARDED, "--shard", "1/2", "--budget", "0.05", "--out", "one") == 0
    assert capsys.readouterr().err.startswith(
        "ctxbench: shard 1 of 2 (4 cases in all): 2 cases, at most 0.1 s"
    )
    running = started(tmp_path, *SHARDED, "--shard", "2/2", "--budget", "5", "--out", "two")
    journal = tmp_path / "two" / "journal.jsonl"
    while running.poll() is None and not (journal.exists() and b"round_ms" in journal.read_bytes()):
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    plan = json.loads((tmp_path / "two" / "run.json").read_text())
    assert (plan["shard"]["number"], plan["shard"]["count"], plan["shard"]["cases"]) == (2, 2, 4)
    plan["settings"]["budget_s"] = 0.05
    (tmp_path / "two" / "run.json").write_text(json.dumps(plan))
    assert run("profile", "--resume", "two") == 0
    capsys.readouterr()

    assert run("report", "one", "two", "--out", "both") == 0
    said = capsys.readouterr()
    assert "missing" not in said.out
    table = rows((tmp_path / "both" / "summary.csv").read_text())
    assert sorted((row["module"], row["dtype"]) for row in table) == [
        (module, dtype) for module in ("cam", "se") for dtype in ("bfloat16", "float32")
    ]
    assert {row["run"] for row in table} == {"one", "two"}
    assert {"report.html", "table.tex", "table.md"} <= {path.name for path in (tmp_path / "both").iterdir()}

    assert run("compare", "one", "two", "--by", "dtype", "--csv", "-") == 0
    compared = rows(capsys.readouterr().out)
    assert sorted((row["module"], row["dtype"], row["baseline"]) for row in compared) == [
        ("cam", "bfloat16", "float32"), ("se", "bfloat16", "float32"),
    ]  # fmt: skip
    assert all(float(row["ratio"]) > 0 and float(row["ratio_ci_level_pct"]) == 97.5 for row in compared)
    assert run("report", "one", "two") == 0
    assert (new := sorted((tmp_path / "runs").iterdir()))
    assert (new[0] / "report.html").exists()
