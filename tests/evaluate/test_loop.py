"""Evaluation of whole sets: batches, processes, files of predictions, and what bad input gets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ctxbench.data.augment import normalise
from ctxbench.data.dataset import IGNORE, Labels, SegmentationSet
from ctxbench.errors import UserError
from ctxbench.evaluate.loop import evaluate
from ctxbench.evaluate.predict import predict
from ctxbench.evaluate.predictions import evaluate_predictions, prediction_folder

ROOT = Path(__file__).resolve().parents[2]
SIZES = ((70, 66), (66, 70), (70, 66), (80, 80), (70, 66), (50, 90), (66, 70))


class Drawn(SegmentationSet):
    """Images of noise in several sizes, masks with an ignored border."""

    def __init__(self, name: str = "drawn", broken: int | None = None) -> None:
        super().__init__(name, "val", [f"class {k}" for k in range(4)])
        self.broken = broken

    def __len__(self) -> int:
        return len(SIZES)

    def stem(self, index: int) -> str:
        return f"img_{index}.v1"

    def image(self, index: int) -> Image.Image:
        if index == self.broken:
            raise UserError(f"{self.stem(index)} cannot be read")
        noise = np.random.default_rng(index).integers(0, 256, (*SIZES[index], 3), np.uint8)
        return Image.fromarray(noise)

    def mask(self, index: int) -> Labels:
        labels = np.random.default_rng((index, 1)).integers(0, 4, SIZES[index], np.uint8)
        labels[:3] = IGNORE
        return labels


def network(classes: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = nn.Sequential(nn.Conv2d(3, classes, 3, padding=1), nn.BatchNorm2d(classes), nn.Dropout(0.5))
    return made


def test_the_matrix_is_that_of_the_predictions() -> None:
    dataset, net = Drawn(), network().eval()
    expected = np.zeros((4, 4), np.int64)
    for i in range(len(dataset)):
        labels = predict(net, normalise(dataset.image(i))[None])[0].numpy()
        truth = dataset.mask(i)
        np.add.at(expected, (truth[truth != IGNORE], labels[truth != IGNORE]), 1)
    found = evaluate(net, dataset)
    assert np.array_equal(found.confusion, expected)
    assert (found.images, found.split, found.dataset, found.processes) == (7, "val", "drawn", 1)
    assert found.environment["torch"] == torch.__version__


@pytest.mark.parametrize("batch", [2, 3, 50])
def test_the_batch_changes_nothing(batch: int) -> None:
    one, several = (evaluate(network(), Drawn(), flip=True, batch=n) for n in (1, batch))
    assert np.array_equal(one.confusion, several.confusion)


def test_images_of_one_size_go_through_together() -> None:
    net = network()
    shapes: list[torch.Size] = []
    net.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    evaluate(net, Drawn(), batch=2)
    assert sorted(len(range(*slice(s[0]).indices(9))) for s in shapes) == [1, 1, 1, 2, 2]


def test_each_part_keeps_its_mode() -> None:
    net = network().train()
    net[1].eval()  # type: ignore[index]
    before = net[1].running_mean.clone()  # type: ignore[index]
    evaluate(net, Drawn())
    assert [part.training for part in net.modules()] == [True, True, False, True]
    assert torch.equal(net[1].running_mean, before)  # type: ignore[index]


def test_progress_ends_with_all_images() -> None:
    told: list[tuple[int, int]] = []
    evaluate(network(), Drawn(), batch=2, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


WORKER = """
import sys, numpy as np, torch
from ctxbench.errors import UserError
from ctxbench.evaluate.loop import evaluate
sys.path.insert(0, {here!r})
from evaluate.test_loop import Drawn, network

rank, out = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{{out}}/meeting", rank=rank, world_size=2)
found = evaluate(network(), Drawn(), flip=True, batch=2)
np.save(f"{{out}}/{{rank}}.npy", found.confusion)
assert found.processes == 2
try:
    evaluate(network(), Drawn(broken=3))
except UserError as error:
    print(error)
torch.distributed.destroy_process_group()
"""


def test_two_processes_find_what_one_finds_and_fail_as_one(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
    command = [sys.executable, "-c", WORKER.format(here=str(Path(__file__).parents[1]))]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    printed = [rank.communicate()[0].splitlines() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    of_ctxbench = [
        [line for line in lines if not line.startswith("[Gloo]")] for lines in printed
    ]  # torch 2.9's
    assert of_ctxbench == [["img_3.v1 cannot be read"]] * 2
    alone = evaluate(network(), Drawn(), flip=True).confusion
    for rank in (0, 1):
        assert np.array_equal(np.load(tmp_path / f"{rank}.npy"), alone)


@pytest.mark.parametrize("name", ["drawn", "voc12"])
def test_saved_predictions_score_as_the_network_did(tmp_path: Path, name: str) -> None:
    dataset = Drawn(name)
    found = evaluate(network(), dataset, batch=3, save=tmp_path)
    assert np.array_equal(evaluate_predictions(tmp_path, dataset).confusion, found.confusion)
    home = prediction_folder(tmp_path, dataset)
    assert len(list(home.iterdir())) == len(dataset)
    if name == "voc12":
        assert home == tmp_path / "results/VOC2012/Segmentation/comp6_val_cls"
        assert np.array_equal(evaluate_predictions(home, dataset).confusion, found.confusion)
    with Image.open(home / "img_0.v1.png") as picture:
        assert picture.mode == "P"


def test_a_network_of_other_classes_is_refused() -> None:
    other = network(5)
    other.classes = 5  # type: ignore[assignment]
    with pytest.raises(UserError, match="knows 5 classes, drawn has 4"):
        evaluate(other, Drawn())


def test_nonsense_is_refused() -> None:
    with pytest.raises(UserError, match="at least one image, not 0"):
        evaluate(network(), Drawn(), batch=0)
    with pytest.raises(UserError, match="unknown device 'tpu'"):
        evaluate(network(), Drawn(), device="tpu")
    with pytest.raises(UserError, match="img_3"):
        evaluate(network(), Drawn(broken=3))


def test_a_prediction_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        evaluate(network(), Drawn(), save=tmp_path / "file")
