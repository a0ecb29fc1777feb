"""Predictions in files: scored whoever made them, and what bad ones get."""

import json
from pathlib import Path

import numpy as np
import pytest
from evaluate.test_loop import Drawn
from PIL import Image

from ctxbench.data.dataset import IGNORE, SegmentationSet
from ctxbench.errors import UserError
from ctxbench.evaluate.files import FILES
from ctxbench.evaluate.predictions import evaluate_predictions


def truth_as_files(folder: Path, dataset: SegmentationSet) -> None:
    for i in range(len(dataset)):
        dataset.encode(dataset.mask(i)).save(folder / f"{dataset.stem(i)}.png")


def test_the_truth_scores_100(tmp_path: Path) -> None:
    truth_as_files(tmp_path, Drawn())
    found = evaluate_predictions(tmp_path, Drawn())
    assert (found.miou, found.pixel_accuracy) == (100.0, 100.0)


def drop_one(folder: Path) -> str:
    (folder / "img_4.v1.png").unlink()
    return r"lacks 1 of 7 predictions, img_4\.v1\.png first"


def shrink_one(folder: Path) -> str:
    Image.new("P", (5, 4)).save(folder / "img_4.v1.png")
    return r"img_4\.v1\.png is 4x5, its image 70x66 \(H x W\)"


def leave_pixels_open(folder: Path) -> str:
    Image.fromarray(np.full((70, 66), IGNORE, np.uint8)).save(folder / "img_4.v1.png")
    return r"img_4\.v1\.png has pixels without a class"


def use_no_class(folder: Path) -> str:
    Image.fromarray(np.full((70, 66), 77, np.uint8)).save(folder / "img_4.v1.png")
    return r"img_4\.v1\.png: label 77"


@pytest.mark.parametrize("spoil", [drop_one, shrink_one, leave_pixels_open, use_no_class])
def test_bad_predictions_are_named(tmp_path: Path, spoil: object) -> None:
    truth_as_files(tmp_path, Drawn())
    assert callable(spoil)
    with pytest.raises(UserError, match=spoil(tmp_path)):
        evaluate_predictions(tmp_path, Drawn())


def test_what_is_found_is_written_with_a_picture_where_asked_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    truth_as_files(tmp_path / "in", Drawn())
    evaluate_predictions(tmp_path / "in", Drawn(), skipped=("broken",), out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "pictures.png"}
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (stored["miou_pct"], stored["skipped"]) == (100.0, ["broken"])
