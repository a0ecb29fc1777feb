"""A run's folder, read back."""

from pathlib import Path

import pytest
import torch
from tiny import TINY, tiny_folder

from ctxbench.errors import UserError
from ctxbench.train.config import configure
from ctxbench.train.loop import train
from ctxbench.train.run import TrainedRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    root = tiny_folder(tmp_path_factory.mktemp("data"))
    config = configure(TINY, {"root": str(root), "iterations": 3, "evaluate_every": 1})
    return train(config, tmp_path_factory.mktemp("run") / "run")


def test_the_last_network_has_the_last_weights(run: TrainedRun) -> None:
    network, kept = run.network("last"), run.checkpoint("last")
    state = network.state_dict()
    assert kept.iteration == 3
    assert all(torch.equal(state[key], value) for key, value in kept.model.items())
    assert not network.training
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 70, 81)).shape == (1, 3, 70, 81)


def test_the_best_network_is_of_the_evaluation_with_the_highest_miou(run: TrainedRun) -> None:
    scores = run.evaluations()
    best = run.checkpoint("best")
    assert best.iteration == scores["iteration"][scores["miou"].idxmax()]
    assert run.network().state_dict().keys() == best.model.keys()


def test_a_run_has_its_curve_and_report(run: TrainedRun) -> None:
    assert (run.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    report = (run.folder / "report.md").read_text()
    assert f"mIoU {run.evaluation.miou:.2f} %" in report
    assert run.config.to_toml().strip() in report


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no training run \(no config.toml in it\)"):
        TrainedRun(tmp_path)
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "config.toml").write_text("lr = 'fast'")
    with pytest.raises(UserError, match=r"config\.toml: training: lr is 'fast', not a positive number"):
        TrainedRun(tmp_path).config  # noqa: B018
    (tmp_path / "environment.json").write_text("[3]")
    with pytest.raises(
        UserError, match=r"environment\.json is not the file of a run: .*got `int` - at `\$\[0\]`"
    ):
        TrainedRun(tmp_path).starts  # noqa: B018
    (tmp_path / "config.toml").write_text("")
    begun = TrainedRun(tmp_path)
    with pytest.raises(UserError, match=r"holds no best\.ckpt: the run has not come to its first"):
        begun.network()
    with pytest.raises(UserError, match=r"there is no .*train\.csv: the run has not begun"):
        begun.log()
    assert begun.baseline is None
