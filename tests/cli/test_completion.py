"""Tab completes names of modules, in the shells that people use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CTXBENCH = Path(sys.executable).with_name("ctxbench")


def complete(shell: str, line: str) -> str:
    """What the installed command answers a shell that completes this line."""
    words = line.split()
    of_shell = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    env = {**os.environ, "_CTXBENCH_COMPLETE": f"complete_{shell}", **of_shell[shell]}
    return subprocess.run([CTXBENCH], env=env, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_name_is_completed(shell: str) -> None:
    assert "reconet" in complete(shell, "ctxbench profile recon")
    assert "nonlocal" not in complete(shell, "ctxbench profile recon")


def test_the_last_name_of_a_comma_list_is_completed() -> None:
    assert complete("bash", "ctxbench profile reconet,emau,lat").split() == ["reconet,emau,latentgnn"]


def test_a_verb_is_completed() -> None:
    assert complete("bash", "ctxbench expl").split() == ["explain"]
