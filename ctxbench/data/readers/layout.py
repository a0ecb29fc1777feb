"""Which files of a folder are images, which are masks, and which belong together: one rule for all layouts.

A file's role is told by the first of these that yields both images and masks:

1. Folders: the nearest folder above it whose name has a word for images (``images``, ``JPEGImages``,
   ``img_dir``, ``original``, …) or for masks (``masks``, ``labels``, ``ann_dir``, ``gtFine``,
   ``SegmentationClassPNG``, …; these win in one name, as in ``label_images``). If no folder has a word for
   images, all that are no masks are images.
2. Names: a word for masks or images at a name's end or start (``a_mask``, ``a_GT``, ``a_segmentation``,
   ``a_labelIds``, ``gt_a``), or as all of it (``a/image.png``, ``a/label.png``). All that are no masks are
   images.
3. Extensions: of two files of one name, the JPEG is the image.

Any folder on the way may tell the split (``train``, ``val``, ``test``, also within a name: ``train_images``).
An image and a mask belong together if split, all other folders, and name without those words are equal; what
is left over, if split and name are; and then, if the name is, and is only once on each side, unless the two
are told to be of two splits.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctxbench.data.file_set import Pair
from ctxbench.data.paths import same_name
from ctxbench.data.readers.words import OTHER_NAME, Role, bare, of_folder, of_name
from ctxbench.errors import UserError

_LABEL_IDS = re.compile(r"(?P<name>.*)[-_]label(?P<train>_?train)?_?ids", re.IGNORECASE)
_LOSSY = frozenset({".jpg", ".jpeg", ".jfif"})

Key = tuple[str, ...]


@dataclass(frozen=True)
class File:
    """An image file, its role, and what it shares with its partner: split, other folders, bare name."""

    path: Path
    role: Role
    split: str
    folders: tuple[str, ...]
    name: str

    @property
    def stem(self) -> str:
        """The name of a sample: the file's, or the folder's where the file is only called "image"."""
        return self.path.stem if bare(self.path.stem) else self.path.parent.name


def find_pairs(root: Path, paths: Iterable[Path]) -> tuple[dict[str, list[Pair]], int, int]:
    """The samples of a folder by split, "all" where that is not told, and how many images and masks it has.

    No samples where no rule tells the roles. A sample without its mask or image has a path that does not
    exist, so that it is named as missing; in a split without any masks, the samples have none.
    Raises UserError where a file has two partners.
    """
    files = _without_raw_ids([_by_folder(path, root) for path in paths])
    images, masks = _by_role(files)
    counts = len(images), len(masks)
    if not (images and masks):
        named = [replace(file, role=of_name(file.path.stem)) for file in files]
        # cameras begin names with IMG_: beside such images there may be others
        images, masks = [[file for file in named if (file.role == "mask") is role] for role in (False, True)]
    if not (images and masks):
        images, masks = _by_extension(files)
    return (_pair(root, images, masks) if images and masks else {}), *counts


def _by_folder(path: Path, root: Path) -> File:
    """A file with the role that its folders tell."""
    role: Role = ""
    split, rest = "", []
    for name in reversed(path.relative_to(root).parts[:-1]):
        folder_role, folder_split = of_folder(name)
        role = "none" if folder_role == "none" else role or folder_role
        split = split or folder_split
        if not folder_role and not folder_split:
            rest.append(same_name(name))
    if OTHER_NAME.fullmatch(path.stem):
        role = "none"
    name = bare(path.stem) or (rest.pop(0) if rest else same_name(path.stem))
    return File(path, role, split, tuple(reversed(rest)), name)


def _without_raw_ids(files: Sequence[File]) -> list[File]:
    """Files that are images or masks; of Cityscapes' two numberings side by side, that for training."""
    ids = [(file, _LABEL_IDS.fullmatch(file.path.stem)) for file in files if file.role != "none"]
    training = {(file.path.parent, match["name"]) for file, match in ids if match and match["train"]}
    return [
        file
        for file, match in ids
        if not (match and not match["train"] and (file.path.parent, match["name"]) in training)
    ]


def _by_role(files: Sequence[File]) -> tuple[list[File], list[File]]:
    masks = [file for file in files if file.role == "mask"]
    images = [file for file in files if file.role == "image"]
    return images or [file for file in files if not file.role], masks


def _by_extension(files: Sequence[File]) -> tuple[list[File], list[File]]:
    images = [file for file in files if file.path.suffix.lower() in _LOSSY]
    names = {file.name for file in images}
    return images, [file for file in files if file.name in names and file.path.suffix.lower() not in _LOSSY]


_KEYS: tuple[Callable[[File], Key], ...] = (
    lambda file: (file.split, *file.folders, file.name),
    lambda file: (file.split, file.name),
    lambda file: (file.name,),
)
"""What an image and a mask have in common, tried in this order."""


def _pair(root: Path, images: Sequence[File], masks: Sequence[File]) -> dict[str, list[Pair]]:
    partners = _partners(root, images, masks)
    labelled = {image.split for image in images if image.path in partners}
    often = _grouped(images, lambda file: (file.split, file.stem))
    samples: dict[str, list[tuple[Key, Pair]]] = defaultdict(list)
    for image in images:
        mask = partners.get(image.path)
        stem = image.stem
        if len(often[image.split, stem]) > 1:
            stem = "_".join((*image.folders, stem))
        path = _missing(image, masks) if image.split in labelled else None
        split = image.split or (mask.split if mask else "")
        samples[split].append((_KEYS[0](image), Pair(stem, image.path, mask.path if mask else path)))
    for mask in masks:
        if mask.path not in partners:
            path = _missing(mask, images)
            samples[mask.split].append((_KEYS[0](mask), Pair(mask.name, path, mask.path)))
    return {
        split or "all": [pair for _, pair in sorted(pairs, key=lambda each: each[0])]
        for split, pairs in sorted(samples.items())
    }


def _missing(file: File, others: Sequence[File]) -> Path:
    """Where a file's partner would be, beside those of its split: a path at which there is nothing."""
    beside = next((other for other in others if other.split == file.split), others[0])
    path = beside.path.with_stem(file.name)
    return path.with_name(f"the other file of {file.path.name}") if os.path.lexists(path) else path


def _partners(root: Path, images: Sequence[File], masks: Sequence[File]) -> dict[Path, File]:
    """The mask of each image's path, and the image of each mask's. Raises UserError where there are two."""
    partners: dict[Path, File] = {}
    for key in _KEYS:
        free_images = _grouped((file for file in images if file.path not in partners), key)
        free_masks = _grouped((file for file in masks if file.path not in partners), key)
        for shared in sorted(free_images.keys() & free_masks.keys()):
            some_images, some_masks = free_images[shared], free_masks[shared]
            if len(some_images) == len(some_masks) == 1:
                (image,), (mask,) = some_images, some_masks
                if image.split == mask.split or not (image.split and mask.split):
                    partners[image.path], partners[mask.path] = mask, image
            elif key is not _KEYS[-1]:
                raise _two_partners(root, some_images, some_masks)
    return partners


def _grouped(files: Iterable[File], key: Callable[[File], Key]) -> dict[Key, list[File]]:
    groups = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return groups


def _two_partners(root: Path, images: Sequence[File], masks: Sequence[File]) -> UserError:
    several, role = (images, "image") if len(images) > 1 else (masks, "mask")
    line = f"{images[0].path.relative_to(root)} {masks[0].path.relative_to(root)}"
    return UserError(
        f"{several[0].path} and {several[1].path} are both the {role} of {several[0].name!r}: list the "
        f"wanted image and mask, a pair in each line of {root / 'train.txt'} and val.txt, such as '{line}'"
    )
