"""Ctrl-C that reaches the process the user typed into and no other: exit code 130, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BLOCK = """
import time
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        time.sleep(0.01)
        return x + 1
"""
COMMAND = [
    *("profile", "block.py:Block", "--channels", "4", "--size", "6,7,8", "--counter", "none"),
    *("--budget", "3", "--out", "run"),
]


def started(folder: Path, *arguments: str, code: str = "") -> subprocess.Popen[str]:
    """A command line in a group of its own, with the signal as a terminal leaves it."""
    command = ["-c", code] if code else ["-m", "ctxbench", *arguments]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to one process are POSIX")
@pytest.mark.parametrize("rounds", [1, 7])
def test_an_interrupted_profile_writes_its_report_and_goes_on(tmp_path: Path, rounds: int) -> None:
    (tmp_path / "block.py").write_text(BLOCK)
    process = started(tmp_path, *COMMAND)
    journal = tmp_path / "run" / "journal.jsonl"
    while process.poll() is None and not (
        journal.exists() and journal.read_text().count("round_ms") >= rounds
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert said == (
        "ctxbench: 3 cases, at most 9 s of samples; counting and preparing come on top\n"
        "ctxbench: interrupted; go on with: ctxbench profile --resume run\n"
    )
    assert (tmp_path / "run" / "table.md").exists()
    kept = journal.read_text().count("round_ms")
    assert kept >= rounds
    resumed = started(tmp_path, "profile", "--resume", "run")
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    lines = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["ok"] * 3
    assert sum(len(line["rounds_ms"]) for line in lines) > kept


@pytest.mark.skipif(os.name != "posix", reason="signals to one process are POSIX")
@pytest.mark.parametrize("moment", ["while the command line is imported", "when all is done"])
def test_the_exit_code_is_the_same_at_either_end(tmp_path: Path, moment: str) -> None:
    """The first is a hook on an import, the second what Python calls when the program has ended."""
    early = "sys.meta_path.insert(0, type('Hook', (), {'find_spec': staticmethod(interrupt)}))"
    late = "import atexit; atexit.register(lambda: (os.kill(os.getpid(), 2), time.sleep(0.1)))"
    code = f"""
import os, sys, time
def interrupt(name, *_):
    if name == "typer":
        os.kill(os.getpid(), 2)
sys.argv = ["ctxbench", "report", "nowhere"]
{early if "imported" in moment else late}
from ctxbench.__main__ import main
main()
"""
    process = started(tmp_path, code=code)
    _, said = process.communicate()
    assert "Traceback" not in said
    assert process.returncode == (130 if "imported" in moment else 2), said
