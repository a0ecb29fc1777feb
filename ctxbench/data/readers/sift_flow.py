"""SIFT-Flow (LabelMe outdoor): 2688 scenes of 256×256, 33 classes."""

from pathlib import Path

from ctxbench.data.file_set import FileSet, Pair, class_list
from ctxbench.data.paths import first_of, read_list

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


def open_sift_flow(root: Path, split: str) -> FileSet:
    """SIFT-Flow, test 200 images (the authors' TestSet1).

    Masks are ``SemanticLabels/…/*.mat`` (``S``: 0 void, ignored, 1..33). The split to train on is
    fcn_trainval.txt or trainval.txt where there is one (2486: two images without labels are left out), else
    every image that is not in the test split (2488).
    """
    images = first_of(*(home / "Images" / SCENES for home in (root, root / "SiftFlowDataset")))
    home = images.parents[1]
    test = first_of(*(home / name for name in ("fcn_test.txt", "test.txt", "TestSet1.txt")))
    train = next(
        (home / name for name in ("fcn_trainval.txt", "trainval.txt") if (home / name).is_file()), None
    )
    if split == "test":
        stems = read_list(test)
    elif train:
        stems = read_list(train)
    else:
        stems = sorted({path.stem for path in images.glob("*.jpg")} - {*read_list(test)})
    masks = home / "SemanticLabels" / SCENES
    pairs = [Pair(stem, images / f"{stem}.jpg", masks / f"{stem}.mat") for stem in stems]
    codes, names = class_list("sift_flow")
    return FileSet("sift_flow", split, pairs, names, codes=codes, void=(0,))
