"""The data set that needs no download: local texture is ambiguous, and far context tells the class.

Each image has one key, a coloured patch on its left or right border, and patterned regions, all further from
it than a ResNet-tiny with an FCN head can see (55 pixels at most, from a pixel's logits). A region's class is
its pattern together with the key's colour. So a network that sees the pattern alone can only guess among the
four colours: a quarter of the regions' pixels right, and an IoU of 1/7 in each class but the background.

A class is a pair of pattern and key; the key does not permute fewer classes. So pattern and key each tell
something alone, and training from random weights makes progress from the start. Mirroring left to right
changes no class.

In the shape comments: SIDE is the height and width of an image, h and w are those of a region.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctxbench.data.dataset import Labels, SegmentationSet
from ctxbench.errors import UserError

SIDE = 128
"""Height and width in pixels."""
KEY_WIDTH = 24
FAR = 60
"""Columns between the key and the nearest region."""

PATTERNS = ("stripes", "checks")
KEYS = {"red": (200, 60, 60), "green": (60, 170, 60), "blue": (70, 90, 210), "yellow": (210, 180, 60)}
COUNTS = {"train": 512, "val": 64}


@lru_cache(maxsize=8)  # the image and the mask of a sample are asked for one after the other
def _draw(seed: int, split: str, index: int) -> tuple[NDArray[np.uint8], Labels]:
    """Pixels (SIDE, SIDE, 3) and labels (SIDE, SIDE)."""
    rng = np.random.default_rng((seed, list(COUNTS).index(split), index))
    grey = rng.normal(rng.uniform(105, 150), 14, (SIDE, SIDE, 1))
    pixels = grey + rng.normal(0, 6, (SIDE, SIDE, 3))  # (SIDE, SIDE, 3)
    labels = np.zeros((SIDE, SIDE), np.uint8)

    key = int(rng.integers(len(KEYS)))
    height = int(rng.integers(SIDE // 2, SIDE + 1))
    top = int(rng.integers(SIDE - height + 1))
    colour = list(KEYS.values())[key]
    pixels[top : top + height, :KEY_WIDTH] = colour + rng.normal(
        rng.uniform(-15, 15), 15, (height, KEY_WIDTH, 1)
    )

    y, x = np.ogrid[:SIDE, :SIDE]  # (SIDE, 1), (1, SIDE)
    for _ in range(3):
        pattern = int(rng.integers(len(PATTERNS)))
        height, width = (int(rng.integers(28, limit + 1)) for limit in (64, SIDE - KEY_WIDTH - FAR))
        top = int(rng.integers(SIDE - height + 1))
        left = int(rng.integers(KEY_WIDTH + FAR, SIDE - width + 1))
        frequency = 2 * np.pi / rng.uniform(7, 10)
        wave = np.sin(frequency * y + rng.uniform(0, 2 * np.pi))  # (SIDE, 1), or (SIDE, SIDE) for checks
        if PATTERNS[pattern] == "checks":
            wave = wave * np.sin(frequency * x + rng.uniform(0, 2 * np.pi))
        region = slice(top, top + height), slice(left, left + width)
        grey = (
            rng.uniform(105, 150) + rng.uniform(35, 60) * np.broadcast_to(wave, labels.shape)[region]
        )  # (h, w)
        pixels[region] = (grey + rng.normal(0, 12, grey.shape))[..., None]  # (h, w, 1), alike in all channels
        labels[region] = 1 + pattern * len(KEYS) + key

    if rng.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    return pixels.clip(0, 255).astype(np.uint8), labels


class Synthetic(SegmentationSet):
    """The generated set: 512 images to train on ("train"), 64 to evaluate on ("val"), 128×128, 9 classes.

    A sample depends on the seed, the split and its index alone.

    Raises:
        UserError: another split.

    """

    def __init__(self, split: str, *, seed: int = 0) -> None:
        if split not in COUNTS:
            raise UserError(f"synthetic has no split {split!r}; its splits: {', '.join(COUNTS)}")
        classes = [f"{pattern}, {key} key" for pattern in PATTERNS for key in KEYS]
        colours = [(r // dim, g // dim, b // dim) for dim in (1, 2) for r, g, b in KEYS.values()]
        super().__init__("synthetic", split, ["background", *classes], palette=[(0, 0, 0), *colours])
        self.seed = seed

    def __len__(self) -> int:
        return COUNTS[self.split]

    def stem(self, index: int) -> str:
        """``val_0007``."""
        return f"{self.split}_{index:04}"

    def image(self, index: int) -> Image.Image:
        """The image, RGB."""
        return Image.fromarray(_draw(self.seed, self.split, index)[0])

    def mask(self, index: int) -> Labels:
        """The labels, H×W: 0 is the background, 1 + 4·pattern + key a region."""
        return _draw(self.seed, self.split, index)[1].copy()


def synthetic(split: str) -> Synthetic:
    """Open the generated set as ``ctxbench`` trains on it."""
    return Synthetic(split)
