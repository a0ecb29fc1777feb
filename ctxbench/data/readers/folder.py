"""A folder of one's own: images and masks under the names that people and other tools commonly give them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctxbench.data.file_set import FileSet, Pair
from ctxbench.data.labels import label_layout
from ctxbench.data.paths import (
    IMAGE_SUFFIXES,
    NotFoundError,
    existing,
    images_below,
    lines_of,
    same_name,
    stem_of,
)
from ctxbench.data.readers.layout import find_pairs
from ctxbench.data.readers.words import bare
from ctxbench.errors import UserError

SPLITS = {
    "train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing"),
    "all": ("all",),
}  # fmt: skip
"""The splits, and the names of the files that list them."""
LIST_FOLDERS = (".", "splits", "split", "lists", "ImageSets/Segmentation", "ImageSets")
"""Where such files are looked for, the first that has one."""


def open_folder(root: Path, split: str) -> FileSet:
    """Images and masks of one's own, paired by name; docs/data.md lists the layouts.

    Which files are images and masks, and their splits: :mod:`ctxbench.data.readers.layout`. ``train.txt``,
    ``val.txt``, …, there or in one of ``LIST_FOLDERS``, may list the names of a split's samples; or an
    image's and a mask's path in each line, from ``root``, which settles any other arrangement. A listed name
    is looked for in the split's own folders, then in those of no split, then in all. The split "all" is
    every image with a mask. Masks and classes, the same for all splits: :mod:`ctxbench.data.labels`.

    Raises UserError where there is nothing of the kind, a sample has two masks, a listed name is that of
    several, or the meaning of the masks is open.
    """
    by_split = _pairs_by_split(root)
    every = list(dict.fromkeys(pair for pairs in by_split.values() for pair in pairs))
    if split != "all" and split not in by_split:
        have = ", ".join(by_split)
        raise UserError(
            f"{root} has no split {split!r}: no {split}.txt, no folder named so (splits: {have}); write "
            f"{root / f'{split}.txt'} with the name of an image in each line, or take another: --split, and "
            "train_split or eval_split in a training's settings"
        )
    pairs = [pair for pair in every if pair.mask] if split == "all" else by_split[split]
    masks = [pair.mask for pair in every if pair.mask and existing(pair.mask).is_file()]
    return FileSet("folder", split, pairs, **label_layout(root, masks))


def _pairs_by_split(root: Path) -> dict[str, list[Pair]]:
    """The pairs of each split; under "all" where they are not divided."""
    lists = {}
    for split, names in SPLITS.items():
        files = (root / folder / f"{name}{end}" for folder in LIST_FOLDERS for name in names for end in _ENDS)
        if path := next((path for path in files if path.is_file()), None):
            lists[split] = lines_of(path)
    if lists and all(_TWO_FILES.fullmatch(line) for lines in lists.values() for line in lines):
        return {split: [_listed(root, line) for line in lines] for split, lines in lists.items()}
    pairs = _find(root)
    if not lists:
        return pairs
    every = [pair for of_split in pairs.values() for pair in of_split]
    chosen: dict[str, list[Pair]] = {}
    for split, lines in lists.items():
        homes = [_by_stem(of_split) for of_split in (pairs.get(split, []), pairs.get("all", []), every)]
        chosen[split] = [_named(line, homes, f"{root}: {split}.txt") for line in lines]
    return chosen


_ENDS = (".txt", ".lst")


def _find(root: Path) -> dict[str, list[Pair]]:
    """The pairs below ``root`` by split. Raises NotFoundError where its files are not told apart."""
    paths = images_below(root)
    pairs, images, masks = find_pairs(root, paths)
    if pairs:
        return pairs
    looked = (
        f"looked for images in a folder such as {root}/images and masks in one such as {root}/masks, "
        f"found {images} images and {masks} masks"
    )
    if len(paths) < 2:
        raise NotFoundError(looked)
    first = paths[0].relative_to(root)
    other = next((path for path in paths if path.parent != paths[0].parent), paths[1]).relative_to(root)
    raise NotFoundError(
        f"{looked}, which neither folders nor names nor extensions tell apart: write "
        f"{root / 'train.txt'} with an image and its mask in each line, such as '{first} {other}'"
    )


def _by_stem(pairs: Sequence[Pair]) -> Mapping[str, list[Pair]]:
    by_stem = defaultdict(list)
    for pair in pairs:
        for name in {bare(pair.stem) or same_name(pair.stem), bare(pair.image.stem)}:
            by_stem[name].append(pair)
    return by_stem


def _named(line: str, homes: Sequence[Mapping[str, list[Pair]]], listing: str) -> Pair:
    """The pair that a line of a list means: by its name, and by its path where several have that."""
    stem = stem_of(line)
    name = bare(stem) or same_name(stem)
    pairs = next((home[name] for home in homes if name in home), [])
    if not pairs:
        raise UserError(f"{listing} lists {stem!r}, for which there is neither image nor mask")
    if len(pairs) > 1:
        tail = same_name(line.split()[0].lstrip("./"))
        pairs = [pair for pair in pairs if same_name(pair.image.as_posix()).endswith(f"/{tail}")] or pairs
    if len(pairs) > 1:
        raise UserError(
            f"{listing} lists {stem!r}, which may be {pairs[0].image} or {pairs[1].image}: "
            "list the wanted image and mask, a pair in each line"
        )
    return pairs[0]


_FILE = rf".+?(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES, key=len, reverse=True)))})"
_TWO_FILES = re.compile(rf"({_FILE})\s*[\s,;]\s*({_FILE})", re.IGNORECASE)


def _listed(root: Path, line: str) -> Pair:
    match = _TWO_FILES.fullmatch(line)
    if match is None:
        raise ValueError(line)
    image, mask = (_below(root, path) for path in match.groups())
    return Pair(image.stem, image, mask)


def _below(root: Path, path: str) -> Path:
    """A listed path from ``root``, without the folders above ``root`` that lists like SegNet's begin with."""
    if Path(path).is_file() and Path(path).is_absolute():
        return Path(path)
    parts = Path(path.replace("\\", "/").lstrip("/")).parts
    places = [existing(root.joinpath(*parts[start:])) for start in range(len(parts))]
    return next((place for place in places if place.is_file()), places[0])
