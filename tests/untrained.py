"""A run of train whose network has random weights, without the time a training takes, and data for it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import TrainConfig
from ctxbench.train.run import network_of

SETTINGS = {"backbone": "resnet-tiny", "channels": 16, "crop": 65, "dataset": "folder", "auxiliary": False}


def make_data(root: Path, classes: list[str]) -> None:
    """Three images of two sizes with masks, and their classes."""
    rng = np.random.default_rng(0)
    for i, size in enumerate([(66, 70), (66, 70), (50, 90)]):
        for kind, pixels in {
            "images": rng.integers(0, 256, (*size, 3), np.uint8),
            "masks": rng.integers(0, len(classes), size, np.uint8),
        }.items():
            (root / kind / "val").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / "val" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(classes))


def make_run(
    folder: Path, root: Path, classes: Sequence[str] = ("sky", "sea", "sand"), **changes: object
) -> None:
    """A run whose network has random weights, at iteration 7."""
    config = TrainConfig(**{**SETTINGS, "root": str(root), **changes})  # type: ignore[arg-type]
    folder.mkdir()
    (folder / "config.toml").write_text(config.to_toml())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network_of(config, len(classes))
    state = Checkpoint(network.state_dict(), {}, {}, 7, None, 3, list(classes), config.digest)
    for name in ("best.ckpt", "last.ckpt"):
        state.write(folder / name)
