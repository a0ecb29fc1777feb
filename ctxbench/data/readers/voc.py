"""PASCAL VOC 2012 and its extension by SBD, in the layouts their authors distribute."""

import re
from collections.abc import Collection
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

    Either PNGs as SegmentationClassAug, listed in ImageSets/Segmentation/trainaug.txt (or in aug.txt, without
    VOC's own), as many share them and as mmsegmentation's converter leaves them; or SBD as released
    (benchmark_RELEASE/dataset or VOCaug/dataset with train.txt, val.txt and cls/*.mat) beside VOC: then
    training takes SBD's two lists and VOC's train without VOC's val. VOC's own masks are read where there are
    such: they are finer, and the converter makes no others of images that SBD lacks.
    """
    home = devkit(root, "VOC2012")
    sets = home / "ImageSets" / "Segmentation"
    if split == "val":
        masks = {stem: home / "SegmentationClass" / f"{stem}.png" for stem in read_list(sets / "val.txt")}
    elif (home / "SegmentationClassAug").is_dir():
        own = {*read_list(sets / "train.txt")}
        listed = first_of(*(sets / f"{name}.txt" for name in ("trainaug", "train_aug", "aug")))
        stems = read_list(listed)
        if listed.stem == "aug":
            stems = [*sorted(own), *(stem for stem in stems if stem not in own)]
        masks = {stem: _finest(home, stem, own) for stem in stems}
    else:
        masks = _with_sbd(root, home, sets)
    return _voc("voc12aug", split, home, masks)


def _finest(home: Path, stem: str, own: Collection[str]) -> Path:
    mask = home / "SegmentationClass" / f"{stem}.png"
    return mask if stem in own and mask.is_file() else home / "SegmentationClassAug" / f"{stem}.png"


def _with_sbd(root: Path, home: Path, sets: Path) -> dict[str, Path]:
    """The masks to train on, with SBD as it was released."""
    names = ("benchmark_RELEASE/dataset", "VOCaug/dataset", "SBD", "sbd")
    places = [above / name / "cls" for above in dict.fromkeys((root, *home.parents[:2])) for name in names]
    try:
        sbd = first_of(*places).parent
    except NotFoundError as error:
        raise NotFoundError(f"{error} and {home / 'SegmentationClassAug'}") from None
    own = {*read_list(sets / "train.txt")}
    listed = own.union(read_list(sbd / "train.txt"), read_list(sbd / "val.txt"))
    return {
        stem: home / "SegmentationClass" / f"{stem}.png" if stem in own else sbd / "cls" / f"{stem}.mat"
        for stem in sorted(listed - {*read_list(sets / "val.txt")})
    }


def _voc(name: str, split: str, home: Path, masks: dict[str, Path | None] | dict[str, Path]) -> FileSet:
    pairs = [Pair(stem, home / "JPEGImages" / f"{stem}.jpg", mask) for stem, mask in masks.items()]
    return FileSet(name, split, pairs, CLASSES, palette=colormap(len(CLASSES)))
