"""ADE20K: the scene parsing benchmark of 150 classes."""

from itertools import chain
from pathlib import Path

from ctxbench.data.file_set import FileSet, Pair, class_list
from ctxbench.data.paths import first_of

FOLDERS = {"train": "training", "val": "validation"}


class SceneParsing(FileSet):
    """ADE20K's benchmark; predictions are grey PNGs, as its server takes them."""

    mode = "L"


def open_ade20k(root: Path, split: str) -> SceneParsing:
    """ADE20K SceneParsing (ADEChallengeData2016): train 20210, val 2000 images.

    Masks are grey PNGs: 0 other, ignored, 1..150.
    """
    homes = (root, root / "ADEChallengeData2016")
    images = first_of(*(home / "images" / FOLDERS[split] for home in homes))
    masks = first_of(images.parents[1] / "annotations" / FOLDERS[split])
    stems = {path.stem for path in chain(images.glob("*.jpg"), masks.glob("*.png"))}
    pairs = [Pair(stem, images / f"{stem}.jpg", masks / f"{stem}.png") for stem in sorted(stems)]
    codes, names = class_list("ade20k")
    return SceneParsing("ade20k", split, pairs, names, codes=codes, void=(0,))
