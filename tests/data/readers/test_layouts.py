"""Data sets made in the layouts their authors distribute, where no real sample can be had."""

import json
import pickle
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from ctxbench.data import DATASETS, IGNORE, open_dataset
from ctxbench.data.check import check_dataset
from ctxbench.data.readers.coco import run_length_mask
from ctxbench.errors import UserError

SIZE = (3, 4)


def save(path: Path, values: Any = 0) -> None:
    """A picture or a .mat of ``SIZE``, filled with ``values``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = np.broadcast_to(np.asarray(values), SIZE)
    if path.suffix == ".mat":
        savemat(path, {"S": filled})
    else:
        picture = Image.fromarray(filled.astype(np.uint8))
        (picture.convert("RGB") if path.suffix == ".jpg" else picture).save(path)


def lists(folder: Path, **splits: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, stems in splits.items():
        (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """VOC 2012 with a to train on, b to evaluate on, c of the test server."""
    home = tmp_path / "VOCdevkit/VOC2012"
    lists(home / "ImageSets/Segmentation", train="a", val="b", trainval="ab", test="c")
    for stem in "abcd":
        save(home / f"JPEGImages/{stem}.jpg")
    save(home / "SegmentationClass/a.png", [0, 15, 255, 20])
    save(home / "SegmentationClass/b.png", 3)
    return tmp_path


def test_the_test_images_of_voc12_have_no_truth(voc: Path) -> None:
    dataset = open_dataset("voc12", voc / "VOCdevkit", "test")
    assert not dataset.labelled
    assert (dataset.mask(0) == IGNORE).all()
    assert open_dataset("voc12", voc / "VOCdevkit/VOC2012", "trainval").labelled


def test_another_years_voc_is_refused(voc: Path) -> None:
    (voc / "VOCdevkit/VOC2012").rename(voc / "VOCdevkit/VOC2010")
    with pytest.raises(UserError, match="looked for VOC2012, found VOC2010"):
        open_dataset("voc12", voc / "VOCdevkit/VOC2010", "train")
    (voc / "VOCdevkit/VOC2010").rename(voc / "mine")
    assert len(open_dataset("voc12", voc / "mine", "train")) == 1


def test_sbd_as_released_adds_to_voc_without_its_val(voc: Path) -> None:
    sbd = voc / "benchmark_RELEASE/dataset"
    lists(sbd, train="ab", val="d")
    (sbd / "cls").mkdir()
    classes = np.broadcast_to(np.array([0, 7, 20, 0], np.uint8), SIZE)
    for stem in "abd":
        savemat(sbd / f"cls/{stem}.mat", {"GTcls": {"Segmentation": classes, "Boundaries": classes}})
    train = open_dataset("voc12aug", voc, "train")
    assert [train.stem(index) for index in range(len(train))] == ["a", "d"]
    assert train.mask(0)[0].tolist() == [0, 15, 255, 20]  # VOC's own mask where there is one
    assert train.mask(1)[0].tolist() == [0, 7, 20, 0]
    assert open_dataset("voc12aug", voc, "val").stem(0) == "b"


def test_segmentation_class_aug(voc: Path) -> None:
    home = voc / "VOCdevkit/VOC2012"
    lists(home / "ImageSets/Segmentation", trainaug="ad")
    save(home / "SegmentationClassAug/d.png", 9)
    assert (open_dataset("voc12aug", voc, "train").mask(1) == 9).all()


def test_mmsegmentations_voc_aug_reads_vocs_own_masks_where_sbd_has_none(voc: Path) -> None:
    """Its converter makes PNGs of SBD's masks, and lists VOC's own images beside them."""
    home = voc / "VOCdevkit/VOC2012"
    lists(home / "ImageSets/Segmentation", trainaug="ad", aug="d")
    save(home / "SegmentationClassAug/d.png", 9)
    for listed in ("trainaug", "aug"):
        train = open_dataset("voc12aug", voc, "train")
        assert [train.stem(index) for index in range(len(train))] == ["a", "d"]
        assert train.mask(0)[0].tolist() == [0, 15, 255, 20]
        assert (train.mask(1) == 9).all()
        (home / f"ImageSets/Segmentation/{listed}.txt").unlink()


def test_sbd_is_found_where_mmsegmentation_wants_it(voc: Path) -> None:
    sbd = voc / "VOCdevkit/VOCaug/dataset"
    lists(sbd, train="b", val="d")
    (sbd / "cls").mkdir()
    classes = np.full(SIZE, 7, np.uint8)
    savemat(sbd / "cls/d.mat", {"GTcls": {"Segmentation": classes}})
    train = open_dataset("voc12aug", voc / "VOCdevkit", "train")
    assert [train.stem(index) for index in range(len(train))] == ["a", "d"]
    assert (train.mask(1) == 7).all()


def context(root: Path, folder: str, mask: str, values: Sequence[int]) -> Path:
    home = root / "VOC2010"
    lists(home / "ImageSets/Main", train="a", val="")
    save(home / "JPEGImages/a.jpg")
    (home / folder).mkdir()
    if mask.endswith(".mat"):
        savemat(home / folder / mask, {"LabelMap": np.broadcast_to(np.array(values, np.uint16), SIZE)})
    else:
        save(home / folder / mask, values)
    return root


@pytest.mark.parametrize(
    ("folder", "mask", "values"),
    [
        ("trainval", "a.mat", [2, 459, 458, 9]),  # aeroplane, none of the 59, wood, bag
        ("59_context_labels", "a.png", [1, 0, 59, 21]),
        ("SegmentationClassContext", "a.png", [1, 0, 59, 2]),  # by alphabet
    ],
)
def test_pascal_context(tmp_path: Path, folder: str, mask: str, values: list[int]) -> None:
    root = context(tmp_path, folder, mask, values)
    sixty, fifty_nine = (open_dataset(name, root, "train") for name in ("pascal_context", "pascal_context59"))
    assert (len(sixty.classes), len(fifty_nine.classes)) == (60, 59)
    assert [sixty.classes[label] for label in sixty.mask(0)[0]] == ["aeroplane", "background", "wood", "bag"]
    labels = fifty_nine.mask(0)[0].tolist()
    assert labels[1] == IGNORE
    assert [fifty_nine.classes[labels[place]] for place in (0, 2, 3)] == ["aeroplane", "wood", "bag"]
    for dataset in (sixty, fifty_nine):  # a truth that is scored, or drawn, as a prediction
        assert np.array_equal(dataset.decode(dataset.mask_path(0)), dataset.mask(0))
        dataset.encode(dataset.mask(0)).save(tmp_path / "prediction.png")
        assert np.array_equal(dataset.decode(tmp_path / "prediction.png"), dataset.mask(0))


def test_pascal_context_label_out_of_range(tmp_path: Path) -> None:
    root = context(tmp_path, "trainval", "a.mat", [2, 460, 1, 1])
    with pytest.raises(UserError, match=r"a\.mat: label 460 is none of pascal_context, .* 0 to 459"):
        open_dataset("pascal_context", root, "train").mask(0)


@pytest.mark.parametrize("suffix", [".mat", ".png"])
def test_coco_stuff(tmp_path: Path, suffix: str) -> None:
    lists(tmp_path / "imageLists", train="a", test="b")
    save(tmp_path / "images/a.jpg")
    save(tmp_path / f"annotations/a{suffix}", np.array([0, 1, 92, 182], np.uint8))
    mask = open_dataset("coco_stuff", tmp_path, "train").mask(0)
    assert mask[0].tolist() == [IGNORE, 0, 80, 170]


def test_a_thing_of_coco_stuff_that_is_not_used_is_no_class(tmp_path: Path) -> None:
    lists(tmp_path / "imageLists", train="a")
    save(tmp_path / "images/a.jpg")
    save(tmp_path / "annotations/a.mat", np.uint8(12))  # street sign
    with pytest.raises(UserError, match=r"a\.mat: label 12 stands for no class of coco_stuff, which has 171"):
        open_dataset("coco_stuff", tmp_path, "train").mask(0)


def instances(root: Path, *objects: Mapping[str, Any], size: tuple[int, int] = SIZE) -> Path:
    (root / "train2017").mkdir(parents=True)
    Image.new("RGB", size[::-1]).save(root / "train2017/a.jpg")
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": size[0], "width": size[1]}],
        "annotations": [{"image_id": 7, "iscrowd": 0, **one} for one in objects],
    }
    (root / "annotations").mkdir()
    (root / "annotations/instances_train2017.json").write_text(json.dumps(content))
    return root


def test_coco_instances_draw_the_smaller_object_over_the_larger(tmp_path: Path) -> None:
    root = instances(
        tmp_path,
        {"category_id": 1, "area": 2, "segmentation": [[1, 1, 3, 1, 3, 2, 1, 2]]},  # a person, two pixels
        {"category_id": 17, "area": 6, "segmentation": {"counts": [0, 6, 6], "size": SIZE}},  # a cat
        {"category_id": 8, "area": 12, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},  # a truck, not in VOC
    )
    mask = open_dataset("coco", root, "train").mask(0)
    assert mask.tolist() == [[8, 8, 0, 0], [8, 15, 15, 0], [8, 8, 0, 0]]


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.floats(-2, 44, width=32), min_size=6, max_size=14).filter(
            lambda each: len(each) % 2 == 0
        ),
        min_size=1,
        max_size=3,
    )
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_polygons_have_cocos_own_raster(
    tmp_path_factory: pytest.TempPathFactory, polygons: list[list[float]]
) -> None:
    from pycocotools import mask as reference

    root = tmp_path_factory.mktemp("polygons")
    instances(root, {"category_id": 1, "area": 2, "segmentation": polygons}, size=(40, 40))
    drawn = open_dataset("coco", root, "train").mask(0)
    expected = reference.decode(reference.merge(reference.frPyObjects(polygons, 40, 40)))
    assert np.array_equal(drawn > 0, expected)


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 3, 2], "a polygon has 4 numbers"),
        ([0, 0, 3, 2, 1e9, 5], "a polygon reaches far beyond 3x4"),
        ([0, 0, 3, 2, float("nan"), 5], "a polygon reaches far beyond 3x4"),
    ],
)
def test_a_polygon_that_is_none_is_named(tmp_path: Path, polygon: list[float], message: str) -> None:
    root = instances(tmp_path, {"category_id": 1, "area": 2, "segmentation": [polygon]})
    with pytest.raises(UserError, match=f"an object of a cannot be drawn: ValueError: {message}"):
        open_dataset("coco", root, "train").mask(0)


def test_polygons_without_pycocotools_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polygon = {"category_id": 1, "area": 2, "segmentation": [[0, 0, 4, 0, 4, 3]]}
    runs = {"category_id": 1, "area": 2, "segmentation": {"counts": [0, 12], "size": SIZE}}
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UserError, match=r"pip install 'ctxbench\[coco\]' \(pycocotools\)"):
        open_dataset("coco", instances(tmp_path / "polygons", polygon), "train")
    assert open_dataset("coco", instances(tmp_path / "runs", runs), "train").mask(0).all()


def test_a_panoptic_zip_still_packed_is_one_line(tmp_path: Path) -> None:
    save(tmp_path / "train2017/a.jpg")
    (tmp_path / "annotations").mkdir()
    annotations = [{"image_id": n, "file_name": f"{n}.png", "segments_info": []} for n in range(50)]
    path = tmp_path / "annotations/panoptic_train2017.json"
    path.write_text(json.dumps({"annotations": annotations}))
    path.with_suffix(".zip").write_bytes(b"")
    with pytest.raises(UserError, match=r"panoptic_train2017\.zip may hold: unpack it there"):
        open_dataset("coco", tmp_path, "train")


def test_a_damaged_annotation_is_named(tmp_path: Path) -> None:
    root = instances(tmp_path, {"category_id": 1, "area": 2, "segmentation": {"counts": [1], "size": SIZE}})
    with pytest.raises(UserError, match=r"an object of a cannot be drawn: .* add up to 1, not to 3x4"):
        open_dataset("coco", root, "train").mask(0)
    (root / "annotations/instances_train2017.json").write_text("{}")
    with pytest.raises(UserError, match=r"instances_train2017\.json is no annotation file of COCO: KeyError"):
        open_dataset("coco", root, "train")


@pytest.mark.parametrize(
    ("field", "value"), [("category_id", "person"), ("area", "large"), ("area", None), ("width", "wide")]
)
def test_a_field_of_another_type_is_the_annotation_files_error(
    tmp_path: Path, field: str, value: str | None
) -> None:
    root = instances(tmp_path, {"category_id": 1, "area": 2, "segmentation": [[0, 0, 4, 0, 4, 3]]})
    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["images" if field == "width" else "annotations"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"instances_train2017\.json is no annotation file of COCO: \w+Error"):
        open_dataset("coco", root, "train")


def coco_map(root: Path, values: Any) -> Path:
    save(root / "train2017/a.jpg")
    path = root / "stuffthingmaps/train2017/a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(values).save(path)
    return root


def test_coco_pixel_maps(tmp_path: Path) -> None:
    grey = np.array([[0, 71, 181, 255]] * 3, np.uint8)
    assert open_dataset("coco", coco_map(tmp_path / "grey", grey), "train").mask(0)[0].tolist() == [
        15, 20, 0, IGNORE,
    ]  # fmt: skip
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[..., 0] = [1, 72, 200, 0]
    assert open_dataset("coco", coco_map(tmp_path / "colours", colours), "train").mask(0)[0].tolist() == [
        15, 20, 0, IGNORE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full(SIZE, 200, np.uint8), r"a\.png: label 200 is no category of COCO: 0 to 181, and 255 unl"),
        (np.full(SIZE, 256, np.uint16), r"a\.png: label 256 is no category"),
        (
            np.full((*SIZE, 3), 201, np.uint8),
            r"a\.png: label 201 is no category of COCO: 0 to 200, and 0 unl",
        ),
        (np.full((*SIZE, 2), 17, np.uint8), r"a\.png is grey with alpha"),
    ],
)
def test_a_coco_pixel_map_of_something_else_is_named(tmp_path: Path, values: Any, said: str) -> None:
    found = check_dataset(open_dataset("coco", coco_map(tmp_path, values), "train"))
    assert "(the authors' split of 2017 has 118287)" in found.summary
    ((_, error),) = found.problems
    assert re.search(said, str(error))


@pytest.fixture
def full_ade(tmp_path: Path) -> Path:
    """A picture of full ADE20K to train on and one to evaluate on, below a folder named as a split is."""
    root = tmp_path / "training/ade"
    for stem, split in (("a", "training"), ("b", "validation")):
        home = root / "images/ADE" / split / "street"
        save(home / f"{stem}.jpg")
        Image.fromarray(np.full((*SIZE, 3), (10, 5, 0), np.uint8)).save(home / f"{stem}_seg.png")
    return root


def test_a_split_of_full_ade20k_is_told_below_its_root(full_ade: Path) -> None:
    for split, stem in (("train", "a"), ("val", "b")):
        dataset = open_dataset("ade20k_full", full_ade, split)
        assert [dataset.stem(index) for index in range(len(dataset))] == [stem]


def test_an_unreadable_mask_of_full_ade20k_is_one_bad_sample(full_ade: Path) -> None:
    (full_ade / "images/ADE/training/street/a_seg.png").write_bytes(b"no picture")
    assert [
        error.problem for _, error in check_dataset(open_dataset("ade20k_full", full_ade, "train")).problems
    ] == ["unreadable"]
    assert not check_dataset(open_dataset("ade20k_full", full_ade, "val")).problems


def test_a_class_of_full_ade20k_keeps_the_name_that_some_file_gives(full_ade: Path) -> None:
    assert open_dataset("ade20k_full", full_ade, "val").classes == ("261",)
    described = {"annotation": {"object": [{"name_ndx": 261, "name": "building, edifice"}]}}
    (full_ade / "images/ADE/training/street/a.json").write_text(json.dumps(described))
    assert open_dataset("ade20k_full", full_ade, "val").classes == ("building",)


def test_a_panoptic_segment_nobody_listed_is_named(tmp_path: Path) -> None:
    save(tmp_path / "train2017/a.jpg")
    save(tmp_path / "annotations/panoptic_train2017/a.png", 5)
    segments = [{"id": 4, "category_id": 1}]
    content = {"annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": segments}]}
    (tmp_path / "annotations/panoptic_train2017.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a\.png: segment 5 is not in its annotation"):
        open_dataset("coco", tmp_path, "train").mask(0)


def test_run_lengths_as_numbers_go_down_the_columns() -> None:
    assert run_length_mask([1, 2, 3], 3, 2).tolist() == [[False, False], [True, False], [True, False]]


def test_data_sets_survive_pickling(voc: Path) -> None:
    dataset = open_dataset("voc12", voc, "train")
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again.mask(0), dataset.mask(0))


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "synthetic"])
def test_a_missing_data_set_says_what_was_looked_for_and_where_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as raised:
        open_dataset(name, tmp_path / "nowhere")
    message = str(raised.value)
    assert message.startswith(f"no {DATASETS[name].title} in {tmp_path / 'nowhere'}: looked for ")
    assert message.endswith(DATASETS[name].source)
    assert "\n" not in message


def test_a_split_without_samples_is_refused(voc: Path) -> None:
    lists(voc / "VOCdevkit/VOC2012/ImageSets/Segmentation", val="")
    with pytest.raises(UserError, match=r"voc12 in .* has no samples in its split val"):
        open_dataset("voc12", voc, "val")


def test_unknown_names_and_splits() -> None:
    with pytest.raises(UserError, match="no data set named 'voc'; did you mean voc12"):
        open_dataset("voc", Path())
    with pytest.raises(UserError, match="sift_flow has no split 'val'; its splits: train, test"):
        open_dataset("sift_flow", Path(), "val")
    with pytest.raises(UserError, match="synthetic has no split 'test'"):
        open_dataset("synthetic", None, "test")
    with pytest.raises(UserError, match="synthetic is generated and lies in no folder: leave mine out"):
        open_dataset("synthetic", Path("mine"))
    with pytest.raises(UserError, match="voc12 needs the folder it lies in; get it from http"):
        open_dataset("voc12", None)
