"""A folder of one's own: images and masks under the names that people and other tools commonly give them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctxbench.data.dataset import FileSet, Pair
from ctxbench.data.labels import label_layout
from ctxbench.data.paths import IMAGE_SUFFIXES, NotFoundError, lines_of, stem_of
from ctxbench.errors import UserError

SPLITS = ("train", "val", "test", "all")

_SPLIT = r"train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?"
_PLACE = re.compile(
    rf"(?P<split>{_SPLIT})?[-_]?"
    r"(?:(?P<image>images?|imgs?|img_?dir|jpegimages|input_images|leftimg8bit|images_prepped)"
    r"|(?P<mask>masks?|labels?|annot(?:ation)?s?|ann_?dir|gts?|gtfine|ground_?truth|segmentations?"
    r"|segmentationclass|semseg(?:-\w+)?|annotations_prepped))?"
    rf"[-_]?(?P<split_after>{_SPLIT})?(?:20\d\d)?"
)
"""What a folder's name tells: train, images, images_prepped_train, trainannot, val_segmentations, …"""
_OTHER = re.compile(
    r"\..*|colou?r_?maps?|pred(?:iction)?s?|segmentationobject|instances?|.*visuali[sz]ation"
    r"|.*_(?:labelIds|instanceIds|color)\.png"
)
"""Folders and files that hold neither images nor masks of classes."""
_ADDITION = re.compile(
    r"^(?:img|image|gt|mask|label)[-_](?=.)|(?<=.)_(?:leftImg8bit|gtFine_labelTrainIds|labelTrainIds"
    r"|instance_color_RGB|img|image|gt|masks?|labels?|seg)$"
)
"""What is added to a sample's name to tell its image from its mask."""


def open_folder(root: Path, split: str) -> FileSet:
    """Images and masks of one's own, paired by name.

    They lie in folders of the usual names (images, imgs, img_dir, JPEGImages, …; masks, labels, annotations,
    ann_dir, gts, SegmentationClass, …), above or below folders named for the splits, or with both in one name
    (train_images, trainannot). ``train.txt``, ``val.txt``, …, there or in ``splits`` or
    ``ImageSets/Segmentation``, may list the names of a split's samples; or an image's and a mask's path in
    each line, from ``root``, which settles any other arrangement. A listed name is looked for in the split's
    own folders, then in those of no split, then in all. The split "all" is every pair there is.
    Masks and classes: :func:`ctxbench.data.labels.label_layout`.

    Raises UserError where there is nothing of the kind, a sample has two masks, a listed name is that of
    several, or a mask is a JPEG.
    """
    by_split = _pairs_by_split(root)
    every = list(dict.fromkeys(pair for pairs in by_split.values() for pair in pairs))
    if split != "all" and split not in by_split:
        have = ", ".join(name for name in by_split if name) or "none: all pairs are one, named all"
        raise UserError(f"{root} has no split {split!r}: no {split}.txt, no folder named so (splits: {have})")
    pairs = every if split == "all" else by_split[split]
    masks = [pair.mask for pair in every if pair.mask and pair.mask.is_file()]
    return FileSet("folder", split, pairs, **label_layout(root, masks))


def _pairs_by_split(root: Path) -> dict[str, list[Pair]]:
    """The pairs of each split; under "all" where they are not divided."""
    places = (".", "splits", "ImageSets/Segmentation")
    files = ((name, root / place / f"{name}.txt") for place in reversed(places) for name in SPLITS)
    lists = {name: lines_of(path) for name, path in files if path.is_file()}
    if lists and all(_TWO_FILES.fullmatch(line) for lines in lists.values() for line in lines):
        return {name: [_listed(root, line) for line in lines] for name, lines in lists.items()}
    found = _find(root)
    if not lists:
        return found
    every = [pair for pairs in found.values() for pair in pairs]
    chosen: dict[str, list[Pair]] = {}
    for name, lines in lists.items():
        homes = [_by_name(pairs) for pairs in (found.get(name, []), found.get("all", []), every)]
        chosen[name] = [_named(stem_of(line), homes, f"{root}: {name}.txt") for line in lines]
    return chosen


def _by_name(pairs: Sequence[Pair]) -> Mapping[str, list[Pair]]:
    by_name = defaultdict(list)
    for pair in pairs:
        by_name[_bare(pair.stem)].append(pair)
    return by_name


def _named(stem: str, homes: Sequence[Mapping[str, list[Pair]]], listing: str) -> Pair:
    bare = _bare(stem)
    pairs = next((home[bare] for home in homes if bare in home), [])
    if not pairs:
        raise UserError(f"{listing} lists {stem!r}, for which there is neither image nor mask")
    if len(pairs) > 1:
        raise UserError(
            f"{listing} lists {stem!r}, which may be {pairs[0].image} or {pairs[1].image}: "
            "list the wanted image and mask, a pair in each line"
        )
    return pairs[0]


_FILE = rf"\S+(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})"
_TWO_FILES = re.compile(rf"({_FILE})\s+({_FILE})", re.IGNORECASE)


def _listed(root: Path, line: str) -> Pair:
    match = _TWO_FILES.fullmatch(line)
    if match is None:
        raise ValueError(line)
    image, mask = (_below(root, path) for path in match.groups())
    return Pair(image.stem, image, mask)


def _below(root: Path, path: str) -> Path:
    """A listed path from ``root``, without the folders above ``root`` that lists like SegNet's begin with."""
    parts = Path(path.lstrip("/")).parts
    places = [root.joinpath(*parts[start:]) for start in range(len(parts))]
    return next((place for place in places if place.is_file()), places[0])


def _find(root: Path) -> dict[str, list[Pair]]:
    """Pair the images and masks below ``root`` by split, folder and name, or else by split and name."""
    files = [
        _File.of(path, root) for path in sorted(root.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    masks = [file for file in files if file.role == "mask"]
    images = [file for file in files if file.role == "image"] or [
        file for file in files if file.role == "other"
    ]
    if not masks or not images:
        raise NotFoundError(
            f"looked for images in a folder such as {root}/images and masks in one such as {root}/masks, "
            f"found {len(images)} images and {len(masks)} masks"
        )
    with_folders = {file.key for file in images} & {file.key for file in masks}
    of_image, of_mask = (_by_key(kind, bool(with_folders)) for kind in (images, masks))
    names = Counter((key[0], key[-1]) for key in of_image)
    pairs: dict[str, list[Pair]] = {}
    for key in sorted(of_image.keys() | of_mask.keys()):
        image = of_image[key].path if key in of_image else images[0].path.with_stem(key[-1])
        mask = of_mask[key].path if key in of_mask else masks[0].path.with_stem(key[-1])
        stem = image.stem if names[key[0], key[-1]] < 2 else "_".join((*key[1:-1], image.stem))
        pairs.setdefault(key[0] or "all", []).append(Pair(stem, image, mask))
    return pairs


def _by_key(files: list[_File], with_folders: bool) -> dict[tuple[str, ...], _File]:
    by_key: dict[tuple[str, ...], _File] = {}
    for file in files:
        key = file.key if with_folders else (file.key[0], file.key[-1])
        if key in by_key:
            raise UserError(
                f"{by_key[key].path} and {file.path} are both the {file.role} of {key[-1]!r}: "
                "list the wanted image and mask, a pair in each line of train.txt and val.txt"
            )
        by_key[key] = file
    return by_key


@dataclass(frozen=True)
class _File:
    path: Path
    role: str
    key: tuple[str, ...]
    """Split ("" if none), folders that tell nothing, and bare name: what an image and its mask share."""

    @classmethod
    def of(cls, path: Path, root: Path) -> _File:
        folders = path.relative_to(root).parts[:-1]
        if any(_OTHER.fullmatch(part.lower()) for part in folders) or _OTHER.fullmatch(path.name):
            return cls(path, "none", ())
        told = {part: _PLACE.fullmatch(part.lower()) for part in folders}
        tells = [match for match in told.values() if match]
        split = next((s for match in tells if (s := match["split"] or match["split_after"])), "")
        role = (
            "mask"
            if any(m["mask"] for m in tells)
            else "image"
            if any(m["image"] for m in tells)
            else "other"
        )
        rest = (part for part, match in told.items() if not match)
        return cls(path, role, (_SPLIT_NAMES.get(split[:3], ""), *rest, _bare(path.stem)))


_SPLIT_NAMES = {"tra": "train", "val": "val", "tes": "test"}


def _bare(stem: str) -> str:
    bare = _ADDITION.sub("", stem)
    return str(int(bare)) if bare.isdecimal() else bare
