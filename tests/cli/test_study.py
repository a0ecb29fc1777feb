"""``ctxbench study`` from the command line: killed at random, gone on with, and what is refused."""

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
from tiny import tiny_folder

BLOCKS = """
from torch import nn


class Nan(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.conv(x) / 0


class Tokens(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, tokens):  # (N, H·W, C)
        return tokens + self.mix(self.norm(tokens).mean(1, keepdim=True))
"""
DATA = ("--dataset", "folder", "--root", "data", "--backbone", "resnet-tiny", "--size", "80")
COMMAND = (
    "study",
    "blocks.py:Tokens",
    "blocks.py:Nan",
    *DATA,
    "--seeds",
    "2",
    "--steps",
    "30",
    "--jobs",
    "2",
)


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ctxbench", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "XDG_CACHE_HOME": str(folder / "cache"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def scores(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "study.csv")
    return table[[name for name in table if not name.startswith("lat_")]]


@pytest.mark.slow
def test_what_was_killed_ten_times_ends_as_what_was_not(tmp_path: Path) -> None:
    tiny_folder(tmp_path / "data")
    (tmp_path / "blocks.py").write_text(BLOCKS)
    whole = started(tmp_path, *COMMAND, "--out", "whole")
    output, said = whole.communicate()
    assert whole.returncode == 4, said
    assert "Not what a fine-tuned network reaches" in output
    assert "ctxbench: Nan: the loss is nan at step 1 (seed 0, 1)" in said
    draw, arguments = random.Random(0), (*COMMAND, "--out", "killed")
    for _ in range(10):
        process = started(tmp_path, *arguments)
        time.sleep(draw.uniform(0.5, 12))
        process.send_signal(draw.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.communicate()
        if (tmp_path / "killed" / "study.json").exists():
            arguments = ("study", "--resume", "killed")
    process = started(tmp_path, *arguments)
    _, said = process.communicate()
    assert process.returncode == 4, said
    lines = (tmp_path / "killed" / "cells.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(keys) == len(set(keys)) == 6
    pd.testing.assert_frame_equal(scores(tmp_path / "killed"), scores(tmp_path / "whole"))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    again = started(tmp_path, "study", "--resume", "whole")  # nothing is missing: no data are asked for
    _, said = again.communicate()
    assert again.returncode == 4, said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("se --seeds 0", "a study takes 1 to 100 seeds, not 0"),
        ("se --steps 0", "a head is trained for one step at least, not 0"),
        ("se --batch 1", "a batch has two images at least, not 1"),
        ("se --jobs 0", "one cell at least is trained at once, not 0"),
        ("se --size 32", "images are 65 to 2048 pixels wide, not 32"),
        ("se --images 0", "a study trains on one image at least, not 0"),
        ("se --baseline cam", "the baseline 'cam' is not among the blocks: se"),
        ("se --weights nowhere.pth", "no file of weights at "),
        ("se --resume nowhere", "--resume goes on with the study as it was begun: leave out modules"),
        ("--resume nowhere", "nowhere holds no such run (no study.json in it)"),
        ("secon", "no module named 'secon'; did you mean "),
    ],
)
def test_bad_input_is_one_line(
    arguments: str, said: str, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("study", *arguments.split()) == 2
    output, errors = capsys.readouterr()
    assert not output
    assert errors.startswith(f"ctxbench: {said}")
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())
