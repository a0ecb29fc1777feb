"""Figure 5 of a run that was never trained: what is drawn, of which images, by which rule."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, tiny_folder

from ctxbench.errors import UserError
from ctxbench.evaluate.attention import random_ranks
from ctxbench.paper.make import Request, make
from ctxbench.paper.sheet import Sheet, write_sheet
from ctxbench.paper.tables.fig5 import correlation, fig5
from ctxbench.table.terminal import plain
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import configure
from ctxbench.train.run import TrainedRun, network_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, folder = tiny_folder(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("run")
    config = configure(TINY, {"root": str(data), "context_options": {"rank": 6}})
    (folder / "config.toml").write_text(config.to_toml())
    torch.manual_seed(config.seed)
    weights = network_of(config, 3).state_dict()
    Checkpoint(weights, {}, {}, 7, None, 5, ["background", "one", "two"], config.digest).write(
        folder / "best.ckpt"
    )
    start = {"gpu": "A GPU", "torch": "9.9", "ctxbench": "1.2.3", "began": "2026-01-02T03:04:05+00:00"}
    (folder / "environment.json").write_text(json.dumps([start]))
    return folder


@pytest.fixture(scope="module")
def sheet(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Sheet:
    return fig5(run, tmp_path_factory.mktemp("reports") / "new", source="here")


def test_the_runs_own_images_are_drawn_with_their_truth(sheet: Sheet, run: Path) -> None:
    assert [path.name for path in sheet.pictures] == ["fig5_1.png", "fig5_2.png", "fig5_3.png"]
    assert list(sheet.frame["image"]) == ["folder val 0", "folder val 1", "folder val 2"]
    assert set(sheet.frame["ranks"]) == {" ".join(map(str, random_ranks(6)))}
    assert set(sheet.frame["rule"]) == {"random, of 0 to 5, seed 0"}
    assert "iteration 7" in sheet.grid.title
    assert f" · {run.name}, seed 0 · " in sheet.grid.title
    assert sheet.origin == "maps: here"
    machine = "cuda (A GPU), torch 9.9, ctxbench 1.2.3 · 32-true · begun 2026-01-02 03:04 UTC"
    assert f"The run was trained on {machine}." in sheet.grid.notes
    folder = sheet.pictures[0].parent
    write_sheet(sheet, folder)
    assert "![fig5](fig5_3.png)" in (folder / "fig5.md").read_text()


def test_a_run_that_was_not_trained_correlates_as_an_untrained_one(sheet: Sheet) -> None:
    frame = sheet.frame
    assert frame["correlation"].between(-1, 1).all()
    assert frame["correlation"].tolist() == pytest.approx(frame["untrained_correlation"].tolist())
    assert "with random weights" in "".join(sheet.grid.findings)


def test_a_given_image_and_a_given_rank_are_drawn(run: Path, sheet: Sheet, tmp_path: Path) -> None:
    image = tmp_path / "street.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)).save(image)
    one = fig5(run, tmp_path, images=[image], ranks=[5], source="here")
    assert one.frame.loc[0, ["image", "ranks", "rule"]].tolist() == [str(image), "5", "as given"]
    with Image.open(one.pictures[0]) as two, Image.open(sheet.pictures[0]) as six:
        assert two.width < six.width  # image and a map; image, truth and four maps
    assert one.frame["correlation"].isna().all()  # one map has nothing to correlate with
    assert not one.grid.findings
    assert "–" in plain([one.grid])


def test_correlation_is_of_all_pairs_that_vary() -> None:
    ramp = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert correlation([ramp, 2 * ramp + 1]) == pytest.approx(1)
    assert correlation([ramp, -ramp, ramp]) == pytest.approx(-1 / 3)
    assert correlation([ramp, np.ones_like(ramp)]) is None


def test_without_a_run_it_is_not_measured_and_the_command_is_said(tmp_path: Path) -> None:
    sheet = fig5(None, tmp_path / "none", source="here")
    assert sheet.tally == (1, 1)
    assert "ctxbench paper fig5 --run" in sheet.frame.loc[0, "command"]
    assert not (tmp_path / "none").exists()


def test_the_first_run_with_maps_is_drawn(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    config = replace(TrainedRun(run).config, context="none", context_options={})
    (bare / "config.toml").write_text(config.to_toml())
    sheet = make("fig5", Request(tmp_path / "out", runs=(bare, run)))
    assert f" · {run.name}, seed 0 · " in sheet.grid.title
    with pytest.raises(UserError, match="bare: no training run with sub-attention maps"):
        make("fig5", Request(tmp_path / "none", runs=(bare,)))


def test_a_missing_image_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        fig5(run, tmp_path, images=[tmp_path / "nowhere.png"], source="here")
