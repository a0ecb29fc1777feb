"""Attention drawn from a training run's folder."""

from pathlib import Path

import pytest
from PIL import Image

from ctxbench.errors import UserError
from ctxbench.train.attention import draw_attention
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import configure
from ctxbench.train.run import network_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of random weights on COCO, and an image beside it."""
    config = configure(
        {"dataset": "coco", "root": "coco", "backbone": "resnet-tiny", "channels": 8, "crop": 65}
    )
    (tmp_path / "config.toml").write_text(config.to_toml())
    weights = network_of(config, 1).state_dict()
    Checkpoint(weights, {}, {}, 0, None, 0, ["x"], config.digest).write(tmp_path / "best.ckpt")
    Image.new("RGB", (70, 66), (255, 255, 255)).save(tmp_path / "a.png")
    return tmp_path


def test_a_truth_that_is_coded_otherwise_than_predictions_is_refused(run: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png: a mask of coco has a coding of its own; leave out --truth"):
        draw_attention(run, run / "a.png", truth=run / "a.png")


def test_the_picture_is_in_the_run_where_no_place_is_given(run: Path) -> None:
    assert draw_attention(run, run / "a.png", ranks=[3]) == run / "attention" / "a.png"
    with Image.open(run / "attention" / "a.png") as picture:
        assert picture.format == "PNG"


def test_what_is_refused_leaves_no_folder(run: Path) -> None:
    with pytest.raises(UserError, match="no sub-attention map 64: the network has 0 to 63"):
        draw_attention(run, run / "a.png", ranks=[64])
    assert not (run / "attention").exists()
