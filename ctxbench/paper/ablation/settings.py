"""What the ablations of Tables 7 and 8 train, and how their rows are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import MULTI_SCALES
from ctxbench.evaluate.predict import Setting
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.study.cells import Show
from ctxbench.study.whole.grid import run_grid
from ctxbench.study.whole.rows import Result, Row, compare
from ctxbench.train.config import TrainConfig
from ctxbench.train.presets import configured

PAPER_BACKBONES = ("resnet50", "resnet101")
BACKBONES = {"synthetic": ("resnet-tiny", "resnet-small")}
"""What runs for :data:`PAPER_BACKBONES`, by data set, where that is something else."""
N_SEEDS = 3
"""Of each row. Both tables took 65 minutes with so many, on two cores that did other work too."""
MOST_SEEDS = 1000
"""Each is a training of every row, and is planned before the first begins."""
QUICK = 0.5
"""Part of the iterations that are left of a quick run, which has one seed."""
MS_FLIP = Setting(MULTI_SCALES, flip=True)


@dataclass(frozen=True)
class Study:
    """What an ablation trains: a data set with its preset, on which device, with how many seeds.

    ``weights`` are files of the backbones' ImageNet weights by backbone; without one it starts at random.
    ``quick`` halves the iterations and takes one seed. ``settings`` are any of TrainConfig's but those
    that the table itself is about.
    """

    dataset: str = "synthetic"
    root: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    weights: Mapping[str, Path] = field(default_factory=dict)
    n_seeds: int | None = None
    quick: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_seeds is not None and not 1 <= self.n_seeds <= MOST_SEEDS:
            raise UserError(f"an ablation takes 1 to {MOST_SEEDS} seeds, not {self.n_seeds}")
        if unknown := sorted(self.weights.keys() - set(self.backbones)):
            raise UserError(f"weights are for {' or '.join(self.backbones)}, not {', '.join(unknown)}")

    @property
    def seeds(self) -> range:
        """The seeds of each row's trainings."""
        return range(self.n_seeds or (1 if self.quick else N_SEEDS))

    @property
    def backbones(self) -> tuple[str, str]:
        """What runs for ResNet-50 and ResNet-101."""
        return BACKBONES.get(self.dataset, PAPER_BACKBONES)

    def config(self, larger: bool, **changes: Any) -> TrainConfig:
        """The configuration on the smaller or the larger backbone; nothing is chosen by an evaluation."""
        backbone = self.backbones[larger]
        given: dict[str, Any] = {"dataset": self.dataset, "device": self.device}
        places = {"root": self.root, "weights": self.weights.get(backbone)}
        given |= {name: str(path.absolute()) for name, path in places.items() if path is not None}
        fixed: dict[str, Any] = {"backbone": backbone, "evaluate_every": 0, "baseline": False, **changes}
        if taken := sorted(self.settings.keys() & {"dataset", "seed", *fixed}):
            raise UserError(f"an ablation chooses {', '.join(taken)} itself: leave it out of the settings")
        config = configured(given, self.settings, fixed)
        return lasting(config, QUICK) if self.quick else config

    def fine_tuned(self, row: Row, label: str) -> Row:
        """A second stage from a row's weights, as much slower and shorter as the paper's on VOC 2012."""
        first, second = (PRESETS[name].config for name in ("voc12aug", "voc12"))
        config = replace(row.config, lr=row.config.lr * second.lr / first.lr)
        config = lasting(config, second.epochs / first.epochs)
        if self.dataset == "voc12aug":
            config = replace(config, dataset="voc12", train_split="train")
        return Row(label, config, row.setting, start=row)

    @property
    def about(self) -> str:
        """What was trained, in one line."""
        config = self.config(larger=False)
        printed = ("ResNet-50", "ResNet-101")
        stand_ins = ", ".join(
            f"{here} for {name}" for here, name in zip(self.backbones, printed, strict=True)
        )
        return f"{self.dataset} · {stand_ins} · {config.length}, batch {config.batch} · n = {len(self.seeds)}"


def lasting(config: TrainConfig, factor: float) -> TrainConfig:
    """The configuration with ``factor`` times as many iterations, or epochs."""
    if config.iterations:
        return replace(config, iterations=ceil(factor * config.iterations))
    return replace(config, epochs=factor * config.epochs)


def trained(
    rows: Sequence[Row],
    study: Study,
    folder: Path,
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Result]:
    """Train the rows in ``folder``, as :func:`run_grid` does, and compare."""
    return compare(run_grid(rows, study.seeds, folder, progress=progress, say=say))
