"""A data set and a network so small that a test can train on them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TINY: dict[str, Any] = {
    "dataset": "folder",
    "backbone": "resnet-tiny",
    "channels": 8,
    "crop": 65,
    "iterations": 4,
    "batch": 2,
    "lr": 0.05,
    "checkpoint_every": 2,
    "evaluate_every": 2,
    "device": "cpu",
}
"""Settings, but for the data set's root."""


def tiny_folder(root: Path) -> Path:
    """Write a folder data set: 5 images to train on, 3 to evaluate with, 80×96, three classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            mask = np.zeros((80, 96), np.uint8)
            mask[20:60, 30:70] = 1 + index % 2
            pixels = rng.integers(0, 60, (80, 96, 3)) + 60 * mask[..., None]
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / split / f"{index}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"{index}.png")
    (root / "classes.txt").write_text("background\none\ntwo\n")
    return root
