"""``ctxbench probe`` from the command line: killed at random, gone on with, and what is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

BLOCKS = """
from torch import nn


class Nan(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.conv(x) / 0
"""
COMMAND = ("probe", "se", "blocks.py:Nan", "--tasks", "count,row", "--quick", "--jobs", "2")


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ctxbench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def scores(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "probes.csv")
    return table[[name for name in table if not name.startswith("lat_")]]


@pytest.mark.slow
def test_what_was_killed_ten_times_ends_as_what_was_not(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    whole = started(tmp_path, *COMMAND, "--out", "whole")
    _, said = whole.communicate()
    assert whole.returncode == 4, said
    assert "ctxbench: Nan: the loss is nan at step 1" in said
    draw, arguments = random.Random(0), (*COMMAND, "--out", "killed")
    for _ in range(10):
        process = started(tmp_path, *arguments)
        time.sleep(draw.uniform(0.5, 12))
        process.send_signal(draw.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.communicate()
        if (tmp_path / "killed" / "probe.json").exists():
            arguments = ("probe", "--resume", "killed")
    process = started(tmp_path, *arguments)
    _, said = process.communicate()
    assert process.returncode == 4, said
    lines = (tmp_path / "killed" / "cells.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(keys) == len(set(keys)) == 6
    pd.testing.assert_frame_equal(scores(tmp_path / "killed"), scores(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("se --tasks rows", "no task 'rows'; there are majority, count, "),
        ("se --seeds 0", "a probe takes 1 to 100 seeds, not 0"),
        ("se --jobs 0", "one cell at least is trained at once, not 0"),
        ("--resume nowhere", "nowhere holds no such run (no probe.json in it)"),
        ("nonlocl", "no module named 'nonlocl'; did you mean nonlocal"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str, said: str, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("probe", *arguments.split()) == 2
    output, errors = capsys.readouterr()
    assert not output
    assert errors.startswith(f"ctxbench: {said}")
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())
