"""Fixtures of several verbs: the command line in this process, and a run whose network has random weights."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ctxbench.cli import main
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import TrainConfig
from ctxbench.train.run import network_of

SETTINGS = {"backbone": "resnet-tiny", "channels": 16, "crop": 65, "dataset": "folder", "auxiliary": False}
Run = Callable[..., int]
Cli = Callable[..., tuple[int, str, str]]


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


def make_data(root: Path, classes: list[str]) -> None:
    """Three images of two sizes with masks, and their classes."""
    rng = np.random.default_rng(0)
    for i, size in enumerate([(66, 70), (66, 70), (50, 90)]):
        for kind, pixels in {
            "images": rng.integers(0, 256, (*size, 3), np.uint8),
            "masks": rng.integers(0, len(classes), size, np.uint8),
        }.items():
            (root / kind / "val").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / "val" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(classes))


def make_run(
    folder: Path, root: Path, classes: Sequence[str] = ("sky", "sea", "sand"), **changes: object
) -> None:
    """A run whose network has random weights, at iteration 7."""
    config = TrainConfig(**{**SETTINGS, "root": str(root), **changes})  # type: ignore[arg-type]
    folder.mkdir()
    (folder / "config.toml").write_text(config.to_toml())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network_of(config, len(classes))
    state = Checkpoint(network.state_dict(), {}, {}, 7, None, 3, list(classes), config.digest)
    for name in ("best.ckpt", "last.ckpt"):
        state.write(folder / name)


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
