"""Features computed once and whole, heads that start alike and see the same batches, numbers to the digit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_folder

from ctxbench.data import open_dataset
from ctxbench.errors import UserError
from ctxbench.study.accuracy.counts import unpacked
from ctxbench.study.frozen.cell import Head, Trainer, batches
from ctxbench.study.frozen.spec import Source, StudyCell
from ctxbench.study.frozen.store import Features, Maker
from ctxbench.subject.case import Case


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.getbasetemp() / "features-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


def source(data: Path, **changes: object) -> Source:
    return Source("folder", str(data), **{"side": 80, **changes})  # type: ignore[arg-type]


def test_features_are_those_of_images_and_mirror_images(data: Path) -> None:
    about = Maker(source(data, side=96)).make()
    found = Features.open(Path(about["folder"]))
    assert found.train.shape == (10, 128, 12, 12)
    assert found.train.dtype == np.float16
    assert found.test.shape == (3, 128, 12, 12)
    assert found.classes == ("background", "one", "two")
    mask = open_dataset("folder", data, "train").mask(2)  # (80, 96)
    near = mask[
        np.linspace(0, 79, 12).round().astype(int)[:, None], np.linspace(0, 95, 12).round().astype(int)
    ]
    assert np.array_equal(found.labels[4], near)
    assert np.array_equal(found.labels[5], near[:, ::-1])
    assert not np.array_equal(near, near[:, ::-1])
    assert not np.array_equal(found.train[4], found.train[5])
    test = open_dataset("folder", data, "val")
    assert found.sizes.tolist() == [list(test.mask(index).shape) for index in range(3)]
    assert np.array_equal(found.truth[80 * 96 : 2 * 80 * 96], test.mask(1).ravel())


def test_features_are_computed_once_and_for_what_they_are_of(data: Path, tmp_path: Path) -> None:
    first = Path(Maker(source(data)).make()["folder"])
    before = (first / "train.npy").stat().st_mtime_ns
    assert Path(Maker(source(data)).make()["folder"]) == first
    assert (first / "train.npy").stat().st_mtime_ns == before
    level, two = (
        Path(Maker(source(data, **change)).make()["folder"]) for change in ({"level": "C2"}, {"images": 2})
    )
    assert len({first, level, two}) == 3
    ends = Features.open(first).labels[[0, 1, 8, 9]]  # of five images, spread evenly
    assert np.array_equal(Features.open(two).labels, ends)
    mended = tiny_folder(tmp_path)
    with Image.open(data / "images" / "train" / "1.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mended / "images" / "train" / "0.png")
    other = Path(Maker(source(mended)).make()["folder"])
    assert other != first
    train = Features.open(other).train  # each image, then its mirror image
    np.testing.assert_allclose(train[0], train[3], atol=0.1)
    assert np.abs(train[1] - train[3]).max() > 1


def test_features_of_other_weights_are_other_features(data: Path, tmp_path: Path) -> None:
    train, path, digests = open_dataset("folder", data, "train"), tmp_path / "weights.pth", set()
    for content in (b"some", b"others"):
        path.write_bytes(content)
        digests.add(Maker(source(data, weights=str(path)))._digest(train))
    assert len(digests) == 2


def test_what_was_killed_amid_is_not_taken_for_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = source(data, level="C4")

    def interrupted(share: float = 0.0) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Maker(wanted, interrupted).make()
    about = Maker(wanted).make()
    assert json.loads((Path(about["folder"]) / "about.json").read_text())["train"] == 5
    assert np.isfinite(Features.open(Path(about["folder"])).train).all()
    assert not list(Path(about["folder"]).parent.glob("*.new"))


def test_bad_sources_are_refused(data: Path) -> None:
    for changes, said in (
        ({"level": "C6"}, "no level 'C6'"),
        ({"side": 64}, "images are 65 to 2048 pixels wide, not 64"),
        ({"images": 0}, "a study trains on one image at least, not 0"),
        ({"weights": "nowhere.pth"}, r"no file of weights at nowhere\.pth"),
    ):
        with pytest.raises(UserError, match=said):
            Source("folder", str(data), **{"side": 80, **changes})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no backbone 'resnet9'"):
        Maker(source(data, backbone="resnet9")).make()
    with pytest.raises(UserError, match="holds no features"):
        Features.open(data)


def cell(data: Path, module: str, seed: int = 0, steps: int = 2) -> StudyCell:
    case = Case(module, 128, 10, 10, implementation="single")
    return StudyCell(case, seed, Maker(source(data)).make()["folder"], steps, 4, 0.01)


def test_a_cell_gives_the_same_numbers_again(data: Path) -> None:
    first, again, other = (Trainer(cell(data, "se", seed)).train() for seed in (0, 0, 1))
    assert first == again
    assert first["counts"] != other["counts"]
    counts = unpacked(first["counts"])
    assert counts.shape == (3, 3, 3)
    labelled = [
        np.bincount(open_dataset("folder", data, "val").mask(i).ravel(), minlength=3) for i in range(3)
    ]
    assert np.array_equal(counts[:, 2], labelled)  # the whole truth, pixel by pixel
    assert np.array_equal(counts[:, 1].sum(1), [80 * 96] * 3)


def test_heads_of_a_seed_start_alike() -> None:
    one, other = (Head(16, 3, block, given, 7) for block, given in ((None, 0), (torch.nn.Identity(), 128)))
    torch.testing.assert_close(one.reduce.state_dict(), other.reduce.state_dict(), rtol=0, atol=0)


def test_batches_take_every_image_once_an_epoch() -> None:
    rows = np.concatenate(list(batches(12, 4, 3, 0)))
    assert sorted(rows.tolist()) == list(range(12))
    again = np.concatenate(list(batches(12, 4, 6, 0)))
    assert np.array_equal(again[:12], rows)
    assert not np.array_equal(again[12:], rows)
    assert [len(each) for each in batches(3, 4, 2, 0)] == [3, 3]


def test_a_loss_that_is_no_number_has_a_reason(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * float("nan")

    monkeypatch.setattr("ctxbench.study.frozen.cell.context_of", lambda case, seed: (Broken(), 128))
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        Trainer(cell(data, "se")).train()
