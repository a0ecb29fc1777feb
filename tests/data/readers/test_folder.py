from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctxbench.data import IGNORE, open_dataset
from ctxbench.errors import UserError


def fill(root: Path, files: Mapping[str, object]) -> Path:
    """Files below ``root``: text, or pictures of a number or rows of pixels, or none (None)."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif content is not None:
            Image.fromarray(np.atleast_2d(np.asarray(content, np.uint8))).save(path)
    return root


ARRANGEMENTS = {
    "images above splits": ("images/train/a.jpg", "masks/train/a.png"),
    "splits above images": ("train/imgs/a.jpg", "train/labels/a.png"),
    "split in the name": ("train_images/a.jpg", "train_segmentations/a.png"),
    "split last": ("images_train/a.jpg", "masks_train/a.png"),
    "a year": ("images/train2017/a.jpg", "annotations/train2017/a.png"),
    "CamVid": ("train/a.jpg", "trainannot/a.png"),
    "Cityscapes": ("leftImg8bit/train/x/a_leftImg8bit.jpg", "gtFine/train/x/a_gtFine_labelTrainIds.png"),
    "additions": ("image/train/img_a.jpg", "mask/train/a_mask.png"),
    "numbers": ("image/train/img-000007.jpg", "label/train/00000007.png"),
}


@pytest.mark.parametrize(("image", "mask"), ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_an_arrangement_of_a_split(tmp_path: Path, image: str, mask: str) -> None:
    fill(tmp_path, {image: 9, mask: 2})
    dataset = open_dataset("folder", tmp_path, "train")
    assert len(dataset) == 1
    assert dataset.stem(0) == Path(image).stem
    assert dataset.mask(0).tolist() == [[2]]
    assert len(dataset.classes) == 3


def test_the_same_name_in_several_folders(tmp_path: Path) -> None:
    fill(tmp_path, {"images/x/1.jpg": 0, "images/y/1.jpg": 0, "masks/x/1.png": 0, "masks/y/1.png": 1})
    dataset = open_dataset("folder", tmp_path, "all")
    assert [dataset.mask(index).tolist() for index in range(2)] == [[[0]], [[1]]]
    assert len({dataset.stem(index) for index in range(2)}) == 2


def test_names_listed_for_a_split(tmp_path: Path) -> None:
    files = {f"{kind}/{stem}.png": 0 for kind in ("images", "masks") for stem in "abc"}
    root = fill(tmp_path, {**files, "train.txt": "c\na.png\n", "splits/val.txt": "b\n"})
    train, val, every = (open_dataset("folder", root, split) for split in ("train", "val", "all"))
    assert [train.stem(0), train.stem(1), val.stem(0)] == ["c", "a", "b"]
    assert len(every) == 3
    (root / "train.txt").write_text("a\nd\n")
    with pytest.raises(UserError, match=r"train\.txt lists 'd', for which there is neither image nor mask"):
        open_dataset("folder", root, "train")


def test_a_listed_name_is_looked_for_in_the_splits_own_folder(tmp_path: Path) -> None:
    files = {f"{kind}/{split}/0001.png": value for kind in ("images", "masks")
             for value, split in enumerate(("train", "val"))}  # fmt: skip
    root = fill(tmp_path, {**files, "train.txt": "0001\n", "val.txt": "0001.png\n", "test.txt": ""})
    for value, split in enumerate(("train", "val")):
        assert open_dataset("folder", root, split).mask(0).tolist() == [[value]]
    (root / "test.txt").write_text("0001\n")
    with pytest.raises(
        UserError, match=r"test\.txt lists '0001', which may be .*train/0001\.png or .*val/00"
    ):
        open_dataset("folder", root, "test")


def test_a_list_may_take_another_splits_samples(tmp_path: Path) -> None:
    files = {f"{kind}/train/{stem}.png": 0 for kind in ("images", "masks") for stem in "ab"}
    root = fill(tmp_path, {**files, "train.txt": "a\n", "val.txt": "b\n"})
    assert [open_dataset("folder", root, split).stem(0) for split in ("train", "val")] == ["a", "b"]


def test_classes_are_the_same_for_every_split(tmp_path: Path) -> None:
    fill(tmp_path, {f"{kind}/{split}/{split}.png": value for kind, value in (("images", 0), ("masks", 4))
                    for split in ("train", "val")})  # fmt: skip
    fill(tmp_path, {"masks/train/train.png": 0})
    assert open_dataset("folder", tmp_path, "train").classes == tuple("01234")


@pytest.mark.parametrize(
    ("files", "classes", "labels"),
    [
        ({}, ("0", "1", "2", "3"), [0, 3, IGNORE]),
        ({"classes.txt": "sky\nsea\nsand\nland\n"}, ("sky", "sea", "sand", "land"), [0, 3, IGNORE]),
        ({"classes.txt": "void\nsea\nsand\nland\n"}, ("sea", "sand", "land"), [IGNORE, 2, IGNORE]),
        ({"labels.txt": "__ignore__\na\nb\nc\nd\n"}, ("a", "b", "c", "d"), [0, 3, IGNORE]),
        ({"labelmap.txt": "# label:rgb\na:0,0,0\nb:1,0,0::\nc:2,0,0\nd:3,0,0\n"}, tuple("abcd"), [0, 3, 255]),
    ],
)  # fmt: skip
def test_what_numbers_mean(
    tmp_path: Path, files: dict[str, str], classes: tuple[str, ...], labels: list[int]
) -> None:
    fill(tmp_path, {"images/a.png": [[0, 0, 0]], "masks/a.png": [[0, 3, IGNORE]], **files})
    dataset = open_dataset("folder", tmp_path, "all")
    assert dataset.classes == classes
    assert dataset.mask(0)[0].tolist() == labels


def test_black_and_white_masks_have_two_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": [[0, 0]], "masks/a.png": [[0, 255]]})
    dataset = open_dataset("folder", tmp_path, "all")
    assert dataset.mask(0).tolist() == [[0, 1]]
    assert np.array_equal(dataset.encode(np.array([[0, 1]], np.uint8)), [[0, 255]])


def test_greys_of_three_channels_are_the_same_numbers_in_every_mask(tmp_path: Path) -> None:
    few, more = ([[[value] * 3 for value in row]] for row in ([0, 128, 128], [0, 128, 64]))
    fill(tmp_path, {f"images/{stem}.png": [[0, 0, 0]] for stem in "ab"})
    fill(tmp_path, {"masks/a.png": few, "masks/b.png": more})
    dataset = open_dataset("folder", tmp_path, "all")
    assert dataset.classes == ("0", "64", "128")
    assert dataset.mask(0).tolist() == [[0, 2, 2]]  # 128, 128, 128 is VOC's colour of label 7
    assert dataset.mask(1).tolist() == [[0, 2, 1]]


def test_colours_without_a_list_are_classes_of_their_own(tmp_path: Path) -> None:
    row = [[[0, 0, 0], [128, 0, 0], [224, 224, 192]]]
    fill(tmp_path, {"images/a.png": [[0, 0, 0]], "masks/a.png": row})
    dataset = open_dataset("folder", tmp_path, "all")
    assert dataset.classes == ("0,0,0", "128,0,0")
    assert dataset.mask(0).tolist() == [[0, 1, IGNORE]]


def test_one_list_of_classes_says_which_colours_are_ignored(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": [[0, 0]], "masks/a.png": [[[9, 9, 8], [1, 2, 3]]],
                    "labelmap.txt": "road:1,2,3::\nVoid:9,9,8::\n"})  # fmt: skip
    dataset = open_dataset("folder", tmp_path, "all")
    assert dataset.classes == ("road",)
    assert dataset.mask(0).tolist() == [[IGNORE, 0]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"masks/a.png": None}, r"no Images and .*: looked for images in .* found 1 images and 0 masks"),
        ({"labels/a.png": 0}, r"labels/a\.png and .*masks/a\.png are both the mask of 'a'"),
        ({"labelmap.txt": "sky 1,2,3"}, r"'sky 1,2,3' is not name:red,green,blue"),
        ({"dataset_meta.json": "{}"}, r"is no dataset_meta.json: KeyError"),
        ({"dataset_meta.json": '{"label_map": {"300": "x"}}'}, "'x' has the number 300, not one of 0 to 255"),
        ({"masks/a.png": None, "masks/a.jpg": 0}, r"masks/a\.jpg is a mask saved as JPEG"),
        ({"labelmap.txt": "sky:0,0,256"}, r"the colour \(0, 0, 256\) of 'sky' is none"),
        ({"labelmap.txt": "sky:1,2,3\nsea:1,2,3"}, r"the colour \(1, 2, 3\) of 'sea' is that of 'sky' too"),
        (
            {"dataset_meta.json": '{"label_map": {"0": "x"}, "segmentation_colors": [[-1, 0, 0]]}'},
            r"the colour \(-1, 0, 0\) of 'x' is none",
        ),
        ({"masks/b.png": [[[1, 2, 3]]]}, "some masks hold numbers and some colours"),
        ({"masks/a.png": [[[i, i // 2, 9] for i in range(256)]]}, "the masks hold 256 colours"),
    ],
)
def test_what_cannot_be_a_data_set_says_why(tmp_path: Path, files: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_dataset("folder", fill(tmp_path, {"images/a.png": 0, "masks/a.png": 0} | files), "all")


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": 0, "masks/a.png": 0})
    with pytest.raises(UserError, match=r"has no split 'val': no val\.txt, .* \(splits: all\)"):
        open_dataset("folder", tmp_path, "val")
