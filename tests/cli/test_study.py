"""``ctxbench study`` from the command line: killed at random, gone on with, and what is refused."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.test_probe import BLOCKS, check_killed, ended, scores
from pandas.testing import assert_frame_equal
from tiny import tiny_folder

from ctxbench.study.executors import slurm

TOKENS = """

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


@pytest.mark.slow
def test_what_was_killed_ten_times_ends_as_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiny_folder(tmp_path / "data")
    (tmp_path / "blocks.py").write_text(f"{BLOCKS}{TOKENS}")
    output, said = ended(tmp_path, *COMMAND, "--out", "whole")
    assert "Not what a fine-tuned network reaches" in output
    assert "ctxbench: Nan: the loss is nan at step 1 (seed 0, 1)" in said
    check_killed(tmp_path, COMMAND, "study.json", "study.csv")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    ended(tmp_path, "study", "--resume", "whole")  # nothing is missing: no data are asked for


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
        ("se --partition gpu", "a partition is SLURM's: add --executor slurm"),
        ("--resume nowhere", "nowhere holds no such run (no study.json in it)"),
        ("secon", "no module named 'secon'; did you mean "),
    ],
)
def test_bad_input_is_one_line(arguments: str, said: str, refused: Callable[..., str]) -> None:
    assert refused("study", *arguments.split()).startswith(f"ctxbench: {said}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # of submitit's own
def test_cells_are_jobs_of_submitits_own_executor(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit")

    class Local(submitit.LocalExecutor):  # type: ignore[misc, name-defined]
        """Submitit's own, which calls a time limit otherwise."""

        def update_parameters(self, **asked: Any) -> None:
            super().update_parameters(timeout_min=asked["time"])

    monkeypatch.setattr(slurm, "submitter", lambda: Local)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    tiny_folder(tmp_path / "data")
    (tmp_path / "blocks.py").write_text(f"{BLOCKS}{TOKENS}")
    command = ("study", "blocks.py:Tokens", *DATA, "--seeds", "1", "--steps", "5")
    assert run(*command, "--executor", "slurm", "--out", "jobs") == 0
    assert len(list((tmp_path / "jobs" / "jobs").glob("0-*.json"))) == 2
    assert run(*command, "--out", "here") == 0
    assert_frame_equal(scores(tmp_path / "jobs" / "study.csv"), scores(tmp_path / "here" / "study.csv"))
