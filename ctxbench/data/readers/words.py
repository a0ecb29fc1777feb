"""The words in the names of folders and files that tell images, masks and splits."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from ctxbench.data.paths import same_name

Role = Literal["image", "mask", "none", ""]
"""What a name tells of a file; "none": that it is neither, "": nothing."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SPLITS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test", "te": "test",
}  # fmt: skip
"""Words for the splits. The short ones count only beside a word for images or masks."""
IMAGE_WORDS = _set(
    "image images img imgs im img8bit picture pictures pic pics photo photos input inputs original originals"
    " orig source src sat satellite rgb frame frames"
)
MASK_WORDS = _set(
    "mask masks msk msks label labels labeled labelled lbl lbls labelids labeltrainids annot annots"
    " anno annos ann anns annotation annotations annotated gt gts groundtruth truth seg segs segm"
    " segmentation segmentations semseg semantic target targets trimap trimaps matte mattes"
)
OTHER_WORDS = _set(
    "pred preds prediction predictions predicted vis viz visual visualization visualisation visualizations"
    " visualisations overlay overlays instance instances instanceids object objects colormap colormaps"
    " colourmap colourmaps depth disparity normals human panoptic bbox bboxes superpixels"
)
"""Words for what is made of images and masks, or lies beside them, and is neither."""
COLOUR_WORDS = _set("color colors colour colours colored coloured rgb")
"""Beside a word for masks: the masks in colours, for people to look at."""
PLAIN_WORDS = _set(
    "png jpg jpeg tif tiff bmp gif dir folder folders prepped resized class classes fine coarse aug raw full"
    " final all set data dataset new k x v left right"
)
"""Words that may stand beside the others and tell nothing."""

_AT_END = re.compile(
    r"(?<=.)[-_. ](?:"
    r"(?P<mask>gt_?fine|gt_?coarse|instance_color_RGB|label_?(?:train_?)?ids?|masks?|msk|labels?|lbl|gts?"
    r"|ground_?truth|segmentations?|segm?s?|annotations?|annots?|annos?|ann|manual\d?|mattes?|targets?|(?-i:L))"
    r"|(?P<image>sat|images?|imgs?|im|leftImg8bit|rgb|photo|orig|original|input))$",
    re.IGNORECASE,
)
_AT_START = re.compile(
    r"^(?:(?P<mask>gt|masks?|labels?|seg|lbl|msk)|(?P<image>img|image|sat|im))[-_ ](?=.)", re.IGNORECASE
)
OTHER_NAME = re.compile(
    r".*[-_](?:(?<!instance_)color|colour|instance_?ids|pred|prediction|viz|vis|overlay|polygons)$",
    re.IGNORECASE,
)
"""Names of files that are neither images nor masks."""


@lru_cache(maxsize=4096)
def of_folder(name: str) -> tuple[Role, str]:
    """The role and the split that a folder's name tells."""
    words = _words(name)
    if OTHER_WORDS.intersection(words):
        return "none", ""
    role: Role = ""
    if MASK_WORDS.intersection(words):
        role = "none" if COLOUR_WORDS.intersection(words) else "mask"
    elif IMAGE_WORDS.intersection(words):
        role = "image"
    split = next((SPLITS[word] for word in words if word in SPLITS), "")
    only_splits = ({*SPLITS} | PLAIN_WORDS).issuperset(words)
    if not role and (not only_splits or words in (("tr",), ("te",))):
        split = ""  # "test tube", "train station"
    return role, split


def _words(name: str) -> tuple[str, ...]:
    """The words of a name: of "JPEGImages", "train_images2017", "Ground Truth", "trainannot"."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    name = re.sub(r"ground[\W_]*truth", "groundtruth", name.lower())
    words: list[str] = []
    for part in re.split(r"[\W_]+", name):
        word = part if part in IMAGE_WORDS else re.sub(r"^\d+|\d+$", "", part)
        glued = re.fullmatch(r"(training|train|validation|valid|val|testing|test)(\w+)", word)
        if glued and glued[2] in IMAGE_WORDS | MASK_WORDS:
            words += glued.groups()
        elif word:
            words.append(word)
    return tuple(words)


def of_name(stem: str) -> Role:
    """The role that a file's name without its suffix tells."""
    if match := _AT_END.search(stem) or _AT_START.search(stem):
        return "mask" if match["mask"] else "image"
    if stem.lower() in MASK_WORDS:
        return "mask"
    return "image" if stem.lower() in IMAGE_WORDS else ""


def bare(stem: str) -> str:
    """A name without the words that tell images from masks; "" if it is nothing but such a word.

    Numbers lose their leading zeros.
    """
    stem = re.sub(r"\.(?:jpe?g|png)$", "", same_name(stem), flags=re.IGNORECASE)  # of "a.jpg.png"
    if stem.lower() in IMAGE_WORDS | MASK_WORDS:
        return ""
    while match := _AT_END.search(stem):
        stem = stem[: match.start()]
    stem = _AT_START.sub("", stem)
    return str(int(stem)) if stem.isdecimal() else stem
