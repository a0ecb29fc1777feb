"""Loggers beside TensorBoard and CSV: what they get, that a resumed run goes on, and what a failure costs.

What needs W&B or MLflow skips without them (``pip install 'ctxbench[wandb,mlflow]'``), and reads the files
that they write offline.
"""

import errno
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from logged import of_mlflow, of_wandb
from tiny import TINY, tiny_folder

from ctxbench.__main__ import main
from ctxbench.errors import UserError
from ctxbench.train import loggers
from ctxbench.train.config import configure
from ctxbench.train.launch.stopping import Interrupted
from ctxbench.train.loggers import KEPT, Loggers
from ctxbench.train.loggers.wandb import WandB
from ctxbench.train.logs import EVALUATIONS, TRAIN, Logs
from ctxbench.train.loop import resume, train
from ctxbench.train.run import TrainedRun
from ctxbench.train.training import Progress


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["begin", "scalars", "results", "end"])
def test_a_logger_that_fails_costs_its_log_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    calls = []
    for name in ("begin", "scalars", "results", "end"):
        monkeypatch.setattr(WandB, name, lambda *_, name=name: calls.append(name) or {})
    monkeypatch.setattr(WandB, call, full)
    with caplog.at_level(logging.WARNING), Logs(tmp_path, 0, 0, (), ["wandb"], {"lr": 1}) as logs:
        logs.step({**dict.fromkeys(TRAIN, 0), "iteration": 1})
        logs.evaluation({**dict.fromkeys(EVALUATIONS, 0), "iteration": 1})
        logs.step({**dict.fromkeys(TRAIN, 0), "iteration": 2})
        logs.results({"final/miou": 1.0})
    expected = ["begin", "scalars", "scalars", "scalars", "results", "end"]
    assert calls == expected[: expected.index(call)]
    (said,) = caplog.messages
    assert said == f"wandb logs nothing more of {tmp_path}: OSError: [Errno 28] No space left on device"
    assert len((tmp_path / "train.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (Interrupted, "interrupted"),
        (KeyboardInterrupt, "interrupted"),
        (UserError, "failed"),
    ],
)
def test_a_logger_is_told_how_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None, state: str
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(WandB, "begin", lambda *_: {"id": "a"})
    monkeypatch.setattr(WandB, "end", lambda _, state: ends.append(state))
    Loggers(["wandb"], tmp_path, {}).end(error)
    assert ends == [state]
    assert json.loads((tmp_path / KEPT).read_text()) == {"wandb": {"id": "a"}}


def test_what_is_damaged_of_an_earlier_start_costs_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / KEPT).write_text("{")
    Loggers(["wandb"], tmp_path, {}).scalars({"a": 1.0}, 1)
    assert "wandb logs nothing more of" in caplog.text


@pytest.mark.parametrize("verb", ["train reconet", "study se"])
def test_a_logger_that_is_not_installed_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["ctxbench", *verb.split(), "--log", "mlflow"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.err == "ctxbench: the logger mlflow is not installed: pip install 'ctxbench[mlflow]'\n"
    assert not list(tmp_path.iterdir())


def test_loggers_are_a_setting_that_may_change_before_a_resume() -> None:
    logged = configure({"log": ["mlflow", "wandb"]})
    assert logged.digest == configure({}).digest
    assert configure({"log": list(logged.log or ())}) == logged
    for wrong in (["tensorboard"], "wandb", [1]):
        with pytest.raises(UserError, match=r"training: log is .*, not a list of wandb and mlflow"):
            configure({"log": wrong})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where both libraries keep to files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def killed_and_resumed(place: Path, logger: str) -> tuple[TrainedRun, TrainedRun]:
    """A run with a logger, interrupted and gone on with, and the same run without either."""
    settings: dict[str, Any] = {**TINY, "root": str(tiny_folder(place / "data")), "iterations": 6}

    def interrupt(state: Progress) -> None:
        if state.done == 3 and state.evaluated is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(configure(settings, {"log": [logger]}), place / "run", progress=interrupt)
    return resume(place / "run"), train(configure(settings), place / "plain")


def check_same(run: TrainedRun, plain: TrainedRun) -> None:
    ours, theirs = run.checkpoint().model, plain.checkpoint().model
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    pd.testing.assert_series_equal(run.log()["loss"], plain.log()["loss"])


def check_step(values: dict[str, float], row: Any) -> None:
    for name in ("loss", "lr", "aux"):
        assert values[f"train/{name}"] == pytest.approx(row[name], rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_wandb_offline_has_config_steps_evaluations_and_scores_of_one_run(place: Path) -> None:
    pytest.importorskip("wandb")
    run, plain = killed_and_resumed(place, "wandb")
    check_same(run, plain)
    first, second = of_wandb(place)
    assert first["id"] == second["id"] == json.loads((run.folder / KEPT).read_text())["wandb"]["id"]
    assert first["title"] == str(run.folder)
    assert first["config"]["lr"] == TINY["lr"]
    assert second["config"]["backbone"] == TINY["backbone"]
    log, evaluations = run.log().set_index("iteration"), run.evaluations().set_index("iteration")
    assert [*first["steps"]] == [1, 2, 3]
    assert [*second["steps"]] == [3, 4, 5, 6]  # from the checkpoint after the second
    for start in (first, second):
        for step, values in start["steps"].items():
            check_step(values, log.loc[step])
    assert second["steps"][6]["evaluation/miou"] == pytest.approx(evaluations.loc[6, "miou"], rel=1e-5)
    assert second["summary"]["final/miou"] == run.evaluation.miou
    assert (first["exit"], second["exit"]) == (1, 0)
    assert not (plain.folder / KEPT).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_has_params_steps_evaluations_and_scores_of_one_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    run, plain = killed_and_resumed(place, "mlflow")
    check_same(run, plain)
    kept = json.loads((run.folder / KEPT).read_text())["mlflow"]
    found = of_mlflow(kept["uri"], kept["run"])
    assert (found["status"], found["title"]) == ("FINISHED", str(run.folder))
    assert found["params"]["lr"] == str(TINY["lr"])
    log, evaluations = run.log().set_index("iteration"), run.evaluations().set_index("iteration")
    for step, row in log.iterrows():
        check_step({name: values[step] for name, values in found["metrics"].items() if step in values}, row)
    assert found["metrics"]["evaluation/miou"] == pytest.approx(evaluations["miou"].to_dict(), rel=1e-5)
    assert found["metrics"]["final/miou"] == {0: run.evaluation.miou}

    from mlflow import MlflowClient

    client = MlflowClient(kept["uri"])
    experiment = client.get_experiment_by_name("mine")
    assert [one.info.run_id for one in client.search_runs([experiment.experiment_id])] == [kept["run"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_server_that_is_not_there_costs_the_log_and_no_training(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    settings = {**TINY, "root": str(tiny_folder(place / "data"))}
    run = train(configure(settings, {"log": ["mlflow"]}), place / "run")
    assert run.evaluation.images == 3
    (said,) = (line for line in caplog.messages if line.startswith("mlflow logs nothing more of"))
    assert "\n" not in said
