"""The verb eval as a user types it, on a run whose network has random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.conftest import make_run
from PIL import Image

from ctxbench.data import open_dataset
from ctxbench.data.augment import normalise
from ctxbench.evaluate.files import FILES, read_evaluation
from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.train.run import TrainedRun

Cli = Callable[..., tuple[int, str, str]]


def test_a_run_is_evaluated_on_its_own_data(cli: Cli, place: Path) -> None:
    (place / "run" / "evaluations.csv").write_text("iteration,epoch,miou,pixel_accuracy\n3,1,1,1\n7,2,2,2\n")
    best = ("eval", "run", "--checkpoint", "best", "--device", "cpu")
    code, out, _ = cli(*best, "--save-predictions", "--batch", "2")
    assert code == 0
    folder = place / "run" / "evaluations" / "folder-val-best-single-scale"
    assert {path.name for path in folder.iterdir()} == {*FILES, "pictures.png", "predictions"}
    found = read_evaluation(folder)
    assert found.about.startswith("reconet, resnet-tiny, best, iteration 7 · folder val · 3 images")
    assert found.chosen_among == 2
    assert found.confusion.sum() == 2 * 66 * 70 + 50 * 90
    assert f"{found.miou:.2f}" in out
    of_folder = ("--dataset", "folder", "--root", "data", "--out", "s")
    code, *_ = cli("eval", "--predictions", str(folder / "predictions"), *of_folder)
    assert code == 0
    assert np.array_equal(read_evaluation(place / "s").confusion, found.confusion)
    assert (place / "s" / "pictures.png").exists()
    assert cli(*best, "--precision", "bf16-mixed")[0] == 0
    assert read_evaluation(folder).precision == "32-true"
    rounded = read_evaluation(folder.with_name(f"{folder.name}-bf16-mixed"))
    assert rounded.precision == "bf16-mixed"


def test_the_papers_way_is_one_option(cli: Cli, place: Path) -> None:
    code, out, _ = cli("eval", "run", "--device", "cpu", "--ms-flip", "--out", "ms")
    assert code == 0
    assert "multi-scale and flip" in out
    known = json.loads((place / "ms" / "metrics.json").read_text())
    assert known["scales"] == [0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert known["flip"] is True


def test_scales_and_windows_are_chosen(cli: Cli, place: Path) -> None:
    code, *_ = cli("eval", "run", "--device", "cpu", "--scales", "0.5,1", "--sliding", "65", "--out", "w")
    assert code == 0
    found = read_evaluation(place / "w")
    assert (found.scales, found.sliding, found.flip) == ((0.5, 1.0), 65, False)


def test_the_truth_scores_100(cli: Cli) -> None:
    code, out, _ = cli("eval", "--predictions", "data/masks/val", "--dataset", "folder", "--root", "data")
    assert code == 0
    assert "100.00" in out
    assert "Written" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "either a run's folder or --predictions"),
        (("run", "--predictions", "data"), "either a run's folder or --predictions"),
        (("run", "--ms-flip", "--flip"), "leave out --flip"),
        (("run", "--scales", "1,x"), "not 'x'"),
        (("run", "--scales", "0"), "positive"),
        (("run", "--sliding", "9"), "65 pixels"),
        (("begun",), "no last.ckpt"),
        (("nowhere",), "holds no training run"),
        (("run", "--root", "other"), "class 1 is sea, not ice"),
        (("run", "--split", "train"), "train"),
        (("--predictions", "data"), "needs the --dataset"),
        (("--predictions", "data", "--dataset", "folder", "--flip"), "leave out --flip"),
        (
            ("--predictions", "run", "--dataset", "folder", "--root", "data"),
            "lacks 3 of 3 predictions, 0.png",
        ),
    ],
)
def test_bad_input_is_one_line(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = cli("eval", *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def context(place: Path) -> Path:
    """PASCAL-Context of two images, and a run that knows its 60 classes."""
    home = place / "context" / "VOC2010"
    rng = np.random.default_rng(0)
    (home / "ImageSets" / "Main").mkdir(parents=True)
    (home / "ImageSets" / "Main" / "val.txt").write_text("a\nb\n")
    for folder in ("JPEGImages", "59_context_labels"):
        (home / folder).mkdir()
    for stem in "ab":
        Image.fromarray(rng.integers(0, 256, (66, 70, 3), np.uint8)).save(home / "JPEGImages" / f"{stem}.jpg")
        mask = rng.integers(0, 60, (66, 70), np.uint8)
        Image.fromarray(mask).save(home / "59_context_labels" / f"{stem}.png")
    classes = open_dataset("pascal_context", place / "context", "val").classes
    make_run(place / "run60", place / "context", classes, dataset="pascal_context")
    return place


def test_59_classes_of_a_network_that_knows_the_background(cli: Cli, context: Path) -> None:
    code, out, err = cli("eval", "run60", "--classes59", "--device", "cpu", "--save-predictions")
    assert (code, err) == (0, "")
    folder = context / "run60" / "evaluations" / "pascal_context59-val-last-single-scale"
    found = read_evaluation(folder)
    assert (len(found.classes), found.checkpoint) == (59, "last, iteration 7, background left out")
    # from the network's own scores: of 60 classes the first is no choice, and its pixels count nowhere
    network = TrainedRun(context / "run60").network("last").eval()
    sixty = open_dataset("pascal_context", context / "context", "val")
    expected = torch.zeros(59, 59, dtype=torch.int64)  # (K, K)
    with torch.no_grad():
        for index in range(2):
            labels = network(normalise(sixty.image(index))[None])[:, 1:].argmax(1)[0]  # (H, W)
            truth = torch.from_numpy(sixty.mask(index)).long()  # (H, W), 0 the background
            expected += confusion_matrix(torch.where(truth == 0, 59, truth - 1), labels, 59)
    assert np.array_equal(found.confusion, expected.numpy())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["reported_miou_pct"] == pytest.approx(metrics["miou_pct"] * 59 / 60)
    assert f"{metrics['reported_miou_pct']:.2f}" in out
    assert "59 classes × 59/60" in out
    of_files = ("--dataset", "pascal_context", "--root", "context", "--classes59", "--out", "files59")
    assert cli("eval", "--predictions", str(folder / "predictions"), *of_files)[0] == 0
    assert np.array_equal(read_evaluation(context / "files59").confusion, found.confusion)


def test_59_classes_are_pascal_contexts(cli: Cli, context: Path) -> None:
    code, out, err = cli("eval", "run", "--classes59", "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "59 classes are PASCAL-Context's, without its background; the data set is folder" in err
    assert cli("eval", "run60", "--device", "cpu", "--out", "sixty")[0] == 0
    assert len(read_evaluation(context / "sixty").classes) == 60
