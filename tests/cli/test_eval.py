"""eval and attention as a user runs them, on a run whose network has random weights."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ctxbench.cli import main
from ctxbench.evaluate.files import FILES, read_evaluation
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import TrainConfig
from ctxbench.train.run import network_of

SETTINGS = {"backbone": "resnet-tiny", "channels": 16, "crop": 65, "dataset": "folder", "auxiliary": False}
Cli = Callable[..., tuple[int, str, str]]


def make_data(root: Path, classes: list[str]) -> None:
    """Three images of two sizes with masks, and their classes."""
    rng = np.random.default_rng(0)
    for i, size in enumerate([(66, 70), (66, 70), (50, 90)]):
        for kind, pixels in {
            "images": rng.integers(0, 256, (*size, 3), np.uint8),
            "masks": rng.integers(0, len(classes), size, np.uint8),
        }.items():
            (root / kind / "val").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / "val" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(classes))


def make_run(folder: Path, root: Path, **changes: object) -> None:
    config = TrainConfig(**{**SETTINGS, "root": str(root), **changes})  # type: ignore[arg-type]
    folder.mkdir()
    (folder / "config.toml").write_text(config.to_toml())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network_of(config, 3)
    state = Checkpoint(network.state_dict(), {}, {}, 7, None, 3, ["sky", "sea", "sand"], config.digest)
    for name in ("best.ckpt", "last.ckpt"):
        state.write(folder / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eval")
    make_data(path / "data", ["sky", "sea", "sand"])
    make_data(path / "other", ["sky", "ice", "sand"])
    make_run(path / "run", path / "data")
    make_run(path / "bare", path / "data", context="none")
    make_run(path / "begun", path / "data")
    (path / "begun" / "last.ckpt").unlink()
    return path


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Cli:
    monkeypatch.chdir(place)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ctxbench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


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


def test_attention_is_drawn_over_an_image_with_its_truth(cli: Cli, place: Path) -> None:
    code, out, _ = cli("attention", "run", "data/images/val/0.png", "--truth", "data/masks/val/0.png")
    assert code == 0
    assert out.strip() == "run/attention/0.png"
    assert (place / "run/attention/0.png").stat().st_size > 1000
    code, out, _ = cli("attention", "run", "data/images/val/2.png", "--ranks", "3,17", "--out", "a/b.png")
    assert (code, out.strip()) == (0, "a/b.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bare", "data/images/val/0.png"), "no module with sub-attention maps"),
        (("run", "data/images/val/0.png", "--ranks", "64"), "no sub-attention map 64"),
        (("run", "data/images/val/9.png"), "9.png is missing"),
        (("run", "data/classes.txt"), "classes.txt cannot be read"),
        (("run", "data/images/val/0.png", "--truth", "data/masks/val/2.png"), "is 50x90, the image 66x70"),
    ],
)
def test_bad_input_to_attention_is_one_line(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = cli("attention", *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
