"""``ctxbench profile`` with axes: what is asked for, what is measured, and what the files say of it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ctxbench.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., int]

SMALL = ("--channels", "16", "--size", "9x7", "--counter", "none")
AXES = (
    "profile", "emau,se", *SMALL, "--dtype", "fp32,bf16", "--threads", "1,2", "-o", "emau.bases=1,2",
    "--where", 'not (dtype == "bf16" and threads == 2)',
)  # fmt: skip
CELLS = [("float32", 1), ("float32", 2), ("bfloat16", 1)]
"""Of dtype and threads, those that are kept."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line asks of the Python interface, which does nothing."""
    found: dict[str, Any] = {}

    def profile(*_: object, **given: object) -> None:
        found.update(given)
        raise UserError("enough")

    monkeypatch.setattr("ctxbench.api.profile", profile)
    return found


def test_every_condition_takes_a_list(asked: dict[str, Any], run: Run) -> None:
    axes = {
        "--batch": "1,8", "--channels": "256,512", "--size": "32,64x48", "--dtype": "fp32,half,bfloat16",
        "--memory-format": "contiguous,channels_last", "--mode": "infer,train", "--device": "cpu,cuda:1",
        "--threads": "1,2", "--runtime": "eager,compile", "--form": "fast,published", "-o": "k=1,2",
    }  # fmt: skip
    assert run("profile", "emau", *(word for pair in axes.items() for word in pair)) == 2
    assert asked["options"] == [{"k": 1}, {"k": 2}]
    names = ("batch", "channels", "sizes", "dtype", "layout", "mode", "device", "threads", "runtime")
    assert [asked[name] for name in names] == [
        [1, 8],
        [256, 512],
        [32, (64, 48)],
        ["float32", "float16", "bfloat16"],
        ["contiguous", "channels_last"],
        ["infer", "train"],
        ["cpu", "cuda:1"],
        [1, 2],
        ["eager", "compile"],
    ]
    assert asked["implementations"] == ["fast", "published"]


def test_what_was_said_before_is_still_understood(asked: dict[str, Any], run: Run) -> None:
    assert run("profile", "emau", "--channels-last", "--compile", "--implementation", "published") == 2
    assert (asked["layout"], asked["runtime"], asked["implementations"]) == (
        ["channels_last"],
        ["compile"],
        ["published"],
    )
    assert run("profile", "emau") == 2
    assert asked["layout"] == ["contiguous"]
    assert asked["runtime"] == ["eager"]
    assert asked["threads"] is None


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], [{}]),
        (["k=1,2,4"], [{"k": 1}, {"k": 2}, {"k": 4}]),
        (["k=(1,2,4)"], [{"k": (1, 2, 4)}]),
        (["k=(1,2),(3,4)"], [{"k": (1, 2)}, {"k": (3, 4)}]),
        (["k=[1,2]"], [{"k": [1, 2]}]),
        (["k='a,b'", "m.j=x, y"], [{"k": "a,b", "m.j": "x"}, {"k": "a,b", "m.j": "y"}]),
        (["act=nn.GELU,nn:ReLU"], [{"act": "=nn.GELU"}, {"act": "=nn.ReLU"}]),
        (["a=1,2", "b=True,none"], [{"a": a, "b": b} for a in (1, 2) for b in (True, "none")]),
    ],
    ids=str,
)
def test_a_comma_in_brackets_or_quotes_is_no_axis(
    texts: list[str], options: list[dict[str, Any]], asked: dict[str, Any], run: Run
) -> None:
    assert run("profile", "emau", *(word for text in texts for word in ("-o", text))) == 2
    assert asked["options"] == options


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cells(rows: list[dict[str, str]]) -> Counter[tuple[str, str, str, int]]:
    return Counter((row["module"], row["config"], row["dtype"], int(row["threads"])) for row in rows)


EXPECTED = Counter(
    (module, config, *cell)
    for module, config in [("emau", "bases=1"), ("emau", "bases=2"), ("se", "")]
    for cell in CELLS
)


@pytest.mark.slow
def test_a_grid_is_measured_and_every_file_names_what_varies(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*AXES, "--budget", "0.05", "--out", "run", "--tex", "t.tex") == 0
    said = capsys.readouterr()
    assert said.err.startswith("ctxbench: 9 cases, at most 0.45 s of samples")
    rows = table(tmp_path / "run" / "summary.csv")
    assert cells(rows) == EXPECTED
    assert {row["runtime"] for row in rows} == {"eager"}
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert all(set(r["threads"].values()) == {r["case"]["threads"]} for r in records)
    labels = {"bfloat16 · 1 CPU thread", "float32 · 1 CPU thread", "float32 · 2 CPU threads"}
    for name in ("table.md", "report.html"):
        assert all(label in (tmp_path / "run" / name).read_text() for label in labels), name
    assert all(label in said.out for label in labels)
    tex = (tmp_path / "t.tex").read_text()
    (caption,) = re.findall(r"\\caption\{(.*)\}\\label", tex)
    assert "CPU thread" not in caption
    assert "9$\\times$7" in caption
    assert all(label.replace(" · ", " $\\cdot$ ") in tex for label in labels)
    assert run("report", "run") == 0
    assert table(tmp_path / "run" / "summary.csv") == rows
    assert run("compare", "run", "run") == 0


@pytest.mark.slow
def test_a_run_with_axes_that_was_killed_resumes_to_every_cell(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
    command = [sys.executable, "-m", "ctxbench", *AXES, "--budget", "5", "--out", "run"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    records = tmp_path / "run" / "records.jsonl"
    while running.poll() is None and not (records.exists() and records.read_bytes()):
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    done = len(records.read_bytes().splitlines())
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    plan["settings"]["budget_s"] = 0.05
    (tmp_path / "run" / "run.json").write_text(json.dumps(plan))
    assert run("profile", "--resume", "run") == 0
    assert f"ctxbench: {len(EXPECTED) - done} case" in capsys.readouterr().err
    assert cells(table(tmp_path / "run" / "summary.csv")) == EXPECTED
    assert len(records.read_bytes().splitlines()) == len(EXPECTED)


FILE = """
[[case]]
module = "se"
threads = [1, 2]
channels = 16
size = "9x7"

[[case]]
module = "emau"
form = ["fast", "published"]
channels = 8
size = 5
mode = "train"
options = {bases = 1}
"""


@pytest.mark.slow
def test_cases_of_a_file_are_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cases.toml").write_text(FILE)
    assert (
        run("profile", "--cases", "cases.toml", "--counter", "none", "--budget", "0.05", "--out", "run") == 0
    )
    rows = table(tmp_path / "run" / "summary.csv")
    assert [(row["module"], row["implementation"], row["mode"], row["height"]) for row in rows] == [
        ("se", "single", "infer", "9"),
        ("se", "single", "infer", "9"),
        ("emau", "fast", "train", "5"),
        ("emau", "published", "train", "5"),
    ]
    assert [row["threads"] for row in rows[:2]] == ["1", "2"]


FITTING = """
[[case]]
module = "se"
channels = 16
size = "9x7"
batch = [1, "fit:64KiB", "fit:1KiB"]
"""


@pytest.mark.slow
def test_batches_that_fit_go_through_files_shards_reports_and_choices(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.toml").write_text(FITTING)
    for shard in "12":
        asked = ("--cases", "cases.toml", "--counter", "none", "--budget", "0.05", "--shard", f"{shard}/2")
        assert run("profile", *asked, "--out", shard) in (0, 4), "a row without a batch is not measured"
    assert run("report", "1", "2", "--out", "both") == 0
    rows = {row["fit_memory"]: row for row in table(tmp_path / "both" / "summary.csv")}
    assert {memory: (row["batch"], row["fit_confirmed"]) for memory, row in rows.items()} == {
        "": ("1", ""),
        "64KiB": ("16", "yes"),  # of 4 KiB each
        "1KiB": ("", ""),
    }
    found, lost = rows["64KiB"], rows["1KiB"]
    assert float(found["fit_peak_mib"]) == float(found["mem_alloc_mib"]) == 64 / 1024
    assert float(found["fit_next_mib"]) == 68 / 1024
    assert (lost["status"], lost["reason"].partition(":")[0]) == ("oom", "no batch fits 1KiB")
    capsys.readouterr()
    assert run("choose", "1", "2", "--best", "throughput", "--max", "memory=64KiB", "--csv", "-") == 0
    chosen = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["batch"], row["verdict"]) for row in chosen][2] == ("", "not known")
    assert {row["batch"] for row in chosen if row["verdict"] == "fits"} == {"1", "16"}


BLOCKS = """
import torch
from torch import nn


class Breaks(nn.Conv2d):
    def __init__(self, channels):
        super().__init__(channels, channels, 1)

    def forward(self, x):
        y = super().forward(x)
        torch._dynamo.graph_break()
        return y.relu()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine, which Inductor would call")
def test_eager_and_compiled_stand_beside_each_other(run: Run, tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    axes = ("--runtime", "eager,compile", "--threads", "1,2", "--budget", "0.05")
    assert run("profile", "blocks.py:Breaks", *SMALL, *axes, "--out", "run") == 0
    rows = table(tmp_path / "run" / "summary.csv")
    assert [(row["threads"], row["runtime"]) for row in rows] == list(product("12", ("eager", "compile")))
    for row in rows:
        assert row["status"] in ("ok", "noisy")
        compiled = row["runtime"] == "compile"
        assert bool(row["compile_s"]) == bool(row["graph_breaks"]) == compiled
        assert bool(row["peak_pred_mib"]) != compiled
        if compiled:
            assert float(row["compile_s"]) > 0
            assert row["graph_breaks"] == "1"
            assert "graph breaks: " in row["reason"]
            assert "peak_pred_mib, mem_reserved_sim_mib: predicted for eager execution alone" in row["reason"]
    text = (tmp_path / "run" / "table.md").read_text()
    assert "compiled · 1 CPU thread" in text
    assert "Graph breaks: Breaks: " in text
