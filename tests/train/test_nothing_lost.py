"""What goes wrong while a network is trained costs no finished work, and is told in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, tiny_folder

from ctxbench.data.augment import Augment
from ctxbench.errors import UserError
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import configure
from ctxbench.train.loop import resume, train
from ctxbench.train.run import TrainedRun
from ctxbench.train.step import Stepper

ROOT = Path(__file__).resolve().parents[2]
PLACES = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {**TINY, "root": str(tiny_folder(tmp_path_factory.mktemp("data")))}


@pytest.fixture(scope="module")
def unbroken(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return train(configure(settings), tmp_path_factory.mktemp("unbroken") / "run")


def same_weights(run: TrainedRun, other: TrainedRun) -> bool:
    weights, expected = run.checkpoint().model, other.checkpoint().model
    return list(weights) == list(expected) and all(
        torch.equal(weights[key], expected[key]) for key in weights
    )


def command_line(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ctxbench", "train", *arguments]
    return subprocess.run(command, cwd=cwd, env=PLACES, capture_output=True, text=True)


def told(process: subprocess.CompletedProcess[str]) -> str:
    """The last line of a command that ended as at bad input, without a traceback."""
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1]


@pytest.mark.parametrize("evaluate_every", [0, 2])
def test_an_evaluation_that_fails_keeps_the_training(
    evaluate_every: int, unbroken: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_folder(tmp_path / "data")
    image = root / "images" / "val" / "1.png"
    whole = image.read_bytes()
    image.write_bytes(b"not a picture")
    own = configure(TINY, {"root": str(root), "evaluate_every": evaluate_every, "checkpoint_every": 0})
    with pytest.raises(
        UserError, match=r"val/1\.png.*the training so far is kept: mend this, then go on with"
    ):
        train(own, tmp_path / "run")
    kept = TrainedRun(tmp_path / "run").checkpoint()
    assert (kept.iteration, kept.evaluated) == (evaluate_every or 4, 0)
    image.write_bytes(whole)
    steps: list[int] = []
    step = Stepper.step
    monkeypatch.setattr(
        Stepper, "step", lambda self, number, *a: steps.append(number) or step(self, number, *a)
    )
    run = resume(tmp_path / "run")
    assert steps == list(range(kept.iteration + 1, 5))
    assert run.evaluations()["iteration"].tolist() == ([2, 4] if evaluate_every else [4])
    assert same_weights(run, unbroken)
    assert run.evaluation.miou == unbroken.evaluation.miou
    assert run.checkpoint("best").best == pytest.approx(run.evaluations()["miou"].max(), rel=1e-5)
    assert resume(tmp_path / "run").evaluations().equals(run.evaluations())  # nothing is left to do


def waited_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not condition():
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_it_after_an_iteration_that_is_kept(
    number: signal.Signals, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = configure(settings, {"iterations": 60, "checkpoint_every": 0, "evaluate_every": 0})
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text(config.to_toml())
    command = [sys.executable, "-m", "ctxbench", "train", "--resume", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=PLACES, text=True, stderr=subprocess.PIPE)
    log = tmp_path / "run" / "train.csv"
    waited_for(lambda: log.exists() and log.read_bytes().count(b"\n") > 3, process)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    done = TrainedRun(tmp_path / "run").checkpoint().iteration
    assert len(TrainedRun(tmp_path / "run").log()) == done < 60
    assert errors.splitlines()[-1] == (
        f"ctxbench: interrupted after iteration {done} of 60, which is kept; go on with: "
        "ctxbench train --resume run"
    )
    assert same_weights(resume(tmp_path / "run"), train(config, tmp_path / "whole"))


@pytest.mark.slow
def test_a_signal_to_one_rank_ends_all_after_the_same_iteration(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    changes = {"iterations": 500, "checkpoint_every": 0, "evaluate_every": 0, "devices": 2}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text(configure(settings, changes).to_toml())
    command = [sys.executable, "-m", "ctxbench", "train", "--resume", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=PLACES, text=True, stderr=subprocess.PIPE)
    log = tmp_path / "run" / "train.csv"
    waited_for(lambda: log.exists() and log.read_bytes().count(b"\n") > 3, process)
    process.terminate()
    _, errors = process.communicate()  # to the end of all that write there
    assert process.returncode == 130, errors
    done = TrainedRun(tmp_path / "run").checkpoint().iteration
    assert len(TrainedRun(tmp_path / "run").log()) == done < 500
    assert errors.count("interrupted after iteration") == 1
    assert "Traceback" not in errors


HUNGRY = """
import os, signal, torch
from torch import nn


class Hungry(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer, self.calls = nn.Conv2d(channels, channels, 1), 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == 3:
            torch.empty(1 << 50)
        return self.layer(x)


class Mortal(Hungry):
    RANK = "1"

    def forward(self, x):
        self.calls += self.training
        if self.calls == 3 and os.environ.get("LOCAL_RANK", "0") == self.RANK:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.layer(x)


class MortalFirst(Mortal):
    RANK = "0"
"""


@pytest.fixture
def own(settings: dict[str, Any], tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """The arguments that train with a class of a file of one's own."""
    (tmp_path / "own.py").write_text(HUNGRY)

    def arguments(context: str, **changes: Any) -> tuple[str, ...]:
        values = {**settings, "context": f"own.py:{context}", "evaluate_every": 0, **changes}
        pairs = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        return ("--out", "run", *(part for pair in pairs for part in ("--set", pair)))

    return arguments


def test_out_of_memory_is_one_line_that_says_what_to_change(
    own: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    line = told(command_line(*own("Hungry"), cwd=tmp_path))
    assert line.startswith("ctxbench: out of memory")
    for words in ("batch (now 2)", "crop (now 65)", "accumulate (now 1)", "--init run", "train --resume run"):
        assert words in line
    assert TrainedRun(tmp_path / "run").checkpoint().iteration == 2


def test_out_of_memory_on_a_gpu_is_the_same_line(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total\nof …"
        )

    monkeypatch.setattr(Stepper, "step", full)
    with pytest.raises(
        UserError, match=r"^out of memory \(2.50 GiB asked for\): take a smaller batch \(now 2\)"
    ):
        train(configure(settings), tmp_path / "run")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            None,
            r"a process that loads data (was killed|died).*; lower workers \(now 1",
        ),
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
            "workers are out of shared memory. Please try to raise your shared memory limit.",
            r"ran out of shared memory .*lower workers \(now 1; 0 needs no shared memory\).*--shm-size",
        ),
        ("received 0 items of ancdata", "ran out of shared memory"),
    ],
)
def test_a_loaders_process_that_dies_is_one_line(
    message: str | None,
    said: str,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer, augment = os.getpid(), Augment.__call__

    def dying(self: Augment, *given: Any) -> Any:
        if message is None and os.getpid() != trainer:
            os.kill(os.getpid(), signal.SIGKILL)
        return augment(self, *given)

    def failing(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(Augment, "__call__", dying)
    if message is not None:
        monkeypatch.setattr(Stepper, "step", failing)
    with pytest.raises(UserError, match=said) as error:
        train(configure(settings, {"workers": 1}), tmp_path / "run")
    assert str(error.value).endswith(f"then go on with `ctxbench train --resume {tmp_path / 'run'}`")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_rank_that_dies_is_one_line(own: Callable[..., tuple[str, ...]], tmp_path: Path) -> None:
    line = told(command_line(*own("Mortal", devices=2, batch=2), cwd=tmp_path))
    assert line.startswith(
        "ctxbench: rank 1 of 2 was killed by SIGKILL, as the kernel does when memory runs out;"
    )
    assert "ctxbench train --resume run`, with fewer devices (now 2)" in line
    assert TrainedRun(tmp_path / "run").checkpoint().iteration == 2


@pytest.mark.slow
def test_the_others_end_in_silence_when_rank_0_dies(
    own: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    process = command_line(*own("MortalFirst", devices=2, batch=2), cwd=tmp_path)
    assert process.returncode == -signal.SIGKILL
    assert "Traceback" not in process.stderr  # reading to its end has waited for all of them


def altered(run: TrainedRun, folder: Path, **changes: Any) -> Path:
    """A copy of a run whose last checkpoint has other values."""
    folder.mkdir()
    (folder / "config.toml").write_text(run.config.to_toml())
    torch.save({**vars(run.checkpoint()), **changes}, folder / "last.ckpt")
    return folder


def without(state: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: {"iteration": 10**9}, "is of iteration 1000000000, and the training has 4: it is damaged"),
        (lambda _: {"iteration": 5}, "is of iteration 5, and the training has 4"),
        (lambda _: {"iteration": "2"}, r"no checkpoint of ctxbench: .*got `str` - at `\$.iteration`"),
        (lambda _: {"iteration": -1}, r"no checkpoint of ctxbench: .*>= 0 - at `\$.iteration`"),
        (lambda _: {"best": "high"}, r"at `\$.best`"),
        (lambda _: {"model": {}}, "is of another architecture: .* is missing"),
        (lambda kept: {"model": {**kept.model, next(iter(kept.model)): 3}}, "is of another architecture"),
        (lambda _: {"optimizer": {}}, "last.ckpt has no state of sgd that fits"),
        (lambda kept: {"optimizer": without(kept.optimizer, "state")}, "has no state of sgd that fits"),
        (
            lambda kept: {
                "optimizer": {
                    **kept.optimizer,
                    "state": {
                        0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(1), "exp_avg_sq": torch.ones(1)}
                    },
                }
            },
            "it holds exp_avg, exp_avg_sq, step, not momentum_buffer",
        ),
        (
            lambda kept: {"optimizer": {**kept.optimizer, "state": {0: {"momentum_buffer": torch.ones(3)}}}},
            "its momentum_buffer is of another shape than the parameter",
        ),
        (
            lambda kept: {"optimizer": {**kept.optimizer, "state": {0: "text"}}},
            "has no state of sgd that fits",
        ),
        (lambda kept: {"optimizer": {**kept.optimizer, "state": {10**6: {}}}}, "it is of another network"),
    ],
)
def test_a_checkpoint_from_elsewhere_is_one_line(
    change: Callable[[Checkpoint], dict[str, Any]], said: str, unbroken: TrainedRun, tmp_path: Path
) -> None:
    kept = unbroken.checkpoint()
    changes = {"iteration": 2, **change(kept)}
    with pytest.raises(UserError, match=said) as error:
        resume(altered(unbroken, tmp_path / "run", **changes))
    assert "\n" not in str(error.value)


def test_rates_of_a_checkpoint_yield_to_the_configurations(unbroken: TrainedRun, tmp_path: Path) -> None:
    kept = unbroken.checkpoint()
    groups = [{"params": group["params"], "lr": "fast"} for group in kept.optimizer["param_groups"]]
    folder = altered(
        unbroken, tmp_path / "run", iteration=3, optimizer={**kept.optimizer, "param_groups": groups}
    )
    assert resume(folder).log()["lr"].tolist() == pytest.approx(unbroken.log()["lr"].tolist()[3:], rel=1e-5)


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with(unbroken: TrainedRun, tmp_path: Path) -> None:
    folder = altered(unbroken, tmp_path / "run")
    values = torch.load(folder / "last.ckpt", weights_only=True)
    del values["evaluated"]
    torch.save(values, folder / "last.ckpt")
    assert Checkpoint.read(folder / "last.ckpt").evaluated is None
    run = resume(folder)  # it is trained to the end, and its evaluation is not there
    assert run.evaluation.miou == unbroken.evaluation.miou
    assert run.log().empty
    assert run.checkpoint().evaluated == 4
