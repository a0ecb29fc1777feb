"""PASCAL VOC 2012 and its extension by SBD, in the layouts their authors distribute."""

import re
from pathlib import Path

from ctxbench.data.dataset import colormap
from ctxbench.data.file_set import FileSet, Pair
from ctxbench.data.paths import NotFoundError, first_of, read_list

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


def devkit(root: Path, year: str) -> Path:
    """The folder that holds JPEGImages, given it or a folder above it.

    Raises NotFoundError where there is none, or it bears the name of another year than ``year`` (VOC2012).
    """
    homes = (root, root / year, root / "VOCdevkit" / year)
    home = first_of(*(home / "JPEGImages" for home in homes)).parent
    name = home.absolute().name
    if name != year and re.fullmatch(r"VOC20\d\d", name):
        raise NotFoundError(f"looked for {year}, found {name}")
    return home


def open_voc12(root: Path, split: str) -> FileSet:
    """PASCAL VOC 2012 segmentation: train 1464, val 1449, trainval 2913; of test (1456) the images alone.

    Masks are palette PNGs: 0 background, 1..20 objects, 255 their borders, ignored.
    """
    home = devkit(root, "VOC2012")
    stems = read_list(home / "ImageSets" / "Segmentation" / f"{split}.txt")
    masks = {stem: None if split == "test" else home / "SegmentationClass" / f"{stem}.png" for stem in stems}
    return _voc("voc12", split, home, masks)


def open_voc12aug(root: Path, split: str) -> FileSet:
    """VOC 2012 with SBD's masks ("aug", 10582 for training); val is VOC's own.

    Either the PNGs many share as SegmentationClassAug, listed in ImageSets/Segmentation/trainaug.txt, or SBD
    as released (benchmark_RELEASE/dataset with train.txt, val.txt and cls/*.mat) beside VOC: then training
    takes SBD's two lists and VOC's train without VOC's val, and VOC's masks where there are such.
    """
    home = devkit(root, "VOC2012")
    sets = home / "ImageSets" / "Segmentation"
    if split == "val":
        masks = {stem: home / "SegmentationClass" / f"{stem}.png" for stem in read_list(sets / "val.txt")}
    elif (home / "SegmentationClassAug").is_dir():
        stems = read_list(first_of(sets / "trainaug.txt", sets / "train_aug.txt"))
        masks = {stem: home / "SegmentationClassAug" / f"{stem}.png" for stem in stems}
    else:
        names = ("benchmark_RELEASE/dataset", "SBD", "sbd")
        places = [
            above / name / "cls" for above in dict.fromkeys((root, *home.parents[:2])) for name in names
        ]
        try:
            sbd = first_of(*places).parent
        except NotFoundError as error:
            raise NotFoundError(f"{error} and {home / 'SegmentationClassAug'}") from None
        fine = {*read_list(sets / "train.txt")}
        stems = sorted(
            fine.union(read_list(sbd / "train.txt"), read_list(sbd / "val.txt"))
            - {*read_list(sets / "val.txt")}
        )
        masks = {
            stem: home / "SegmentationClass" / f"{stem}.png" if stem in fine else sbd / "cls" / f"{stem}.mat"
            for stem in stems
        }
    return _voc("voc12aug", split, home, masks)


def _voc(name: str, split: str, home: Path, masks: dict[str, Path | None] | dict[str, Path]) -> FileSet:
    pairs = [Pair(stem, home / "JPEGImages" / f"{stem}.jpg", mask) for stem, mask in masks.items()]
    return FileSet(name, split, pairs, CLASSES, palette=colormap(len(CLASSES)))
