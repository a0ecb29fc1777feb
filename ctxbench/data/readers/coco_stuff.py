"""COCO-Stuff 10k: 171 classes, 80 things and 91 of stuff."""

from pathlib import Path

from ctxbench.data.file_set import FileSet, Pair, class_list
from ctxbench.data.paths import first_of, read_list


def open_coco_stuff(root: Path, split: str) -> FileSet:
    """COCO-Stuff 10k v1.1 as released: train 9000, test 1000 images.

    Masks are ``annotations/*.mat`` (``S``: 0 unlabeled, ignored; 1..182, of which 171 are used), or the PNGs
    of the same values that the authors' DeepLab scripts make of them. The PNGs of COCO-Stuff's API also hold
    183, any thing, and 255; both are ignored.
    """
    homes = (root, root / "cocostuff-10k-v1.1")  # the folder in the archive
    home = first_of(*(home / "imageLists" / f"{split}.txt" for home in homes)).parents[1]
    masks = home / "annotations"
    suffix = ".mat" if next(masks.glob("*.mat"), None) else ".png"
    pairs = [
        Pair(stem, home / "images" / f"{stem}.jpg", masks / f"{stem}{suffix}")
        for stem in read_list(home / "imageLists" / f"{split}.txt")
    ]
    codes, names = class_list("coco_stuff")
    return FileSet("coco_stuff", split, pairs, names, codes=codes, void=(0, 183, 255))
