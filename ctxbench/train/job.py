"""What is to be trained: the data sets and the network of a configuration, checked before anything starts."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Literal

from lightning_fabric import seed_everything

from ctxbench.data import DATASETS, open_dataset
from ctxbench.data.check import readable
from ctxbench.data.dataset import SegmentationSet
from ctxbench.errors import UserError
from ctxbench.networks.network import Segmenter
from ctxbench.networks.released import load_network
from ctxbench.networks.weights import is_state, load_weights
from ctxbench.train.checkpoint import Checkpoint, load_model
from ctxbench.train.config import TrainConfig
from ctxbench.train.run import CONFIG, LAST, network_of

log = logging.getLogger(__name__)

Split = Literal["train_split", "eval_split"]
"""The settings that name a split."""


@dataclass(frozen=True)
class Job:
    """A configuration with its data and its network, which has the weights it starts from."""

    config: TrainConfig
    train_set: SegmentationSet
    eval_set: SegmentationSet
    skipped: tuple[str, ...]
    """Of the evaluation's images."""
    network: Segmenter
    loaded: str
    """Where its weights are from, and what did not match."""

    @classmethod
    def prepare(cls, config: TrainConfig, *, begun: bool = False) -> "Job":
        """Open the data, build the network, load the weights it starts from, unless it has ``begun``.

        Raises UserError where a split is missing, unreadable or without labels (with the setting that names
        another), the network cannot be built, or weights cannot be read or do not fit.
        """
        train_set, _ = _open(config, "train_split")
        eval_set, skipped = _open(config, "eval_split")
        seed_everything(config.seed, verbose=False)
        network = network_of(config, len(train_set.classes))
        loaded = "its own, of last.ckpt" if begun else _load(config, network, train_set.classes)
        return cls(config, train_set, eval_set, skipped, network, loaded)

    @property
    def iterations(self) -> int:
        """Steps of the optimizer in all."""
        epochs = self.config.epochs
        return self.config.iterations or ceil(epochs * len(self.train_set) / self.config.batch)

    def check(self, checkpoint: Checkpoint, origin: Path) -> None:
        """Raise UserError where a checkpoint is not of this job."""
        if checkpoint.iteration > self.iterations:
            raise UserError(
                f"{origin} is of iteration {checkpoint.iteration}, and the training has {self.iterations}: "
                "it is damaged, or of another run"
            )
        if checkpoint.samples != len(self.train_set):
            raise UserError(
                f"{origin} was trained on {checkpoint.samples} samples, and {self.train_set.name} "
                f"{self.train_set.split} now has {len(self.train_set)}: restore them, or begin another run"
            )
        if checkpoint.config != self.config.digest:
            raise UserError(
                f"{origin} was trained with other settings than {origin.with_name(CONFIG)} now has, "
                "or with another state of its context module's file: restore them, or begin another run "
                "with --init"
            )
        if differing := _differing(checkpoint.classes, self.train_set.classes):
            raise UserError(f"{origin} was trained on other classes: {differing}; restore them")


def _load(config: TrainConfig, network: Segmenter, classes: Sequence[str]) -> str:
    loaded = "none: the backbone starts at random"
    if config.weights is not None:
        loaded = str(load_weights(network.backbone, Path(config.weights)))
    if config.init is not None:
        origin = Path(config.init)
        origin = origin / LAST if origin.is_dir() else origin
        try:
            checkpoint = Checkpoint.read(origin)
        except UserError:
            if not is_state(origin):
                raise
            return f"the whole network's from {origin}: {load_network(network, origin)}"
        load_model(network, checkpoint.model, origin)
        if differing := _differing(checkpoint.classes, classes):
            log.warning("%s knows other classes: %s", origin, differing)
        loaded = f"the whole network's from {origin}"
    return loaded


def _differing(before: Sequence[str], now: Sequence[str]) -> str:
    return ", ".join(
        f"{number} was {old!r} and is {new!r}"
        for number, (old, new) in enumerate(zip_longest(before, now))
        if old != new
    )


def _open(config: TrainConfig, key: Split) -> tuple[SegmentationSet, tuple[str, ...]]:
    """The data set's split that a setting names, and its samples left out as unreadable."""
    info = DATASETS.get(config.dataset)
    root = Path(config.root) if config.root else None
    split = getattr(config, key) or (getattr(info, key) if info else None)
    try:
        dataset = open_dataset(config.dataset, root, split)
    except UserError as error:
        others = _labelled(
            config.dataset, root, [name for name in info.splits if name != split] if info else []
        )
        if not others:  # what is wrong is not the split
            raise
        raise UserError(f"{error}; for another split set {key}={' or '.join(others)}") from error
    if not dataset.labelled:
        raise UserError(f"{dataset.name} {dataset.split} has no labels: set {key}")
    if not config.skip_bad:
        return dataset, ()
    dataset, bad = readable(dataset)
    if bad:
        log.warning("%s %s: %d samples left out: %s", dataset.name, dataset.split, len(bad), ", ".join(bad))
    return dataset, tuple(bad)


def _labelled(name: str, root: Path | None, splits: Sequence[str]) -> list[str]:
    """Those splits of a data set that are there and can be trained on, or evaluated with."""
    there = []
    for split in splits:
        with suppress(UserError):
            if open_dataset(name, root, split).labelled:
                there.append(split)
    return there
