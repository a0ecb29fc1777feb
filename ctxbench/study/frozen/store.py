"""Features of a network that is not trained: computed once, kept as float16, read by memory map.

A folder of the user's cache for each set of features, named by a digest of all they depend on: the weights,
the network, the level, and each image and mask as it is read. It is there whole or not at all.

``train.npy``, ``labels.npy``
    (2·N, C, h, w) and, nearest to each position, the classes (2·N, h, w): each image, then its mirror image.
``test.npy``, ``truth.npy``, ``sizes.npy``
    (M, C, h, w), the masks of the M images one after the other, and their (H, W).

N and M images, C channels, h = w = ⌈side / stride⌉.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ctxbench.data import DATASETS, open_dataset
from ctxbench.data.augment import normalise
from ctxbench.data.dataset import SegmentationSet, Subset
from ctxbench.errors import UserError
from ctxbench.files import cache_folder, locked, write_text, writing
from ctxbench.networks.resnet import BACKBONES, ResNet
from ctxbench.networks.weights import load_weights
from ctxbench.study.frozen.spec import Source

ABOUT = "about.json"
AT_ONCE = 8
"""Images that go through the network together."""
CALIBRATED = 64
"""Images from which batch norms take their statistics where no weights are given."""
LAYERS = {"C2": 1, "C3": 2, "C4": 3, "C5": 4}
FORMAT = 1
"""Of the folder."""


@dataclass(frozen=True)
class Features:
    """Features that are there, memory-mapped; ``classes`` are the names of the K classes."""

    train: Any
    labels: Any
    test: Any
    truth: Any
    sizes: Any
    classes: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "Features":
        """Open a folder of features. Raises UserError where they are not there."""
        try:
            train, labels, test, truth, sizes = (
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in NAMES
            )
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} holds no features: {error}") from error
        return cls(train, labels, test, truth, sizes, tuple(about["classes"]))


NAMES = ("train", "labels", "test", "truth", "sizes")


class Maker:
    """What the features' own process does for its parent."""

    def __init__(self, source: Source, progress: Callable[[float], None] = lambda share: None) -> None:
        """``progress`` is told which share of the work is done."""
        self._source, self._progress = source, progress

    def make(self) -> dict[str, Any]:
        """Compute the features, unless they are there: their ``folder``, and how many ``images`` they are of.

        Raises UserError where the data set, the weights or the network do not go, or the disk is full.
        """
        source = self._source
        train, test = self._split("train_split"), self._split("eval_split")
        if source.images is not None and source.images < len(train):
            chosen = np.linspace(0, len(train) - 1, source.images).round().astype(int)
            train = Subset(train, chosen.tolist())
        home = cache_folder("features")
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
        folder = home / self._digest(train, test)
        about = {"folder": str(folder), "train": len(train), "test": len(test), "classes": list(test.classes)}
        with locked(home, f"{folder.name}.lock"):
            if not (folder / ABOUT).is_file():
                new = folder.with_name(f"{folder.name}.new")
                shutil.rmtree(new, ignore_errors=True)  # of one that was killed
                with writing(new):
                    new.mkdir()
                    self._compute(train, test, new)
                    write_text(new / ABOUT, json.dumps({**about, "source": asdict(source)}, indent=1))
                    new.rename(folder)
        return about

    def _split(self, which: str) -> SegmentationSet:
        source = self._source
        info = DATASETS.get(source.dataset)
        split = getattr(source, which) or (getattr(info, which) if info else None)
        dataset = open_dataset(source.dataset, Path(source.root) if source.root else None, split)
        if not dataset.labelled:
            raise UserError(f"{dataset.name} {dataset.split} has no labels: choose another split")
        return dataset

    def _digest(self, *splits: SegmentationSet) -> str:
        source = self._source
        depends = (FORMAT, source.backbone, source.stem, source.stride_in, source.level, source.side)
        digest = hashlib.sha256(repr(depends).encode())
        if source.weights is not None:
            digest.update(Path(source.weights).read_bytes())
        for dataset in splits:
            digest.update(repr(dataset.classes).encode())
            for index in range(len(dataset)):
                image = dataset.image(index)
                digest.update(repr(image.size).encode() + image.tobytes() + dataset.mask(index).tobytes())
                self._progress(0.0)
        return digest.hexdigest()[:16]

    def _compute(self, train: SegmentationSet, test: SegmentationSet, folder: Path) -> None:
        network, channels = self._network(train)
        side, done, total = self._source.map_side, 0, 2 * len(train) + len(test)
        shape = (channels, side, side)

        def file(name: str, count: int, *of_each: int, dtype: Any = np.float16) -> Any:
            return open_memmap(folder / f"{name}.npy", "w+", dtype, (count, *of_each))

        mapped = file("train", 2 * len(train), *shape)
        labels = file("labels", 2 * len(train), side, side, dtype=np.uint8)
        for start, images in self._images(train):
            both = torch.stack([images, images.flip(3)], 1).flatten(0, 1)  # (2·n, 3, S, S)
            mapped[2 * start : 2 * (start + len(images))] = network(both).numpy()
            done += len(both)
            self._progress(done / total)
        for index in range(len(train)):
            near = _nearest(train.mask(index), side)  # (h, w)
            labels[2 * index], labels[2 * index + 1] = near, near[:, ::-1]
        seen = file("test", len(test), *shape)
        for start, images in self._images(test):
            seen[start : start + len(images)] = network(images).numpy()
            done += len(images)
            self._progress(done / total)
        masks = [test.mask(index) for index in range(len(test))]
        np.save(folder / "truth.npy", np.concatenate([mask.ravel() for mask in masks]))  # (pixels,)
        np.save(folder / "sizes.npy", np.array([mask.shape for mask in masks]))
        for written in (mapped, labels, seen):
            written.flush()

    def _images(self, dataset: SegmentationSet) -> Iterator[tuple[int, Tensor]]:
        """The index of the first, and images resized to squares (n, 3, S, S)."""
        size = (self._source.side, self._source.side)
        for start in range(0, len(dataset), AT_ONCE):
            several = [dataset.image(i) for i in range(start, min(start + AT_ONCE, len(dataset)))]
            squares = [
                image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
                for image in several
            ]
            yield start, torch.stack([normalise(image) for image in squares])

    def _network(self, train: SegmentationSet) -> tuple[Callable[[Tensor], Tensor], int]:
        """Images (n, 3, S, S) to features (n, C, h, w), and C."""
        source = self._source
        if source.backbone not in BACKBONES:
            raise UserError(f"no backbone {source.backbone!r}; one of {', '.join(BACKBONES)}")
        torch.manual_seed(0)
        backbone = BACKBONES[source.backbone](stem=source.stem, stride_in=source.stride_in)
        if source.weights is not None:
            load_weights(backbone, source.weights)
        body = _up_to(backbone, LAYERS[source.level])
        with torch.inference_mode():
            if source.weights is None:
                _calibrate(body, self._images(train))
            body.eval()

        @torch.inference_mode()
        def features(images: Tensor) -> Tensor:
            found: Tensor = body(images)
            if not torch.isfinite(found).all() or found.abs().max() > torch.finfo(torch.float16).max:
                raise UserError(f"features of {source.backbone} do not fit float16: look at its weights")
            return found

        return features, backbone.channels[LAYERS[source.level] - 1]


def _up_to(backbone: ResNet, layers: int) -> nn.Module:
    """The part of a network that ends with one of its layers."""
    named = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    return nn.Sequential(backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool, *named[:layers])


def _calibrate(body: nn.Module, images: Iterator[tuple[int, Tensor]]) -> None:
    """Give the batch norms of a network with random weights the statistics of the first images."""
    for part in body.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = None
    for start, several in images:
        if start >= CALIBRATED:
            break
        body(several)


def _nearest(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Of a mask (H, W) the pixels nearest to a map's positions, corners aligned: (h, w)."""
    rows, columns = (np.linspace(0, length - 1, side).round().astype(int) for length in mask.shape)
    near: NDArray[np.uint8] = mask[rows[:, None], columns]  # (h, w)
    return near
