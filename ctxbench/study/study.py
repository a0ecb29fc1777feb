"""What the ablations of Tables 7 and 8 train, and how their rows are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import MULTI_SCALES
from ctxbench.evaluate.predict import Setting
from ctxbench.study.executor import Show
from ctxbench.study.grid import Cell, Result, run_grid
from ctxbench.study.significance import Difference, differences
from ctxbench.train.config import TrainConfig
from ctxbench.train.presets import PRESETS, configured

PAPER_BACKBONES = ("resnet50", "resnet101")
BACKBONES = {"synthetic": ("resnet-tiny", "resnet-small")}
"""What runs for :data:`PAPER_BACKBONES`, by data set, where that is something else."""
SEEDS = 3
"""Both tables took 65 minutes on two cores, which did other work too."""
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
    seeds: int | None = None
    quick: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise UserError(f"an ablation takes at least one seed, not {self.seeds}")
        if unknown := sorted(self.weights.keys() - set(self.backbones)):
            raise UserError(f"weights are for {' or '.join(self.backbones)}, not {', '.join(unknown)}")

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.seeds or (1 if self.quick else SEEDS))

    @property
    def backbones(self) -> tuple[str, str]:
        """What runs for ResNet-50 and ResNet-101."""
        return BACKBONES.get(self.dataset, PAPER_BACKBONES)

    def config(self, larger: bool, **changes: Any) -> TrainConfig:
        """The configuration on the smaller or the larger backbone; nothing is chosen by an evaluation."""
        backbone = self.backbones[larger]
        known: dict[str, Any] = {"dataset": self.dataset, "backbone": backbone, "device": self.device}
        places = {"root": self.root, "weights": self.weights.get(backbone)}
        known |= {name: str(path.absolute()) for name, path in places.items() if path is not None}
        fixed: dict[str, Any] = {"evaluate_every": 0, "baseline": False, **changes}
        if taken := sorted(self.settings.keys() & {"dataset", "seed", *fixed}):
            raise UserError(f"an ablation chooses {', '.join(taken)} itself: leave it out of the settings")
        config = configured(known, self.settings, fixed)
        return lasting(config, QUICK) if self.quick else config

    def fine_tuned(self, cell: Cell, label: str) -> Cell:
        """A second stage from a cell's weights, as much slower and shorter as the paper's on VOC 2012."""
        first, second = (PRESETS[name].config for name in ("voc12aug", "voc12"))
        config = replace(cell.config, lr=cell.config.lr * second.lr / first.lr)
        config = lasting(config, second.epochs / first.epochs)
        if self.dataset == "voc12aug":
            config = replace(config, dataset="voc12", train_split="train")
        return Cell(label, config, cell.setting, start=cell)

    @property
    def about(self) -> str:
        """What was trained, in one line."""
        config = self.config(larger=False)
        length = f"{config.iterations} iterations" if config.iterations else f"{config.epochs:g} epochs"
        stand_ins = ", ".join(
            f"{self.config(larger).backbone} for {theirs}"
            for larger, theirs in ((False, "ResNet-50"), (True, "ResNet-101"))
        )
        return f"{self.dataset} · {stand_ins} · {length}, batch {config.batch} · n = {len(self.numbers)}"


def lasting(config: TrainConfig, factor: float) -> TrainConfig:
    """The configuration with ``factor`` times as many iterations, or epochs."""
    if config.iterations:
        return replace(config, iterations=ceil(factor * config.iterations))
    return replace(config, epochs=factor * config.epochs)


@dataclass(frozen=True)
class Row:
    """A row of a table: what it printed, and the index of the row it is compared with.

    ``reason`` says why it is not compared, where there is a row to compare with.
    """

    cell: Cell
    printed: str
    reference: int | None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Compared:
    """A row with what it scored here. ``printed_gain`` and ``difference`` are against its reference row."""

    row: Row
    result: Result
    printed_gain: float | None
    difference: Difference | None

    @property
    def direction(self) -> str:
        """Whether the printed direction appeared; "" without a reference, or without what was measured."""
        if self.printed_gain is None or self.difference is None:
            return ""
        return self.difference.direction(self.printed_gain)

    @property
    def why(self) -> str:
        """What a footnote says of it."""
        failed = [f"seed {seed}: {reason}" for seed, reason in self.result.reasons.items()]
        return "; ".join(filter(None, (self.row.note, self.row.reason, *failed)))


def trained(
    rows: Sequence[Row],
    study: Study,
    folder: Path,
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Compared]:
    """Train the rows' cells in ``folder``, as :func:`run_grid` does, and compare."""
    return compared(rows, run_grid([r.cell for r in rows], study.numbers, folder, progress=progress, say=say))


def compared(rows: Sequence[Row], results: Sequence[Result]) -> list[Compared]:
    """Hold each row against its reference."""
    pairs = [
        None if row.reference is None or row.reason else (result.miou, results[row.reference].miou)
        for row, result in zip(rows, results, strict=True)
    ]
    return [
        Compared(
            row,
            result,
            None if row.reference is None else float(row.printed) - float(rows[row.reference].printed),
            difference,
        )
        for row, result, difference in zip(rows, results, differences(pairs), strict=True)
    ]
