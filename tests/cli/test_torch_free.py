"""The process that the user types into never loads torch where nothing in it needs torch.

Asked of the whole command line, run as it is, in a process of its own: a property of an inner module says
nothing of the way there.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.conv(x)
"""
RUN = """
import sys
from ctxbench.__main__ import main
sys.argv = ["ctxbench", *sys.argv[1:]]
try:
    main()
except SystemExit as error:
    code = error.code or 0
else:
    code = 0
print(code, "torch" in sys.modules, file=sys.stderr)
"""


def run(folder: Path, *arguments: str) -> str:
    """Run a command line in ``folder``; its exit code, and whether torch was loaded, as the last line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch-free")
    (path / "block.py").write_text(BLOCK)
    return path


def test_profile_and_what_reads_its_run_go_without_torch(folder: Path) -> None:
    small = ("--channels", "4", "--size", "6", "--budget", "0.05", "--counter", "none")
    assert run(folder, "profile", "block.py:Block", "emau", *small, "--out", "run") == "0 False"
    assert (folder / "run" / "table.md").exists()
    assert run(folder, "report", "run") == "0 False"
    assert run(folder, "compare", "run", "run") == "0 False"
    assert run(folder, "choose", "run", "--best", "memory") == "0 False"
    assert run(folder, "profile", "--resume", "run") == "0 False"


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("--help",), ("profile", "--help"), ("profile", "nonlocl"), ("audit", "none.csv")],
)
def test_what_measures_nothing_goes_without_torch(folder: Path, arguments: tuple[str, ...]) -> None:
    is_bad = arguments[-1] in ("nonlocl", "none.csv")
    assert run(folder, *arguments) == ("2 False" if is_bad else "0 False")


def test_the_question_is_answered_truly(folder: Path) -> None:
    assert run(folder, "explain", "emau", "--channels", "16", "--size", "4", "--counter", "none") == "0 True"
