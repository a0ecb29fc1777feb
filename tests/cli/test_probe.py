"""``ctxbench probe`` from the command line: killed at random, gone on with, and what is refused."""

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from cli.test_interrupt import started

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


@pytest.mark.slow
def test_what_was_killed_ten_times_ends_as_what_was_not(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    _, said = ended(tmp_path, *COMMAND, "--out", "whole")
    assert "ctxbench: Nan: the loss is nan at step 1" in said
    check_killed(tmp_path, COMMAND, "probe.json", "probes.csv")


def ended(folder: Path, *arguments: str) -> tuple[str, str]:
    """What a command printed, and said, that trained all blocks but one."""
    process = started(folder, *arguments)
    output, said = process.communicate()
    assert process.returncode == 4, said
    return output, said


def check_killed(folder: Path, command: tuple[str, ...], plan: str, table: str) -> None:
    """Kill a command ten times and go on by its ``plan``: six cells are there, once each, as in ``whole``."""
    draw, arguments = random.Random(0), (*command, "--out", "killed")
    for _ in range(10):
        process = started(folder, *arguments)
        time.sleep(draw.uniform(0.5, 12))
        process.send_signal(draw.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.communicate()
        if (folder / "killed" / plan).exists():
            arguments = (command[0], "--resume", "killed")
    ended(folder, *arguments)
    lines = (folder / "killed" / "cells.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(keys) == len(set(keys)) == 6
    pd.testing.assert_frame_equal(scores(folder / "killed" / table), scores(folder / "whole" / table))


def scores(path: Path) -> pd.DataFrame:
    """A table without what was timed."""
    table = pd.read_csv(path)
    return table[[name for name in table if not name.startswith("lat_")]]


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
def test_bad_input_is_one_line(arguments: str, said: str, refused: Callable[..., str]) -> None:
    assert refused("probe", *arguments.split()).startswith(f"ctxbench: {said}")
