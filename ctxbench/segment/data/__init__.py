"""Data sets for semantic segmentation, each read in the layout its authors distribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.segment.data.dataset import IGNORE, NotFoundError, SegmentationSet
from ctxbench.segment.data.folder import folder
from ctxbench.segment.data.voc import voc12, voc12aug

__all__ = ["DATASETS", "IGNORE", "DatasetInfo", "SegmentationSet", "open_dataset"]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without opening it.

    ``source`` says where to get it, "" where it is generated; ``counts`` how many samples the authors' splits
    have.
    """

    name: str
    title: str
    source: str
    splits: tuple[str, ...]
    train_split: str
    eval_split: str
    read: Callable[[Path, str], SegmentationSet]
    counts: Mapping[str, int] = field(default_factory=dict)


def _synthetic(root: Path, split: str) -> SegmentationSet:
    from ctxbench.segment.data.synthetic import synthetic

    return synthetic(split)


VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            "voc12", "PASCAL VOC 2012", VOC, ("train", "val", "trainval", "test"), "train", "val", voc12,
            {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456},
        ),
        DatasetInfo(
            "voc12aug", "PASCAL VOC 2012 with SBD's masks",
            f"{VOC} and SBD from http://home.bharathh.info/pubs/codes/SBD/download.html",
            ("train", "val"), "train", "val", voc12aug, {"train": 10582, "val": 1449},
        ),
        DatasetInfo(
            "folder", "Images and masks of one's own", "images and masks of your own",
            ("train", "val", "test", "all"), "train", "val", folder,
        ),
    )
}  # fmt: skip


def open_dataset(name: str, root: Path | None, split: str | None = None) -> SegmentationSet:
    """Open a data set of ``DATASETS``; ``split`` defaults to the one to train on.

    Raises UserError where the name or the split is unknown, no ``root`` is given for a set that lies in
    files, or it is not there: what was looked for, and where to get it.
    """
    info = DATASETS.get(name)
    if info is None:
        near = get_close_matches(name, DATASETS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(DATASETS)}"
        raise UserError(f"no data set named {name!r}; {hint}")
    split = split or info.train_split
    if split not in info.splits:
        raise UserError(f"{name} has no split {split!r}; its splits: {', '.join(info.splits)}")
    if root is None and name != "synthetic":
        raise UserError(f"{name} needs the folder it lies in; get it from {info.source}")
    try:
        return info.read(root or Path(), split)
    except NotFoundError as error:
        raise UserError(f"no {info.title} in {root}: {error}; get it from {info.source}") from error
