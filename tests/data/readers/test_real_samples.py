import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ctxbench.data import DATASETS, IGNORE, SegmentationSet, open_dataset
from ctxbench.data.readers.ade20k_full import class_numbers
from ctxbench.data.readers.coco import TO_VOC, run_length_mask
from ctxbench.data.reading import SizesDifferError, UnreadableFileError, read_labels
from ctxbench.errors import UserError
from ctxbench.evaluate.metrics import confusion_matrix, miou


def read(dataset: SegmentationSet, index: int = 0) -> np.ndarray:
    """A sample's mask; its image is of the same size."""
    mask = dataset.mask(index)
    assert mask.shape == dataset.image(index).size[::-1]
    assert mask.dtype == np.uint8
    return mask


def found(mask: np.ndarray) -> list[int]:
    return sorted(np.unique(mask).tolist())


def test_sift_flow(sift_flow: Path) -> None:
    test, train = (open_dataset("sift_flow", sift_flow, split) for split in ("test", "train"))
    assert (len(test), len(train)) == (200, 2486)
    assert [test.stem(0), train.stem(0)] == ["coast_natu975", "forest_for121"]
    assert [test.classes[label] for label in found(read(test))[:-1]] == ["plant", "sea", "sky"]
    assert set(found(read(train))) <= {*range(33), IGNORE}


def test_sift_flow_in_the_papers_split_takes_all_that_is_not_tested(sift_flow: Path, tmp_path: Path) -> None:
    import shutil

    home = tmp_path / "SiftFlowDataset"
    shutil.copytree(sift_flow / "SiftFlowDataset", home)
    for name in ("fcn_trainval.txt", "fcn_test.txt"):
        (home / name).unlink()
    train, test = (open_dataset("sift_flow", home, split) for split in ("train", "test"))
    assert [train.stem(index) for index in range(len(train))] == ["forest_for121"]
    assert (len(test), test.stem(0)) == (200, "coast_natu975")  # from the authors' own list, Windows paths


def test_voc12(voc12: Path) -> None:
    train, val = (open_dataset("voc12", voc12, split) for split in ("train", "val"))
    assert (len(train), len(val), val.stem(0)) == (437, 445, "2007_000175")
    assert [val.classes[label] for label in found(read(val))[:-1]] == ["background", "sheep"]
    assert val.palette[1] == (128, 0, 0)


def test_a_voc12_mask_is_written_as_it_was(voc12: Path, tmp_path: Path) -> None:
    val = open_dataset("voc12", voc12, "val")
    val.encode(val.mask(0)).save(tmp_path / "again.png")
    original = voc12 / "VOCdevkit/VOC2012/SegmentationClass/2007_000175.png"
    with Image.open(original) as then, Image.open(tmp_path / "again.png") as now:
        assert now.mode == then.mode == "P"
        assert np.array_equal(now, then)
        colours = {value: then.getpalette()[3 * value : 3 * value + 3] for value in (0, 17, IGNORE)}
        assert {value: now.getpalette()[3 * value : 3 * value + 3] for value in colours} == colours


def test_ade20k(samples: Path) -> None:
    val = open_dataset("ade20k", samples, "val")
    assert [val.stem(index) for index in range(len(val))] == [f"ADE_val_0000000{n}" for n in (1, 2, 3)]
    assert [val.classes[label] for label in found(read(val))[:3]] == ["wall", "building", "sky"]
    nested = open_dataset("ade20k", samples / "mseg_api_test_data/ADE20K_test_data", "train")
    assert np.array_equal(read(nested), read(open_dataset("ade20k", samples, "train")))
    for path in sorted((samples / "ade20k_sceneparsing_devkit_sampleData/predictions").iterdir()):
        assert set(found(val.decode(path))) <= {*range(150), IGNORE}


def test_full_ade20k(samples: Path) -> None:
    dataset = open_dataset("ade20k_full", samples / "ade20k_full_2021_3street", "train")
    assert len(dataset) == 3
    assert {"building", "sky", "car"} <= {
        dataset.classes[label] for label in found(read(dataset)) if label < IGNORE
    }
    for year in ("ade20k2017_dataset", "ade20k2020_dataset"):
        for kind in ("dataset", "dataset_with_meta_file"):
            assert 0 in found(read(open_dataset("ade20k_full", samples / "datumaro" / year / kind, "train")))
    old = samples / "mseg_api_test_data/ADE20K_test_data/ADE20K_2016_07_26"
    assert all(class_numbers(path).max() > 0 for path in old.rglob("*_seg.png"))  # their images are not there


def test_coco_stuff(samples: Path, tmp_path: Path) -> None:
    lists = samples / "cocostuff10k_lists/models/deeplab/cocostuff/list"
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "imageLists/train.txt").write_text((lists / "train.txt").read_text())
    dataset = open_dataset("coco_stuff", tmp_path, "train")
    assert (len(dataset), dataset.stem(0)) == (9000, "COCO_train2014_000000000077")
    names = dict(
        line.split(": ", 1)
        for line in (samples / "cocostuff10k_lists/dataset/cocostuff-labels.txt").read_text().splitlines()
    )
    assert len(dataset.classes) == 171
    assert [names[str(code)] for code in dataset.codes] == list(dataset.classes)
    for path in (samples / "cocostuffapi/results/segmentations/examples").iterdir():
        assert IGNORE in found(dataset.decode(path))  # 183, things


def test_pascal_context_classes_are_the_authors(samples: Path) -> None:
    from ctxbench.data.file_set import class_list

    numbers, names = class_list("pascal_context")
    lines = (samples / "pascal_context_lists/classes-400.txt").read_text().splitlines()
    every = dict(line.strip().split(": ", 1) for line in lines)
    assert [every[str(number)].strip() for number in numbers] == names
    assert len(set(numbers)) == 59


def relinked(root: Path, links: Mapping[str, Path]) -> Path:
    """A folder with samples under the names that the full set has."""
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return root


def test_coco_panoptic(samples: Path, tmp_path: Path) -> None:
    home = samples / "coco_panopticapi_sample_data"
    images = {"val2017": home / "input_images"}
    whole = relinked(
        tmp_path / "whole",
        images | {"annotations/panoptic_val2017.json": home / "panoptic_examples.json",
                  "annotations/panoptic_val2017": home / "panoptic_examples"},
    )  # fmt: skip
    dataset = open_dataset("coco", whole, "val")
    assert len(dataset) == 2
    as_instances = relinked(
        tmp_path / "instances",
        images | {"annotations/instances_val2017.json": home / "panoptic_coco_detection_format.json"},
    )
    two_channels = relinked(
        tmp_path / "two", images | {"annotations/val2017": home / "panoptic_examples_2ch_format"}
    )
    for other in (open_dataset("coco", root, "val") for root in (as_instances, two_channels)):
        order = [other.stem(index) for index in range(len(other))]
        for index in range(len(dataset)):
            mask, same = read(dataset, index), read(other, order.index(dataset.stem(index)))
            told = mask != IGNORE  # instances do not tell the unlabeled from the background
            assert np.array_equal(mask[told], same[told])
            assert (mask[told] > 0).any()


def test_run_lengths_are_the_segments_of_the_panoptic_png(samples: Path) -> None:
    home = samples / "coco_panopticapi_sample_data"
    pictures = json.loads((home / "panoptic_examples.json").read_text())["annotations"]
    parts = json.loads((home / "panoptic_coco_detection_format.json").read_text())["annotations"]
    for picture in pictures:
        colours = read_labels(home / "panoptic_examples" / picture["file_name"]).astype(int)
        numbers = colours @ np.array([1, 256, 65536])
        drawn = [
            run_length_mask(part["segmentation"]["counts"], *part["segmentation"]["size"])
            for part in parts
            if part["image_id"] == picture["image_id"]
        ]
        assert len(drawn) == len(picture["segments_info"])
        for segment in picture["segments_info"]:
            assert any(np.array_equal(numbers == segment["id"], mask) for mask in drawn)


def test_other_panoptic_samples(samples: Path, tmp_path: Path) -> None:
    toy = samples / "datumaro/coco_dataset/coco_panoptic"
    train = open_dataset("coco", toy, "train")
    assert found(train.truth(0)) == [TO_VOC[1]]  # type: ignore[attr-defined]  # category 1 is COCO's person
    with pytest.raises(SizesDifferError, match=r"a\.png is 5x5 .*a\.jpg is 5x10"):
        train.mask(0)
    assert set(found(read(open_dataset("coco", toy, "val")))) <= {0, TO_VOC[1], TO_VOC[2], IGNORE}
    stuff = samples / "datumaro/coco_dataset/coco_stuff"
    root = relinked(
        tmp_path,
        {
            "images": stuff / "images",
            "annotations/instances_train.json": stuff / "annotations/stuff_train.json",
        },
    )
    assert found(read(open_dataset("coco", root, "train"))) == [0, TO_VOC[1]]
    mseg = samples / "mseg_api_test_data/COCOPanoptic_test_data/annotations"
    (tmp_path / "val2017").mkdir()
    root = relinked(tmp_path, {"annotations/panoptic_val2017.json": mseg / "panoptic_val2017.json",
                               "annotations/panoptic_val2017": mseg / "panoptic_val2017"})  # fmt: skip
    with pytest.raises(UserError, match=r"val2017/000000000139\.jpg is missing"):
        open_dataset("coco", root, "val").image(0)


MAPILLARY = "__CRyFzoDOXn6unQ6a3DnQ"
FOLDERS = [
    ("ade20k_sceneparsing_devkit_sampleData", "all", 3, [0, 1, 2, 3, 5, 7, 10, 18]),  # of 16 that occur
    ("datumaro/camvid_dataset", "test", 2, None),
    ("datumaro/common_semantic_segmentation_dataset/dataset", "all", 2, None),
    ("datumaro/common_semantic_segmentation_dataset/non_standard_dataset", "all", 2, None),
    ("image_segmentation_keras_example", "train", 5, [0, 1, 2, 3, 4, 5, 6, 8, 9, 11]),
    ("image_segmentation_keras_example", "test", 3, [*range(12)]),
    ("labelme_semantic_segmentation/data_dataset_voc", "all", 3, [0, 5, 15, IGNORE]),
    ("mmseg_tests_data/pseudo_bdd100k_dataset", "train", 3, [2, 8]),
    ("mmseg_tests_data/pseudo_cityscapes_dataset", "val", 1, [0, 1, 2, 4, 5, 7, 8, 10, 11, 13, IGNORE]),
    ("mmseg_tests_data/pseudo_dataset", "train", 4, [0, 2]),
    ("mmseg_tests_data/pseudo_dataset", "val", 1, [0, 3]),
    ("mmseg_tests_data/pseudo_lip_dataset", "val", 1, [0, 1, 5, 9, 13, 15]),
    ("mmseg_tests_data/pseudo_loveda_dataset", "all", 3, [1, 2, 3, 4, 7]),
    ("mmseg_tests_data/pseudo_potsdam_dataset", "all", 1, [*range(6)]),
    ("mmseg_tests_data/pseudo_refuge_dataset", "all", 1, [0, 1, 2]),
    ("mmseg_tests_data/pseudo_synapse_dataset", "all", 2, [0]),
    ("mmseg_tests_data/pseudo_vaihingen_dataset", "all", 1, [*range(6)]),
    ("mseg_api_test_data/SUNRGBD_test_data", "test", 1, [0, 1, 3, 16, 17, 18, 21, 31, 34, IGNORE]),
]  # fmt: skip


@pytest.mark.parametrize(("place", "split", "count", "labels"), FOLDERS, ids=lambda value: str(value)[:40])
def test_folder(samples: Path, place: str, split: str, count: int, labels: list[int] | None) -> None:
    dataset = open_dataset("folder", samples / place, split)
    assert len(dataset) == count
    mask = read(dataset)
    assert set(found(mask)) <= {*range(len(dataset.classes)), IGNORE}
    if labels is not None:  # the values in the file
        assert [IGNORE if label == IGNORE else dataset.codes[label] for label in found(mask)] == labels


def test_masks_in_the_colours_of_a_label_map(samples: Path) -> None:
    home = samples / "datumaro/common_semantic_segmentation_dataset/dataset"
    dataset = open_dataset("folder", home, "all")
    assert dataset.classes == ("Animal", "Archway", "Bicyclist", "Child", "Road")  # Void is ignored
    colours = np.asarray(Image.open(home / "masks/0001.png"))
    for pixel, label in zip(colours.reshape(-1, 3), dataset.mask(0).ravel(), strict=True):
        assert tuple(pixel) == dataset.palette[label]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (f"{home}/images/{MAPILLARY}.jpg", f"{home}/{version}/{MAPILLARY}.png")
        for home in ("mmseg_tests_data/pseudo_mapillary_dataset",)
        for version in ("v1.2", "v2.0")
    ]
    + [
        ("mseg_api_test_data/Camvid_test_data/images/0016E5_08159.png",
         "mseg_api_test_data/Camvid_test_data/preds/0016E5_08159.png"),
        ("mmseg_tests_data/color.jpg", "mmseg_tests_data/seg.png"),
    ],
)  # fmt: skip
def test_a_list_of_pairs_settles_an_unusual_arrangement(
    samples: Path, tmp_path: Path, image: str, mask: str
) -> None:
    root = relinked(tmp_path, {"set": samples})
    (root / "val.txt").write_text(f"set/{image} set/{mask}\n")
    dataset = open_dataset("folder", root, "val")
    assert dataset.stem(0) == Path(image).stem
    assert max(found(read(dataset))) == len(dataset.classes) - 1


def test_what_holds_no_classes_is_refused(samples: Path) -> None:
    with pytest.raises(UserError, match="1 to 255 classes fit a mask, not 849"):  # depths
        open_dataset("folder", samples / "mmseg_tests_data/pseudo_nyu_dataset", "all")
    dataset = open_dataset("ade20k", samples, "val")
    for path in sorted((samples / "cocostuff10k_annotator/input").rglob("*.mat")):  # superpixels, outlines
        with pytest.raises(UnreadableFileError, match="holds no labels"):
            dataset.decode(path)


def test_voc_of_other_tools(samples: Path, tmp_path: Path) -> None:
    home = samples / "datumaro/voc_dataset/voc_dataset1"
    dataset = open_dataset("voc12", home, "train")  # its masks hold colours
    assert found(read(dataset)) == [dataset.classes.index("bicycle")]
    masks = samples / "labelme_semantic_segmentation/data_dataset_voc/SegmentationClass"
    assert found(dataset.decode(masks / "2011_000003.png")) == [0, 5, 15, IGNORE]


def test_what_is_no_picture_is_named(samples: Path) -> None:
    dataset = open_dataset("folder", samples / "mmseg_tests_data/pseudo_isaid_dataset", "val")
    with pytest.raises(UnreadableFileError, match=r"P0000_0_896_1024_1920.png cannot be read"):
        dataset.image(0)
    with pytest.raises(
        UnreadableFileError, match=r"P0000_0_896_1024_1920_instance_color_RGB.png cannot be read"
    ):
        dataset.decode(dataset.mask_path(0))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "split"), [("voc12", "val"), ("sift_flow", "test"), ("ade20k", "val")])
def test_the_truth_as_prediction_scores_100(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, split: str
) -> None:
    root = request.getfixturevalue("samples" if name == "ade20k" else name)
    dataset = open_dataset(name, root, split)
    dataset.encode(dataset.mask(0)).save(tmp_path / "prediction.png")
    masks = (dataset.mask(0), dataset.decode(tmp_path / "prediction.png"))
    truth, prediction = (torch.from_numpy(mask.astype(np.int64)) for mask in masks)
    assert miou(confusion_matrix(truth, prediction, len(dataset.classes)).numpy()) == 100.0


def test_every_data_set_has_a_home() -> None:
    assert all(info.source.startswith(("http://", "https://")) for info in DATASETS.values() if info.counts)
