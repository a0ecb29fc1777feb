"""COCO for pre-training: its 20 classes that PASCAL VOC has, everything else background.

In the shape comments: H and W are the height and width of a picture.
"""

from __future__ import annotations

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
from ctxbench.typed import json_value

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
    """COCO's pictures with VOC's classes; each subclass decodes one form of masks."""

    def __init__(self, split: str, pairs: Sequence[Pair]) -> None:
        super().__init__("coco", split, pairs, CLASSES, palette=colormap(len(CLASSES)))

    def mask_values(self) -> list[str]:
        """Nothing: the files hold COCO's categories or segments."""
        return [""] * (len(self.classes) + 1)


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
        """The mask as its file has it (H×W). Raises LabelRangeError for a segment no annotation lists."""
        path, segments = self.mask_path(index), self.segments[index]
        values = read_labels(path).astype(np.uint32)
        if values.ndim == 3:
            values = values @ np.array([1, 1 << 8, 1 << 16], np.uint32)  # (H, W)
        numbers, places = np.unique(values, return_inverse=True)
        labels = [IGNORE if number == 0 else segments.get(int(number), -1) for number in numbers]
        if -1 in labels:
            raise LabelRangeError(f"{path}: segment {numbers[labels.index(-1)]} is not in its annotation")
        return np.array(labels, np.uint8)[places].reshape(values.shape)  # (H, W)


class InstanceSet(CocoSet):
    """Masks are drawn from the polygons and run lengths of an instances file, smaller objects last.

    ``pictures`` holds for each picture its height, its width, and its segments.
    """

    def __init__(self, split: str, pairs: Sequence[Pair], pictures: Sequence[Picture]) -> None:
        super().__init__(split, pairs)
        self.pictures = pictures

    def truth(self, index: int) -> Labels:
        """The mask drawn (H×W). Raises UnreadableFileError where an annotation is damaged."""
        height, width, segments = self.pictures[index]
        labels = np.zeros((height, width), np.uint8)  # (H, W)
        for segment in sorted(segments, key=lambda segment: -segment.area):
            try:
                if isinstance(segment.shape, list):
                    labels[polygon_mask(segment.shape, height, width)] = segment.label
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
        """The mask as its file has it (H×W), every category that VOC has not as background.

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
        classes = [TO_VOC.get(category, 0) for category in range(first, last + 1)]
        table = np.full(1 << 16, -1, np.int16)
        table[: len(classes)] = classes
        table[unlabeled] = IGNORE
        labels = table[values]  # (H, W)
        if (stray := labels < 0).any():
            raise LabelRangeError(
                f"{path}: label {values[stray][0]} is no category of COCO: "
                f"0 to {len(classes) - 1}, and {unlabeled} unlabeled"
            )
        return labels.astype(np.uint8)


def polygon_mask(polygons: Sequence[NDArray[np.float64]], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels (H×W) of an object outlined by polygons, each x, y, x, y, … from the picture's corner.

    COCO's own raster (pycocotools), which is not that of pixel centres: it enlarges outlines a little.
    Raises ValueError where a polygon has fewer than three corners, or one far outside the picture.
    """
    from pycocotools import mask

    for corners in polygons:
        if len(corners) < 6 or len(corners) % 2:  # pycocotools takes four numbers for a box
            raise ValueError(f"a polygon has {len(corners)} numbers, not a pair for each of three corners")
        # its raster walks along every edge, so that a huge number would take for ever
        if not np.isfinite(corners).all() or np.abs(corners).max() > 4 * max(height, width) + 100:
            raise ValueError(f"a polygon reaches far beyond {height}x{width}")
    runs = mask.merge(mask.frPyObjects([corners.tolist() for corners in polygons], height, width))
    return run_length_mask(runs["counts"].decode("ascii"), height, width)


def _require_pycocotools(path: Path) -> None:
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        raise UserError(
            f"{path} outlines objects by polygons, which COCO's own code draws: pip install 'ctxbench[coco]' "
            "(pycocotools)"
        ) from None


def run_length_mask(counts: Sequence[int] | str, height: int, width: int) -> NDArray[np.bool_]:
    """COCO's run lengths as a mask (H×W): alternately pixels outside and inside, column by column.

    ``counts`` are numbers or COCO's text of them: six bits a character from "0" on, the lowest five bits of
    the number first, the sixth set where more follow; from the third on, differences to the last but one.
    Raises ValueError where they do not add up to the mask's size (pycocotools would fill the rest with what
    is in memory there).
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
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # (W·H,), down the columns
    return inside.reshape(width, height).T  # (H, W)


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
    masks = first_of(*panoptic, *instances, *maps)
    if masks in panoptic:
        return _panoptic(masks, images, split)
    if masks in instances:
        return _instances(masks, images, split)
    paths = sorted(path for path in masks.glob("*.png") if not path.stem.endswith("TrainIds"))
    pairs = [Pair(path.stem, images / f"{path.stem}.jpg", path) for path in paths]
    return PixelMapSet(split, pairs)


def _panoptic(path: Path, images: Path, split: str) -> PanopticSet:
    pairs, segments = [], []
    folder = first_of(path.with_suffix(""))  # distributed as a zip within the zip of the annotations
    with _annotations(path) as content:
        names = {image["id"]: image["file_name"] for image in content.get("images", ())}
        for picture in content["annotations"]:
            mask = folder / picture["file_name"]
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
    polygons = False
    with _annotations(path) as content:
        pictures: dict[int, Picture] = {
            image["id"]: (int(image["height"]), int(image["width"]), []) for image in content["images"]
        }
        for annotation in content["annotations"]:
            if label := TO_VOC.get(int(annotation["category_id"])):
                shape = annotation["segmentation"]
                if isinstance(shape, list):  # as arrays they take a fifth of the memory
                    polygons = True
                    shape = [np.array(polygon, np.float64) for polygon in shape]
                pictures[annotation["image_id"]][2].append(Segment(label, float(annotation["area"]), shape))
        files = (images / image["file_name"] for image in content["images"])
        pairs = [Pair(file.stem, file, path) for file in files]
    if polygons:
        _require_pycocotools(path)
    return InstanceSet(split, pairs, list(pictures.values()))


@contextmanager
def _annotations(path: Path) -> Iterator[Any]:
    """The content of an annotation file; an error while it is taken apart is the file's."""
    try:
        yield json_value(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no annotation file of COCO: {in_one_line(error)}") from error
