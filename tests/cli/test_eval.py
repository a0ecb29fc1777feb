"""The verb eval as a user types it, on a run whose network has random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctxbench.evaluate.files import FILES, read_evaluation

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
