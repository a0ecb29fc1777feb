"""What the loggers get of a study: one run with its conditions, its numbers, its tables and its picture."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from logged import of_mlflow, of_wandb
from study.accuracy.test_sheet import found

from ctxbench.study.accuracy.sheet import Study, log_study, write_study
from ctxbench.train.loggers import KEPT

__all__ = ["found"]  # a fixture


@pytest.fixture
def logged(
    found: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Study:
    """A study, in the working folder, that its logger has had twice, as after a resume."""
    pytest.importorskip(request.param)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    plan = replace(found.studied.plan, log=(request.param,))
    one = Study(replace(found.studied, plan=plan))
    write_study(tmp_path, one)
    for _ in range(2):
        log_study(tmp_path, one)
    return one


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("logged", ["wandb"], indirect=True)
def test_wandb_has_a_run_a_study(logged: Study, tmp_path: Path) -> None:
    starts = of_wandb(tmp_path)
    assert len({start["id"] for start in starts}) == 1
    config, summary = starts[0]["config"], starts[0]["summary"]
    assert (config["level"], config["steps"], config["blocks"]) == ("C3", 300, ["CAM", "SE", "Mine"])
    table = logged.to_frame().set_index("module")
    assert summary["CAM/miou_mean_pct"] == pytest.approx(table.loc["CAM", "miou_mean_pct"])
    assert summary["CAM/lat_median_ms"] == 1
    assert not any(name.startswith("Mine/miou") for name in summary)
    values = {name: value for step in starts[0]["steps"].values() for name, value in step.items()}
    kinds = {name.removesuffix("._type"): kind for name, kind in values.items() if name.endswith("._type")}
    assert kinds == {"study.csv": "table-file", "classes.csv": "table-file", "study.png": "image-file"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("logged", ["mlflow"], indirect=True)
def test_mlflow_has_a_run_a_study(logged: Study, tmp_path: Path) -> None:
    kept = json.loads((tmp_path / KEPT).read_text())["mlflow"]
    run = of_mlflow(kept["uri"], kept["run"])
    assert (run["params"]["dataset"], run["status"]) == ("synthetic", "FINISHED")
    table = logged.to_frame().set_index("module")
    assert run["metrics"]["CAM/miou_mean_pct"][0] == pytest.approx(table.loc["CAM", "miou_mean_pct"])
    assert sorted(run["artifacts"]) == ["classes.csv", "study.csv", "study.png"]


def test_a_study_without_loggers_leaves_nothing_of_them(found: Study, tmp_path: Path) -> None:
    log_study(tmp_path, found)
    assert not list(tmp_path.iterdir())
