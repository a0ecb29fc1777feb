"""The layouts in which people and tools leave images and masks, each read by the one rule."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ctxbench.data import open_dataset
from ctxbench.data.paths import images_below
from ctxbench.data.readers.layout import find_pairs
from ctxbench.errors import UserError

# the split, where the image of the sample * lies, where its mask, and what lies beside them
LAYOUTS = {
    "images and masks": ("all", "images/*.jpg", "masks/*.png", ()),
    "JPEGImages, SegmentationClass (VOC, CVAT)": (
        "all", "JPEGImages/*.jpg", "SegmentationClass/*.png", ("SegmentationObject/*.png",)),
    "SegmentationClassPNG (labelme)": (
        "all", "JPEGImages/*.jpg", "SegmentationClassPNG/*.png", ("SegmentationClassVisualization/*.jpg",)),
    "images_png, masks_png (LoveDA)": (
        "train", "Train/Rural/images_png/*.png", "Train/Rural/masks_png/*.png", ()),
    "images/train, masks/train": ("train", "images/train/*.jpg", "masks/train/*.png", ()),
    "train/images, train/masks": ("train", "train/images/*.jpg", "train/masks/*.png", ()),
    "img_dir, ann_dir (mmsegmentation)": ("val", "img_dir/val/*.jpg", "ann_dir/val/*.png", ()),
    "images/train2017, annotations/train2017": (
        "train", "images/train2017/*.jpg", "annotations/train2017/*.png", ()),
    "trainannot (SegNet's CamVid)": ("train", "train/*.png", "trainannot/*.png", ()),
    "_L (CamVid)": ("train", "train/*.png", "train_labels/*_L.png", ()),
    "images/training, annotations/training (ADE20K)": (
        "train", "images/training/*.jpg", "annotations/training/*.png", ()),
    "labelTrainIds (Cityscapes)": (
        "train", "leftImg8bit/train/aachen/*_leftImg8bit.png",
        "gtFine/train/aachen/*_gtFine_labelTrainIds.png",
        ("gtFine/train/aachen/*_gtFine_labelIds.png", "gtFine/train/aachen/*_gtFine_color.png",
         "gtFine/train/aachen/*_gtFine_instanceIds.png")),
    "labelIds (Cityscapes)": (
        "val", "leftImg8bit/val/ulm/*_leftImg8bit.png", "gtFine/val/ulm/*_gtFine_labelIds.png",
        ("gtFine/val/ulm/*_gtFine_color.png",)),
    "_segmentation (ISIC)": (
        "train", "ISIC2018_Task1-2_Training_Input/*.jpg",
        "ISIC2018_Task1_Training_GroundTruth/*_segmentation.png", ()),
    "_GT beside (MSRC)": ("all", "*_s.bmp", "*_s_GT.bmp", ()),
    "_mask beside": ("all", "*.jpg", "*_mask.png", ()),
    "_mask beside, by class (BUSI)": ("all", "benign/benign (*).png", "benign/benign (*)_mask.png", ()),
    "_sat and _mask (DeepGlobe)": ("train", "train/*_sat.jpg", "train/*_mask.png", ()),
    "_mask in train (Roboflow)": ("train", "train/*.jpg", "train/*_mask.png", ()),
    "_anno (GlaS)": ("all", "*.bmp", "*_anno.bmp", ()),
    "train_masks, GIF (Carvana)": ("train", "train/*.jpg", "train_masks/*_mask.gif", ()),
    "label_images_semantic (drones)": ("all", "original_images/*.jpg", "label_images_semantic/*.png", ()),
    "Original, Ground Truth (CVC-ClinicDB)": ("all", "Original/*.tif", "Ground Truth/*.tif", ()),
    "DUTS-TR": ("train", "DUTS-TR/DUTS-TR-Image/*.jpg", "DUTS-TR/DUTS-TR-Mask/*.png", ()),
    "ground_truth_mask (ECSSD)": ("all", "images/*.jpg", "ground_truth_mask/*.png", ()),
    "train/images, train/gt (INRIA)": ("train", "AerialImageDataset/train/images/*.tif",
                                       "AerialImageDataset/train/gt/*.tif", ()),
    "tiff/train_labels (Massachusetts)": ("train", "tiff/train/*.tiff", "tiff/train_labels/*.tif", ()),
    "image_2, semantic (KITTI)": (
        "train", "training/image_2/*.png", "training/semantic/*.png",
        ("training/semantic_rgb/*.png", "training/instance/*.png")),
    "images/10k, labels/sem_seg/masks (BDD100K)": (
        "train", "images/10k/train/*.jpg", "labels/sem_seg/masks/train/*.png",
        ("labels/sem_seg/colormaps/train/*.png",)),
    "trimaps (Oxford pets)": ("all", "images/*.jpg", "annotations/trimaps/*.png", ()),
    "img, masks_machine (Supervisely)": (
        "all", "ds0/img/*.jpg", "ds0/masks_machine/*.png", ("ds0/masks_human/*.png",)),
    "a.jpg.png": ("all", "ds0/img/*.jpg", "ds0/masks/*.jpg.png", ()),
    "a folder for each sample (labelme_json_to_dataset)": (
        "all", "*_json/img.png", "*_json/label.png", ("*_json/label_viz.png",)),
    "a folder for each sample": ("all", "*/image.png", "*/mask.png", ()),
    "beside, JPEG and PNG": ("all", "pictures of mine/*.jpg", "pictures of mine/*.png", ()),
    "two folders, JPEG and PNG": ("all", "2018/*.jpg", "2018 drawn/*.png", ()),
    "masks of no split": ("val", "images/val/*.jpg", "masks/*.png", ()),
    "images_prepped_train (keras-segmentation)": (
        "train", "images_prepped_train/*.png", "annotations_prepped_train/*.png", ()),
    "images/train, labels/train": ("train", "images/train/*.jpg", "labels/train/*.png", ()),
    "input, target": ("test", "test/input/*.png", "test/target/*.png", ()),
    "train/train_img, train/train_lbl": ("train", "train/train_img/*.jpg", "train/train_lbl/*.png", ()),
    "hidden files of macOS": (
        "all", "images/*.jpg", "masks/*.png", ("__MACOSX/images/._*.jpg", "images/._*.jpg")),
}  # fmt: skip


def write(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


@pytest.mark.parametrize(("split", "image", "mask", "beside"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_read(tmp_path: Path, split: str, image: str, mask: str, beside: tuple[str, ...]) -> None:
    for value, stem in enumerate(("s1", "s2", "s3")):
        write(tmp_path / image.replace("*", stem), 60 * value)
        write(tmp_path / mask.replace("*", stem), value)
        for place in beside:
            write(tmp_path / place.replace("*", stem), 77)
    dataset = open_dataset("folder", tmp_path, split)
    assert len(dataset) == 3
    assert {dataset.stem(index).partition("_")[0] for index in range(3)} >= {"s1"} or "(" in image
    for index in range(3):  # each image with the mask that was written for it
        grey = np.asarray(dataset.image(index)).mean()
        assert dataset.mask(index).tolist() == np.full((8, 8), round(grey / 60)).tolist()


IMAGE_FOLDERS = (
    "images", "imgs", "Images", "JPEGImages", "img_dir", "input", "Original", "rgb", "leftImg8bit",
    "images_png", "raw_images", "SAT", "images_512x512", "Frames",
)  # fmt: skip
MASK_FOLDERS = (
    "masks", "labels", "Masks", "annotations", "ann_dir", "gt", "GT", "gtFine", "Ground Truth",
    "ground-truth", "SegmentationClass", "SegmentationClassPNG", "semantic", "target", "label_images",
    "Annotation", "trimaps", "segmentation_masks", "annotated_images", "ground_truth_masks",
)  # fmt: skip
SPLIT_FOLDERS = (
    ("", "", "all"), ("train", "", "train"), ("", "training", "train"), ("Val", "", "val"),
    ("", "validation", "val"), ("test", "", "test"),
)  # fmt: skip
ENDINGS = (
    "_mask", "_GT", "_segmentation", "_label", "_gtFine_labelTrainIds", "_seg", "-mask", "_annotation",
    " mask",
)  # fmt: skip
STEMS = ("a", "0001", "IMG_2031", "scene 12 (3)", "x-y.z", "2007_000032", "frame_000123", "P0000_0_896")


@settings(max_examples=300)
@given(
    folders=st.one_of(
        st.tuples(*map(st.sampled_from, (IMAGE_FOLDERS, MASK_FOLDERS, ("", *ENDINGS)))),
        st.tuples(st.just(""), st.just(""), st.sampled_from(ENDINGS)),
    ),
    split=st.sampled_from(SPLIT_FOLDERS),
    ending=st.sampled_from(("", "_sat", "_leftImg8bit", "_img", "_image")),
    suffixes=st.sampled_from(((".jpg", ".png"), (".png", ".png"), (".JPG", ".PNG"), (".bmp", ".gif"))),
    place=st.sampled_from(("", "city1")),
    stems=st.lists(st.sampled_from(STEMS), min_size=1, max_size=3, unique=True),
)
def test_words_in_folders_and_names_combine(
    folders: tuple[str, str, str], split: tuple[str, str, str], ending: str, suffixes: tuple[str, str],
    place: str, stems: list[str],
) -> None:  # fmt: skip
    image, mask, mask_ending = folders
    above, below, expected = split
    root = Path("/set")
    files = {
        root / above / image / below / place / f"{stem}{ending}{suffixes[0]}":
        root / above / mask / below / place / f"{stem}{mask_ending}{suffixes[1]}"
        for stem in stems
    }  # fmt: skip
    pairs, _, _ = find_pairs(root, sorted([*files, *files.values()]))
    assert {pair.image: pair.mask for pair in pairs[expected]} == files
    assert list(pairs) == [expected]


STYLES = {
    "splits in folders": ("images/{split}/{stem}.png", "masks/{split}/{stem}.png"),
    "folders in splits": ("{split}/images/{stem}.jpg", "{split}/labels/{stem}.png"),
    "one folder a split": ("{split}/{stem}.png", "{split}/{stem}_mask.png"),
    "names of their own": ("img_dir/{split}/{stem}_img.png", "ann_dir/{split}/{stem}_seg.png"),
}


@settings(max_examples=150)
@given(
    style=st.sampled_from(sorted(STYLES)),
    there=st.dictionaries(
        st.tuples(st.sampled_from(("train", "val", "test")), st.sampled_from(("0", "1", "2", "a", "b_mask"))),
        st.sampled_from(("image and mask", "image and mask", "image", "mask")),
        min_size=1,
        max_size=10,
    ),
)
def test_a_file_without_its_other_takes_none_that_is_there(
    style: str, there: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("set")
    partner: dict[Path, Path] = {}
    for (split, stem), kinds in there.items():
        stem = stem.removesuffix("_mask") if style != "splits in folders" else stem
        image, mask = (root / form.format(split=split, stem=stem) for form in STYLES[style])
        partner |= {image: mask, mask: image}
        for path, kind in ((image, "image"), (mask, "mask")):
            if kind in kinds:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    by_split, _, _ = find_pairs(root, images_below(root))
    for pairs in by_split.values():
        for pair in pairs:
            assert pair.image.exists() or (pair.mask is not None and pair.mask.exists())
            if pair.mask is not None and pair.image.exists() and pair.mask.exists():
                assert partner[pair.image] == pair.mask


def test_as_many_layouts_are_tried_as_are_promised() -> None:
    assert len(LAYOUTS) >= 30


def test_two_masks_of_an_image_are_named_with_the_line_that_chooses(tmp_path: Path) -> None:
    for folder in ("images", "SegmentationClass", "SegmentationClassAug"):
        write(tmp_path / folder / "a.png", 0)
    with pytest.raises(UserError, match="both the mask of 'a'") as raised:
        open_dataset("folder", tmp_path, "all")
    line = str(raised.value).rpartition("such as ")[2].strip("'")
    (tmp_path / "train.txt").write_text(f"{line}\n")
    assert open_dataset("folder", tmp_path, "train").stem(0) == "a"


def test_what_cannot_be_told_is_refused_with_the_line_that_tells_it(tmp_path: Path) -> None:
    write(tmp_path / "A/s1.png", 9)
    write(tmp_path / "B/s1.png", 1)
    with pytest.raises(UserError, match="neither folders nor names nor extensions tell apart") as raised:
        open_dataset("folder", tmp_path, "all")
    line = str(raised.value).rpartition("such as ")[2].strip("'")
    (tmp_path / "train.txt").write_text(f"{line}\n")
    assert open_dataset("folder", tmp_path, "train").mask(0).max() == 0  # class "1", the first of one


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", ", ";"])
def test_a_list_of_pairs_may_hold_names_with_spaces(tmp_path: Path, separator: str) -> None:
    write(tmp_path / "x y/a b.png", 9)
    write(tmp_path / "z/a b.png", 1)
    (tmp_path / "train.txt").write_text(f"x y/a b.png{separator}z/a b.png\n")
    dataset = open_dataset("folder", tmp_path, "train")
    assert dataset.stem(0) == "a b"
    assert dataset.image(0).getpixel((0, 0)) == (9, 9, 9)


def test_a_split_without_masks_has_no_truth(tmp_path: Path) -> None:
    for place in ("train/images", "train/masks", "test/images"):
        write(tmp_path / place / "a.png", 0)
    assert open_dataset("folder", tmp_path, "train").labelled
    test, every = (open_dataset("folder", tmp_path, split) for split in ("test", "all"))
    assert not test.labelled
    assert every.labelled
    assert len(every) == 1


def test_linked_folders_are_entered(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        write(tmp_path / "elsewhere" / folder / "a.png", 0)
    root = tmp_path / "set"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "val").mkdir()
    for folder in ("images", "masks"):
        (root / "val" / folder).symlink_to(tmp_path / "elsewhere" / folder)
    (root / "val" / "again").symlink_to(root)  # a circle ends
    for split in ("train", "val"):
        assert len(open_dataset("folder", root, split)) == 1


def test_names_composed_otherwise_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "images" / "caf\u00e9.png", 0)  # one character: Linux
    write(tmp_path / "masks" / "cafe\u0301.png", 1)  # a letter and an accent: macOS
    (tmp_path / "train.txt").write_text("cafe\u0301\n", encoding="utf-8")
    (tmp_path / "val.txt").write_text("images/cafe\u0301.png masks/caf\u00e9.png\n", encoding="utf-8")
    assert open_dataset("folder", tmp_path, "train").mask(0).shape == (8, 8)
    (tmp_path / "train.txt").unlink()
    assert open_dataset("folder", tmp_path, "val").mask(0).shape == (8, 8)


def test_a_missing_split_says_how_to_go_on(tmp_path: Path) -> None:
    for folder in ("train/images", "train/masks"):
        write(tmp_path / folder / "a.png", 0)
    with pytest.raises(UserError, match=r"splits: train\).*val\.txt.*--split.*train_split or eval_split"):
        open_dataset("folder", tmp_path, "val")
