"""``ctxbench train`` as a user runs it: its output, its exit codes, and two processes."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from tiny import TINY, tiny_folder

from ctxbench.cli import main, values
from ctxbench.train.logs import Logs
from ctxbench.train.presets import requested
from ctxbench.train.run import TrainedRun

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    tiny_folder(path / "data")
    (path / "tiny.toml").write_text(tomli_w.dumps(TINY))
    return path


@pytest.mark.slow
def test_two_processes_train_one_network(folder: Path) -> None:
    places = {"PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}", "COLUMNS": "100"}
    command = "-m ctxbench train --config tiny.toml --root data --devices 2 --out two"
    process = subprocess.run(
        [sys.executable, *command.split()],
        cwd=folder,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
    )
    said, complaints = process.stdout, process.stderr
    assert process.returncode == 0, complaints
    run = TrainedRun(folder / "two")
    assert run.log()["iteration"].tolist() == [1, 2, 3, 4]
    assert run.evaluations()["iteration"].tolist() == [2, 4]
    assert run.evaluation.processes == 2
    assert run.evaluation.confusion.sum() == 3 * 80 * 96
    assert f"{run.evaluation.miou:.2f}" in said
    assert said.count("Written to two") == 1
    assert complaints.count("iteration 4/4") == 1
    assert complaints.count("batch norm is not synchronised") == 1
    assert "Traceback" not in complaints


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ctxbench", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_options_of_the_context_module_are_typed_alike(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[context_options]\nrank = 3\nmode = 'slow'\n")
    pairs = ["rank=8", "flag=False", "word=fast"]
    expected = {"rank": 8, "flag": False, "word": "fast"}
    by_option = requested({}, tmp_path / "own.toml", [], values.options(pairs), None)
    by_setting = requested({}, None, [f"context_options.{pair}" for pair in pairs], {}, None)
    both = requested({}, None, ["context_options.rank=9"], values.options(pairs), None)
    assert by_option.context_options == by_setting.context_options == expected
    assert both.context_options == {**expected, "rank": 9}


def test_each_file_of_a_run_is_read_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One parse of a config.toml and one reading of an evaluation, of the run and of its baseline."""
    read: Counter[str] = Counter()

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def read_file(path: Path, *args: Any, **kwargs: Any) -> Any:
            read[path.as_posix()] += path.name in ("config.toml", "metrics.json")
            return method(path, *args, **kwargs)

        return read_file

    monkeypatch.chdir(folder)
    monkeypatch.setattr(Path, "read_text", counted(Path.read_text))
    run = tmp_path / "run"
    options = ["--set", "iterations=2", "--set", "baseline=true", "--out", str(run)]
    files = [
        run / f"{place}{name}"
        for place in ("", "baseline/")
        for name in ("config.toml", "evaluation/metrics.json")
    ]
    for command in (["--config", "tiny.toml", "--root", "data", *options], ["--resume", str(run)]):
        read.clear()
        assert call(monkeypatch, "train", *command) == 0
        assert {path.as_posix(): 1 for path in files} == +read


def test_an_interrupt_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    command = "ctxbench train --config tiny.toml --root data --out stopped"
    monkeypatch.setattr(sys, "argv", command.split())
    monkeypatch.setattr(Logs, "flush", lambda _: signal.raise_signal(signal.SIGINT))
    threads = set(threading.enumerate())
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    *_, complaint = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"ctxbench: interrupted .* iteration 2.*; go on with: ctxbench train --resume stopped", complaint
    )
    assert set(threading.enumerate()) <= threads  # TensorBoard's would write to a closed run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "weight_decy=1"], "training has no setting 'weight_decy'; did you mean weight_decay"),
        (["--preset", "imagenet"], "no preset named 'imagenet'; presets: synthetic, coco, "),
        (["--dataset", "sift_flow"], "sift_flow needs the folder it lies in; get it from http"),
        (["--config", "none.toml"], "cannot read none.toml: No such file or directory"),
        (["--resume", "."], ". holds no training run (no config.toml in it)"),
        (["--resume", ".", "--set", "lr=1"], "leave out --set"),
        (["--device", "tpu"], "device is 'tpu', not "),
        (["-o", "reconet.rank=8"], "-o takes KEY=VALUE, an option of the one context module"),
        (["-o", "rank=None"], "context_options.rank is None, which config.toml cannot hold"),
        (["--set", "lr=fast"], "lr is 'fast', not a positive number"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ctxbench", "train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("ctxbench: ")
    assert said in complaint
    assert complaint.count("\n") == 1
    assert not list(tmp_path.iterdir())
