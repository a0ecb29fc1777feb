"""COCO for pre-training: its 20 classes that PASCAL VOC has, everything else background."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctxbench.data.dataset import IGNORE, Labels, colormap
from ctxbench.data.file_set import FileSet, Pair
from ctxbench.data.paths import first_of
from ctxbench.data.readers.voc import CLASSES
from ctxbench.data.reading import LabelRangeError, UnreadableFileError, open_picture, read_labels
from ctxbench.errors import UserError, in_one_line

VOC_OF_COCO = {
    5: "aeroplane", 2: "bicycle", 16: "bird", 9: "boat", 44: "bottle", 6: "bus", 3: "car", 17: "cat",
    62: "chair", 21: "cow", 67: "diningtable", 18: "dog", 19: "horse", 4: "motorbike", 1: "person",
    64: "pottedplant", 20: "sheep", 63: "sofa", 7: "train", 72: "tvmonitor",
}  # fmt: skip
"""COCO's category numbers of VOC's classes."""

TO_VOC = {number: CLASSES.index(name) for number, name in VOC_OF_COCO.items()}

STUFF = 182
"""The last category number of COCO-Stuff."""
PANOPTIC = 200
"""The last category number of COCO's panoptic task."""


class CocoSet(FileSet):
    """COCO's pictures with VOC's classes; how the masks are told, its subclasses know."""

    def __init__(self, split: str, pairs: Sequence[Pair]) -> None:
        super().__init__("coco", split, pairs, CLASSES, palette=colormap(len(CLASSES)))


class Segment(NamedTuple):
    """One object of a picture: its VOC class, its area, and its polygons or run lengths."""

    label: int
    area: float
    shape: Any


Picture = tuple[int, int, list[Segment]]


class PanopticSet(CocoSet):
    """Masks are panoptic PNGs whose colours, red + 256 green + 65536 blue, number segments; 0 is unlabeled.

    ``segments`` holds the VOC class of each segment, for each picture.
    """

    def __init__(self, split: str, pairs: Sequence[Pair], segments: Sequence[Mapping[int, int]]) -> None:
        super().__init__(split, pairs)
        self.segments = segments

    def truth(self, index: int) -> Labels:
        """The mask as its file has it. Raises LabelRangeError for a segment the annotation does not list."""
        path, segments = self.mask_path(index), self.segments[index]
        values = read_labels(path).astype(np.uint32)
        if values.ndim == 3:
            values = values @ np.array([1, 1 << 8, 1 << 16], np.uint32)
        found, where = np.unique(values, return_inverse=True)
        labels = [IGNORE if number == 0 else segments.get(int(number), -1) for number in found]
        if -1 in labels:
            raise LabelRangeError(f"{path}: segment {found[labels.index(-1)]} is not in its annotation")
        return np.array(labels, np.uint8)[where].reshape(values.shape)


class InstanceSet(CocoSet):
    """Masks are drawn from the polygons and run lengths of an instances file, smaller objects last.

    ``pictures`` holds for each picture its height, its width, and its segments.
    """

    def __init__(self, split: str, pairs: Sequence[Pair], pictures: Sequence[Picture]) -> None:
        super().__init__(split, pairs)
        self.pictures = pictures

    def truth(self, index: int) -> Labels:
        """The mask drawn. Raises UnreadableFileError where an annotation is damaged."""
        height, width, segments = self.pictures[index]
        labels = np.zeros((height, width), np.uint8)
        for segment in sorted(segments, key=lambda segment: -segment.area):
            try:
                if isinstance(segment.shape, list):
                    for polygon in segment.shape:
                        labels[polygon_mask(polygon, height, width)] = segment.label
                else:
                    labels[run_length_mask(segment.shape["counts"], height, width)] = segment.label
            except (ValueError, KeyError, TypeError, IndexError) as error:
                what = f"{self.mask_path(index)}: an object of {self.stem(index)} cannot be drawn"
                raise UnreadableFileError(f"{what}: {in_one_line(error)}") from error
        return labels


class PixelMapSet(CocoSet):
    """Masks are COCO-Stuff's stuffthingmaps: grey PNGs of category numbers less 1, 255 unlabeled.

    Or panopticapi's two-channel PNGs: category numbers in red, 0 unlabeled.
    """

    def truth(self, index: int) -> Labels:
        """The mask as its file has it, every category that VOC has not as background.

        Raises LabelRangeError for a value that is no category, UnreadableFileError for grey with alpha.
        """
        path = self.mask_path(index)
        with open_picture(path) as picture:
            if picture.mode == "LA":
                raise UnreadableFileError(f"{path} is grey with alpha: save it grey, or in colours")
        values = read_labels(path)
        first, last, unlabeled = 1, STUFF, 255
        if values.ndim == 3:
            values, first, last, unlabeled = values[..., 0], 0, PANOPTIC, 0
        known = [TO_VOC.get(category, 0) for category in range(first, last + 1)]
        table = np.full(1 << 16, -1, np.int16)
        table[: len(known)] = known
        table[unlabeled] = IGNORE
        labels = table[values]
        if (stray := labels < 0).any():
            raise LabelRangeError(
                f"{path}: label {values[stray][0]} is no category of COCO: "
                f"0 to {len(known) - 1}, and {unlabeled} unlabeled"
            )
        return labels.astype(np.uint8)


def polygon_mask(corners: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels, H×W, whose centres lie in a polygon, given as x, y, x, y, … from the picture's corner.

    A pixel is inside where an odd number of edges lie to its left. Raises ValueError where ``corners`` are no
    pairs.
    """
    x, y = corners.reshape(-1, 2).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    centres = np.arange(height)[:, None] + 0.5
    row, edge = ((y <= centres) != (next_y <= centres)).nonzero()
    along = (row + 0.5 - y[edge]) / (next_y - y)[edge]
    column = np.ceil(x[edge] + along * (next_x - x)[edge] - 0.5).clip(0, width).astype(int)
    edges = np.zeros((height, width + 1), np.int32)
    np.add.at(edges, (row, column), 1)
    inside: NDArray[np.bool_] = edges.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def run_length_mask(counts: Sequence[int] | str, height: int, width: int) -> NDArray[np.bool_]:
    """COCO's run lengths as a mask, H×W: alternately pixels outside and inside, column by column.

    ``counts`` are numbers or COCO's text of them: six bits a character from "0" on, the lowest five bits of
    the number first, the sixth set where more follow; from the third on, differences to the last but one.
    Raises ValueError where they do not add up to the mask's size.
    """
    runs: list[int] = []
    if isinstance(counts, str):
        number = shift = 0
        for character in counts:
            bits = ord(character) - 48
            number |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                number -= (bits & 16) << (shift - 4)
                runs.append(number + (runs[-2] if len(runs) > 2 else 0))
                number = shift = 0
    else:
        runs = list(counts)
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"run lengths add up to {sum(runs)}, not to {height}x{width}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def open_coco(root: Path, split: str) -> FileSet:
    """COCO 2017 (or 2014) with VOC's classes: train 118287, val 5000 images.

    Masks are, the first that is there: ``annotations/panoptic_train2017.json`` with its folder of PNGs;
    ``annotations/instances_train2017.json``; COCO-Stuff's ``stuffthingmaps/train2017/*.png``. Images lie in
    ``train2017`` or ``images/train2017``. Unlabeled pixels of the first and last are ignored; instances have
    none, all that is no object is background.
    """
    names = (f"{split}2017", f"{split}2014", split)
    images = first_of(*(home / name for name in names for home in (root / "images", root)))
    homes = [(home, name) for name in names for home in (root / "annotations", root)]
    panoptic = [home / f"panoptic_{name}.json" for home, name in homes]
    instances = [home / f"instances_{name}.json" for home, name in homes]
    maps = [root / kind / name for kind in ("stuffthingmaps", "annotations") for name in names]
    found = first_of(*panoptic, *instances, *maps)
    if found in panoptic:
        return _panoptic(found, images, split)
    if found in instances:
        return _instances(found, images, split)
    paths = sorted(path for path in found.glob("*.png") if not path.stem.endswith("TrainIds"))
    pairs = [Pair(path.stem, images / f"{path.stem}.jpg", path) for path in paths]
    return PixelMapSet(split, pairs)


def _panoptic(path: Path, images: Path, split: str) -> PanopticSet:
    pairs, segments = [], []
    with _annotations(path) as content:
        names = {image["id"]: image["file_name"] for image in content.get("images", ())}
        for picture in content["annotations"]:
            mask = path.with_suffix("") / picture["file_name"]
            image = images / names.get(picture["image_id"], f"{mask.stem}.jpg")
            pairs.append(Pair(image.stem, image, mask))
            segments.append(
                {
                    int(part["id"]): TO_VOC.get(int(part["category_id"]), 0)
                    for part in picture["segments_info"]
                }
            )
    return PanopticSet(split, pairs, segments)


def _instances(path: Path, images: Path, split: str) -> InstanceSet:
    with _annotations(path) as content:
        pictures: dict[int, Picture] = {
            image["id"]: (int(image["height"]), int(image["width"]), []) for image in content["images"]
        }
        for one in content["annotations"]:
            if label := TO_VOC.get(int(one["category_id"])):
                shape = one["segmentation"]
                if isinstance(shape, list):  # as arrays they take a tenth of the memory
                    shape = [np.array(polygon, np.float32) for polygon in shape]
                pictures[one["image_id"]][2].append(Segment(label, float(one["area"]), shape))
        files = (images / image["file_name"] for image in content["images"])
        pairs = [Pair(file.stem, file, path) for file in files]
    return InstanceSet(split, pairs, list(pictures.values()))


@contextmanager
def _annotations(path: Path) -> Iterator[Any]:
    """The content of an annotation file; an error while it is taken apart is the file's."""
    try:
        yield json.loads(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no annotation file of COCO: {in_one_line(error)}") from error
