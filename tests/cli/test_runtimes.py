"""``ctxbench profile --runtime eager,onnxruntime,openvino``: rows, models, crashes, a run that goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from ctxbench.measure.folder import JOURNAL, read_run
from ctxbench.measure.runtimes import EXPORTED, refusal
from ctxbench.subject.case import Case

for name in EXPORTED:
    if why := refusal(replace(Case("se", 4, 4, 4), runtime=name)):
        pytest.skip(why, allow_module_level=True)

Run = Callable[..., int]
QUICK = ("--counter", "none", "--budget", "0.05", "--threads", "1")
BLOCKS = """
import os, signal, time
import torch
from torch import nn


class Good(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x + self.gate * self.conv(x).relu()


def stands_in(make):
    # this process's onnxruntime: a session that cannot be made
    import onnxruntime

    onnxruntime.InferenceSession = make


class Crashes(Good):
    def __init__(self, channels):
        super().__init__(channels)
        stands_in(lambda *_, **__: os.kill(os.getpid(), signal.SIGSEGV))


class Hangs(Good):
    def __init__(self, channels):
        super().__init__(channels)
        stands_in(lambda *_, **__: time.sleep(3600))


class Wrong(Good):
    # its output is another when it is exported
    def forward(self, x):
        y = super().forward(x)
        return 1.01 * y if torch.compiler.is_exporting() else y
"""


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_runtimes_stand_beside_each_other_and_a_crash_costs_its_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text(BLOCKS)
    subjects = [f"b.py:{name}" for name in ("Good", "Crashes", "Hangs", "Wrong")]
    asked = ("--channels", "8", "--size", "6x5", "--runtime", "eager,onnxruntime,openvino", *QUICK)
    saved = ("--timeout", "20", "--save-onnx", "models")
    assert run("profile", *subjects, *asked, *saved, "--out", "run") == 4
    rows = {(row["module"].rpartition(":")[2], row["runtime"]): row for row in rows_of(tmp_path / "run")}
    failed = {
        ("Crashes", "onnxruntime"): ("crashed", "killed by SIGSEGV during prepare"),
        ("Hangs", "onnxruntime"): ("timeout", "prepare took longer than 20 s"),
        ("Wrong", "onnxruntime"): ("error", "its output is off by 0.01 of the largest value"),
        ("Wrong", "openvino"): ("error", "its output is off by 0.01 of the largest value"),
    }
    for key, row in rows.items():
        status, why = failed.get(key, ("ok", ""))
        assert row["status"].replace("noisy", "ok") == status, row
        assert why in row["reason"]
        assert bool(row["lat_median_ms"]) == (status == "ok")
        exported = key[1] != "eager"
        assert bool(row["output_error"]) == bool(row["compile_s"]) == (exported and status == "ok")
        assert bool(row["peak_pred_mib"]) == bool(row["mem_alloc_mib"]) == (not exported)
        if exported and status == "ok":
            assert 0 <= float(row["output_error"]) <= 1e-4
            assert row["threads"] == "1"
            assert float(row["mem_process_mib"]) >= 0
    for record in read_run(tmp_path / "run").records:
        if record.case.runtime in EXPORTED and record.status == "ok":
            assert record.runtime[record.case.runtime]
            assert record.threads[record.case.runtime] == 1
    models = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert [name.rpartition("-")[0] for name in models if name.startswith("Good")] == [
        f"Good-single-1x8x6x5-float32-{runtime}" for runtime in EXPORTED
    ]
    assert any(name.endswith(f"-openvino-{rows['Good', 'openvino']['case_id']}.onnx") for name in models)
    assert not [name for name in models if name.startswith(("Crashes", "Hangs")) and "onnxruntime" in name]
    header = next(
        line for line in (tmp_path / "run" / "table.md").read_text().splitlines() if "| module" in line
    )
    assert "error" in header


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_its_runtimes(run: Run, tmp_path: Path) -> None:
    axes = ("--runtime", "eager,onnxruntime", "--dtype", "fp32,bf16", "--budget", "5", "--threads", "1")
    small = ("--channels", "8", "--size", "6", "--counter", "none", "--save-onnx", "models")
    command = [sys.executable, "-m", "ctxbench", "profile", "se", *small, *axes, "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        journal = tmp_path / "run" / JOURNAL
        while process.poll() is None and not (
            journal.exists() and journal.read_text().count("round_ms") >= 6
        ):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    before = {record.case.id: record.rounds_ms for record in read_run(tmp_path / "run").records}
    for model in (tmp_path / "models").iterdir():
        model.unlink()
    assert run("profile", "--resume", "run") == 0
    records = read_run(tmp_path / "run").records
    conditions = [(record.case.dtype, record.case.runtime) for record in records]
    assert conditions == list(product(("float32", "bfloat16"), ("eager", "onnxruntime")))
    for record in records:
        assert record.status == "ok"
        assert record.rounds_ms[: len(before[record.case.id])] == before[record.case.id]
        assert (record.output_error is not None) == (record.case.runtime == "onnxruntime")
    assert len(list((tmp_path / "models").iterdir())) == 2, "the plan holds where models go"
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    assert plan["settings"]["save_onnx"] == str(tmp_path / "models")
