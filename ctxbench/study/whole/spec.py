"""What a study of whole networks is: its blocks, how each network is trained, and its seeds. No torch."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure.folder import now
from ctxbench.study.accuracy.plan import PLAN, QUICK_STEPS, place_of, seeds_of
from ctxbench.study.context import with_baseline
from ctxbench.subject.case import Case
from ctxbench.train.config import TrainConfig, assignments, configure
from ctxbench.train.loggers import check
from ctxbench.train.presets import configured
from ctxbench.typed import json_value
from ctxbench.version import __version__

OWN = ("model", "context", "context_options", "seed", "baseline", "init", "evaluate_every")
"""Settings of a training that the study itself decides on."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is studied. ``settings`` are of every training, but for its block and its seed.

    ``baseline`` is the index of the block that others are compared with too.
    """

    cases: tuple[Case, ...]
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    baseline: int | None = None
    log: tuple[str, ...] = ()
    """Loggers that get what was found."""
    command: tuple[str, ...] = ()
    version: str = __version__
    created_at: str = field(default_factory=now)

    @property
    def config(self) -> TrainConfig:
        """Of the network without a block, with the first seed."""
        return configure(self.settings)

    @property
    def subjects(self) -> list[Case]:
        """No context module, and every block."""
        return with_baseline(self.cases)

    def config_of(self, case: Case) -> TrainConfig:
        """Of the network with a block."""
        return self.config.changed(context=case.module, context_options=dict(case.options))

    @property
    def trained(self) -> str:
        """What is trained, in a few words."""
        return "of whole networks"

    def conditions(self, about: Mapping[str, Any]) -> str:
        """What is trained and evaluated on, in one line."""
        config = self.config
        weights = Path(config.weights).name if config.weights else "random weights"
        return (
            f"whole networks on {config.dataset} · {config.backbone}, {weights} · "
            f"{config.length} of {config.batch} crops of {config.crop}×{config.crop} · "
            f"{about['test']} images to evaluate"
        )

    @property
    def notes(self) -> list[str]:
        """What its numbers are, and are not."""
        config = self.config
        beside = ", GPM" * config.global_pool + ", an auxiliary head" * config.auxiliary
        return [
            f"Each network (backbone, 3×3 to {config.channels} channels, the block{beside}, concatenation, "
            "classifier) is trained as a whole, as ctxbench train does it, on the same crops in the same "
            "order for every block of a seed. Scores are of the last weights, at single scale, on the whole "
            "split: nothing was chosen by an evaluation.",
            *([] if config.weights else ["The backbones start from random weights."]),
        ]

    @property
    def interval(self) -> str:
        """What its intervals are of."""
        return (
            "Differences are paired by seed; 95 % intervals: Student's t over seeds, on these images; what "
            "other images would give is not in them."
        )


def planned(
    cases: Sequence[Case],
    config: TrainConfig,
    *,
    baseline: str | None = None,
    seeds: int | None = None,
    quick: bool = False,
    log: Sequence[str] = (),
    command: Sequence[str] = (),
) -> TrainingPlan:
    """A plan.

    Raises UserError for seeds that make no sense, a baseline that is not among the blocks, and a logger that
    is not installed.
    """
    check(log)
    settings = tomllib.loads(config.to_toml())
    place = place_of(baseline, cases)
    return TrainingPlan(tuple(cases), settings, seeds_of(seeds, quick), place, tuple(log), tuple(command))


def config_of(
    given: Mapping[str, Any],
    settings: Mapping[str, Any] | Sequence[str],
    *,
    steps: int | None = None,
    quick: bool = False,
) -> TrainConfig:
    """How each network is trained: as the preset of its data set has it, and what is given over that.

    The global pooling module, which alone would give context to every network, is left out unless
    ``settings`` (a mapping, or ``"key=value"`` texts) have it. What is None is not given. Raises UserError
    for a setting that is wrong, or that the study decides on.
    """
    assigned = settings if isinstance(settings, Mapping) else assignments(settings)
    if taken := sorted(assigned.keys() & set(OWN)):
        raise UserError(f"a study chooses {', '.join(taken)} itself: leave it out of the settings")
    known: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if steps is not None or quick:
        known["iterations"] = QUICK_STEPS if steps is None else steps
    fixed = {"context": "none", "baseline": False, "evaluate_every": 0}
    return configured({"global_pool": False}, known, assigned, fixed)


def trains(folder: Path) -> bool:
    """Whether the study in a folder is one of whole networks."""
    try:
        return "settings" in json_value((folder / PLAN).read_bytes())
    except (OSError, ValueError):  # whoever reads it says what is wrong
        return False
