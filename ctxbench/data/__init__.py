"""Data sets for semantic segmentation, each read in the layout its authors distribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

from ctxbench.data.dataset import IGNORE, SegmentationSet
from ctxbench.data.paths import NotFoundError
from ctxbench.data.readers.ade20k import open_ade20k
from ctxbench.data.readers.ade20k_full import open_ade20k_full
from ctxbench.data.readers.coco import open_coco
from ctxbench.data.readers.coco_stuff import open_coco_stuff
from ctxbench.data.readers.folder import open_folder
from ctxbench.data.readers.pascal_context import open_pascal_context, open_pascal_context59
from ctxbench.data.readers.sift_flow import open_sift_flow
from ctxbench.data.readers.voc import open_voc12, open_voc12aug
from ctxbench.errors import UserError, in_one_line

__all__ = ["DATASETS", "IGNORE", "DatasetInfo", "SegmentationSet", "classes59", "open_dataset"]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without opening it.

    ``source`` says where to get it, "" where it is generated or one's own; ``counts`` how many samples the
    authors' splits have, in that ``edition`` where several are read. ``reported_share`` is what papers
    multiply the mean IoU of these classes by before they print it, and ``reported_as`` says when.
    """

    name: str
    title: str
    source: str
    splits: tuple[str, ...]
    train_split: str
    eval_split: str
    read: Callable[[Path, str], SegmentationSet]
    counts: Mapping[str, int] = field(default_factory=dict)
    edition: str = ""
    reported_share: Fraction = Fraction(1)
    reported_as: str = ""


def _synthetic(root: Path, split: str) -> SegmentationSet:
    from ctxbench.data.readers.synthetic import synthetic

    return synthetic(split)


VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
CONTEXT = (
    "https://cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz, over the images of "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar"
)

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            "voc12", "PASCAL VOC 2012", VOC, ("train", "val", "trainval", "test"), "train", "val", open_voc12,
            {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456},
        ),
        DatasetInfo(
            "voc12aug", "PASCAL VOC 2012 with SBD's masks",
            f"{VOC} and SBD from http://home.bharathh.info/pubs/codes/SBD/download.html",
            ("train", "val"), "train", "val", open_voc12aug, {"train": 10582, "val": 1449},
        ),
        DatasetInfo(
            "pascal_context", "PASCAL-Context, 59 classes and background", CONTEXT,
            ("train", "val"), "train", "val", open_pascal_context, {"train": 4998, "val": 5105},
        ),
        DatasetInfo(
            "pascal_context59", "PASCAL-Context, 59 classes", CONTEXT,
            ("train", "val"), "train", "val", open_pascal_context59, {"train": 4998, "val": 5105},
            reported_share=Fraction(59, 60),
            reported_as="as 60 classes by PyTorch-Encoding (issue 179) and the papers on it: the background "
            "counts in the mean, with an IoU of 0, and is not predicted",
        ),
        DatasetInfo(
            "coco_stuff", "COCO-Stuff 10k",
            "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/cocostuff-10k-v1.1.zip",
            ("train", "test"), "train", "test", open_coco_stuff, {"train": 9000, "test": 1000},
        ),
        DatasetInfo(
            "ade20k", "ADE20K scene parsing",
            "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
            ("train", "val"), "train", "val", open_ade20k, {"train": 20210, "val": 2000},
        ),
        DatasetInfo(
            "ade20k_full", "ADE20K in full (a part of up to 255 classes)",
            "https://ade20k.csail.mit.edu (registration)", ("train", "val"), "train", "val", open_ade20k_full,
        ),
        DatasetInfo(
            "sift_flow", "SIFT-Flow",
            "http://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip",
            ("train", "test"), "train", "test", open_sift_flow, {"train": 2488, "test": 200},
        ),
        DatasetInfo(
            "coco", "COCO with VOC's classes",
            "https://cocodataset.org/#download (train2017.zip, val2017.zip, and annotations_trainval2017.zip "
            "or panoptic_annotations_trainval2017.zip)",
            ("train", "val"), "train", "val", open_coco, {"train": 118287, "val": 5000}, "2017",
        ),
        DatasetInfo(
            "folder", "Images and masks of one's own", "",
            ("train", "val", "test", "all"), "train", "val", open_folder,
        ),
        DatasetInfo(
            "synthetic", "Generated: texture is ambiguous, far context tells", "",
            ("train", "val"), "train", "val", _synthetic,
        ),
    )
}  # fmt: skip


def classes59(name: str) -> str:
    """The name of PASCAL-Context without its background. Raises UserError for any other data set."""
    if name not in ("pascal_context", "pascal_context59"):
        raise UserError(f"59 classes are PASCAL-Context's, without its background; the data set is {name}")
    return "pascal_context59"


def open_dataset(name: str, root: Path | None, split: str | None = None) -> SegmentationSet:
    """Open a data set of ``DATASETS``; ``split`` defaults to the one to train on.

    Raises UserError where the name or the split is unknown, no ``root`` is given for a set that lies in
    files, or one for the generated set, or it is not there: what was looked for, and where to get it. Of a
    folder of one's own also where the meaning of its masks is open: :mod:`ctxbench.data.labels`.
    """
    info = DATASETS.get(name)
    if info is None:
        near = get_close_matches(name, DATASETS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(DATASETS)}"
        raise UserError(f"no data set named {name!r}; {hint}")
    split = split or info.train_split
    if split not in info.splits:
        raise UserError(f"{name} has no split {split!r}; its splits: {', '.join(info.splits)}")
    where = f"; get it from {info.source}" if info.source else ""
    if root is None and name != "synthetic":
        raise UserError(f"{name} needs the folder it lies in{where}")
    if root is not None and name == "synthetic":
        raise UserError(
            f"synthetic is generated and lies in no folder: leave {root} out, or name the data set it holds"
        )
    try:
        dataset = info.read(root or Path(), split)
    except NotFoundError as error:
        raise UserError(f"no {info.title} in {root}: {error}{where}") from error
    except OSError as error:  # a path too long, a folder that may not be read
        raise UserError(f"{root} cannot be read: {in_one_line(error)}") from error
    if not len(dataset):
        raise UserError(f"{name} in {root} has no samples in its split {split}")
    return dataset
