"""Every network trains: its losses fall, its further ones are logged, and a resumed run is the same."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny import TINY, tiny_folder

from ctxbench.networks.registry import NETWORKS
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.curves import curve
from ctxbench.train.job import Job
from ctxbench.train.loop import resume, train
from ctxbench.train.presets import configured
from ctxbench.train.run import TrainedRun
from ctxbench.train.training import Progress

MEASURED = ["images_per_s", "wait_share"]


def resumed(config: TrainConfig, folder: Path, after: int) -> TrainedRun:
    """A run that was interrupted after so many iterations, and gone on with."""

    def interrupt(state: Progress) -> None:
        if state.done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, folder, progress=interrupt)
    return resume(folder)


def assert_same(run: TrainedRun, other: TrainedRun) -> None:
    ours, theirs = run.checkpoint().model, other.checkpoint().model
    assert list(ours) == list(theirs)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    pd.testing.assert_frame_equal(run.log().drop(columns=MEASURED), other.log().drop(columns=MEASURED))


def test_encnets_further_loss_is_logged_weighed_and_survives_a_resume(tmp_path: Path) -> None:
    settings = {**TINY, "root": str(tiny_folder(tmp_path / "data")), "model": "encnet", "evaluate_every": 0}
    config = configure(settings, {"iterations": 3, "checkpoint_every": 1, "aux_weight": 0.5})
    whole = train(config, tmp_path / "whole")
    log = whole.log()
    assert list(log)[-1] == "presence"
    assert "main + α · auxiliary + 0.2 · presence;" in curve(whole).axes[0].get_title()
    weighed = log["main"] + 0.5 * log["aux"] + 0.2 * log["presence"]
    assert log["loss"].tolist() == pytest.approx(weighed.tolist(), rel=1e-4)
    assert_same(resumed(config, tmp_path / "parts", 1), whole)


def test_dnlnets_queries_and_keys_do_not_decay(tmp_path: Path) -> None:
    """Its gate starts at zero, so that decay alone could move them in the first step."""
    settings = {**TINY, "root": str(tiny_folder(tmp_path / "data")), "model": "dnlnet", "evaluate_every": 0}
    config = configure(settings, {"iterations": 1, "weight_decay": 0.5})
    before = Job.prepare(config).network.state_dict()
    after = train(config, tmp_path / "run").checkpoint().model
    block = "head.context.1"
    for layer in ("query", "key"):
        assert torch.equal(after[f"{block}.{layer}.weight"], before[f"{block}.{layer}.weight"])
    for layer in ("value", "mask"):
        assert not torch.equal(after[f"{block}.{layer}.weight"], before[f"{block}.{layer}.weight"])


def test_ocrnets_regions_are_what_the_auxiliary_loss_is_of(tmp_path: Path) -> None:
    settings = {**TINY, "root": str(tiny_folder(tmp_path / "data")), "model": "ocrnet", "evaluate_every": 0}
    run = train(configured(settings, {"iterations": 1, "auxiliary": False}), tmp_path / "run")
    log = run.log()
    assert (log["aux"] > 0).all()
    assert log["loss"].tolist() == pytest.approx((log["main"] + 0.4 * log["aux"]).tolist(), rel=1e-4)
    assert not any(key.startswith("auxiliary") for key in run.checkpoint().model)


@pytest.mark.slow
@pytest.mark.parametrize("model", NETWORKS)
def test_thirty_iterations_on_the_generated_set(model: str, tmp_path: Path) -> None:
    small = {"channels": 16, "crop": 65, "batch": 4, "iterations": 30, "evaluate_every": 0, "baseline": False}
    config = configured({"model": model, "checkpoint_every": 10, **small})
    run = train(config, tmp_path / "whole")
    loss = run.log()["loss"]
    assert loss[-5:].mean() < 0.8 * loss[:5].mean()
    assert_same(resumed(config, tmp_path / "parts", 14), run)
