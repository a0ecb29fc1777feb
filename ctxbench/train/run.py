"""The folder of a training, read back.

``config.toml``, ``environment.json``
    What was asked for; the machine, its software and the command of each start.
``train.csv``, ``evaluations.csv``, ``events.*``
    The logs.
``last.ckpt``, ``best.ckpt``
    The state to go on from, and the weights of the evaluation with the highest mIoU.
``evaluation/``, ``curve.png``, ``report.md``
    Of the last weights.
``baseline/``
    The same network without a context module, where it was asked for: a run of its own.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import pandas as pd

from ctxbench.errors import UserError, in_one_line
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.files import read_evaluation
from ctxbench.networks.network import Segmenter, build_network
from ctxbench.train.checkpoint import Checkpoint, load_model
from ctxbench.train.config import TrainConfig, configure
from ctxbench.typed import json_value, read_toml

CONFIG = "config.toml"
ENVIRONMENT = "environment.json"
LAST = "last.ckpt"
EVALUATION = "evaluation"


@dataclass(frozen=True)
class TrainedRun:
    """A run, finished or not, as it stood when each part of it was first asked for: a file is read once.

    Raises UserError where ``folder`` holds none.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not (self.folder / CONFIG).is_file():
            raise UserError(f"{self.folder} holds no training run (no {CONFIG} in it)")

    @cached_property
    def config(self) -> TrainConfig:
        """What was asked for. Raises UserError, naming the file, where it is not right."""
        path = self.folder / CONFIG
        settings = read_toml(path)
        try:
            return configure(settings)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error

    @cached_property
    def baseline(self) -> "TrainedRun | None":
        """The run of the same network without a context module, if there is one."""
        folder = self.folder / "baseline"
        return TrainedRun(folder) if (folder / CONFIG).is_file() else None

    @cached_property
    def starts(self) -> list[dict[str, Any]]:
        """What is known of each start, the first one's and every resume's: when, from where, on what."""
        path = self.folder / ENVIRONMENT
        try:
            starts = json_value(path.read_text(encoding="utf-8")) if path.exists() else []
            return msgspec.convert(starts, list[dict[str, Any]], strict=True)
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise UserError(f"{path} is not the file of a run: {in_one_line(error)}") from error

    @cached_property
    def evaluation(self) -> Evaluation:
        """Of the last weights, at the end."""
        return read_evaluation(self.folder / EVALUATION)

    def checkpoint(self, which: Literal["best", "last"] = "last") -> Checkpoint:
        """The state after the last iteration that was kept, or the weights with the highest mIoU."""
        if which not in ("best", "last"):
            raise UserError(f"a run keeps its best and its last weights, not its {which!r}")
        path = self.folder / f"{which}.ckpt"
        if not path.is_file():
            raise UserError(f"{self.folder} holds no {path.name}: the run has not come to its first")
        return Checkpoint.read(path)

    def network(
        self, which: Literal["best", "last"] = "best", checkpoint: Checkpoint | None = None
    ) -> Segmenter:
        """The trained network, in eval mode, on the CPU; of ``checkpoint``, where that is read already."""
        checkpoint = checkpoint or self.checkpoint(which)
        network = network_of(self.config, len(checkpoint.classes))
        load_model(network, checkpoint.model, self.folder / f"{which}.ckpt")
        return network.eval()

    def log(self) -> pd.DataFrame:
        """train.csv."""
        return _frame(self.folder / "train.csv")

    def evaluations(self) -> pd.DataFrame:
        """evaluations.csv."""
        return _frame(self.folder / "evaluations.csv")


def network_of(config: TrainConfig, classes: int) -> Segmenter:
    """The configured network, with fresh weights."""
    return build_network(
        config.model,
        classes,
        backbone=config.backbone,
        stem=config.stem,
        stride_in=config.stride_in,
        dilations=config.dilations,
        context=config.context,
        context_options=config.context_options,
        global_pool=config.global_pool,
        channels=config.channels,
        crop=config.crop,
        auxiliary=config.auxiliary,
    )


def _frame(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"there is no {path}: the run has not begun to train")
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        raise UserError(f"{path} is not the log of a run: {in_one_line(error)}") from error
