"""What is to be trained: the data sets and the network of a configuration, checked before anything starts."""

import logging
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from lightning_fabric import seed_everything

from ctxbench.errors import UserError
from ctxbench.segment.checkpoint import Checkpoint, load_model
from ctxbench.segment.config import TrainConfig
from ctxbench.segment.data import DATASETS, open_dataset
from ctxbench.segment.data.check import readable
from ctxbench.segment.data.dataset import SegmentationSet
from ctxbench.segment.networks.network import Segmenter
from ctxbench.segment.networks.weights import load_weights
from ctxbench.segment.run import network_of

log = logging.getLogger(__name__)


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
    """What came of the backbone's weights."""

    @classmethod
    def prepare(cls, config: TrainConfig) -> "Job":
        """Open the data, build the network, load its weights.

        Raises UserError for whatever of these does not do.
        """
        train_set, _ = _open(config, config.train_split)
        eval_set, skipped = _open(config, config.eval_split or DATASETS[config.dataset].eval_split)
        for dataset, key in ((train_set, "train_split"), (eval_set, "eval_split")):
            if not dataset.labelled:
                raise UserError(f"{dataset.name} {dataset.split} has no labels: set {key}")
        seed_everything(config.seed, verbose=False)
        network = network_of(config, len(train_set.classes))
        loaded = "none: the backbone starts at random"
        if config.weights is not None:
            loaded = str(load_weights(network.backbone, Path(config.weights)))
        if config.init is not None:
            origin = Path(config.init)
            origin = origin / "last.ckpt" if origin.is_dir() else origin
            load_model(network, Checkpoint.read(origin).model, origin)
            loaded = f"the whole network's from {origin}"
        return cls(config, train_set, eval_set, skipped, network, loaded)

    @property
    def iterations(self) -> int:
        """Steps of the optimizer in all."""
        epochs = self.config.epochs
        return self.config.iterations or ceil(epochs * len(self.train_set) / self.config.batch)

    def check(self, checkpoint: Checkpoint, origin: Path) -> None:
        """Raise UserError where a checkpoint is not of this job."""
        if checkpoint.samples != len(self.train_set):
            raise UserError(
                f"{origin} was trained on {checkpoint.samples} samples, and {self.train_set.name} "
                f"{self.train_set.split} now has {len(self.train_set)}: restore them, or begin another run"
            )
        if checkpoint.config != self.config.digest:
            raise UserError(
                f"{origin} was trained with other settings than {origin.with_name('config.toml')} now has: "
                "restore them, or begin another run with --init"
            )


def _open(config: TrainConfig, split: str | None) -> tuple[SegmentationSet, tuple[str, ...]]:
    dataset = open_dataset(config.dataset, Path(config.root) if config.root else None, split)
    if not config.skip_bad:
        return dataset, ()
    dataset, bad = readable(dataset)
    if bad:
        log.warning("%s %s: %d samples left out: %s", dataset.name, dataset.split, len(bad), ", ".join(bad))
    return dataset, tuple(bad)
