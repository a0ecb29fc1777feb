"""Fixtures of several verbs: the command line in this process, and a run whose network has random weights."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from untrained import make_data, make_run

from ctxbench.cli import main

Run = Callable[..., int]
Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Type a command in an empty folder; its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["ctxbench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    return call


@pytest.fixture
def refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Type a command that is refused: by exit code 2 and one line, which is returned, and nothing else."""

    def call(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert run(*arguments) == 2
        output, errors = capsys.readouterr()
        assert not output
        assert errors.startswith("ctxbench: ")
        assert errors.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return errors

    return call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, the same with other classes, and runs: whole, without a context module, just begun."""
    path = tmp_path_factory.mktemp("eval")
    make_data(path / "data", ["sky", "sea", "sand"])
    make_data(path / "other", ["sky", "ice", "sand"])
    make_run(path / "run", path / "data")
    make_run(path / "bare", path / "data", context="none")
    make_run(path / "begun", path / "data")
    (path / "begun" / "last.ckpt").unlink()
    return path


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Cli:
    """Type a command beside the runs; its exit code, output and complaint."""
    monkeypatch.chdir(place)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ctxbench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run
