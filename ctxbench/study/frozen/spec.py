"""What a study is: its blocks, images, features and seeds, and how heads are trained. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from ctxbench.errors import UserError
from ctxbench.measure.folder import now
from ctxbench.study.accuracy.plan import QUICK_STEPS, place_of, seeds_of
from ctxbench.study.cells import Needs
from ctxbench.study.context import called, with_baseline
from ctxbench.subject.case import Case
from ctxbench.train.loggers import check
from ctxbench.typed import Natural
from ctxbench.version import __version__

Level = Literal["C2", "C3", "C4", "C5"]
STRIDES: dict[str, int] = {"C2": 4, "C3": 8, "C4": 8, "C5": 8}
"""Pixels between two positions of a level."""
WIDTH = 128
"""Channels that the block sees."""
GENERATED = "synthetic"
SIDES = {GENERATED: 128}
SIDE = 256
"""To which images are resized, where their data set is not in SIDES."""
LEAST_SIDE, MOST_SIDE = 65, 2048
STEPS, BATCH, RATE = 300, 16, 0.002


@dataclass(frozen=True)
class Source:
    """What features are of: images, how they are read, and the network with its weights.

    ``images`` is how many of the training split are taken, spread over it evenly; None for all.
    """

    dataset: str = GENERATED
    root: str | None = None
    train_split: str | None = None
    eval_split: str | None = None
    backbone: str = "resnet-tiny"
    stem: Literal["deep", "deep-narrow", "plain"] = "deep"
    stride_in: Literal["3x3", "1x1"] = "3x3"
    weights: str | None = None
    level: Level = "C3"
    side: int = SIDES[GENERATED]
    images: int | None = None
    threads: int | None = None
    """The features' process takes as many as torch does by itself."""

    def __post_init__(self) -> None:
        if self.level not in STRIDES:
            raise UserError(f"no level {self.level!r}; one of {', '.join(STRIDES)}")
        if not LEAST_SIDE <= self.side <= MOST_SIDE:
            raise UserError(f"images are {LEAST_SIDE} to {MOST_SIDE} pixels wide, not {self.side}")
        if self.images is not None and self.images < 1:
            raise UserError(f"a study trains on one image at least, not {self.images}")
        if self.weights is not None and not Path(self.weights).is_file():
            raise UserError(f"no file of weights at {self.weights}")

    @property
    def map_side(self) -> int:
        """H and W of the features."""
        return -(-self.side // STRIDES[self.level])

    @property
    def about(self) -> str:
        """The features in words."""
        weights = Path(self.weights).name if self.weights else "random weights"
        return f"{self.dataset} at {self.side}×{self.side} · {self.level} of {self.backbone}, {weights}"


@dataclass(frozen=True)
class StudyCell:
    """One head, from one seed, on the features in a folder."""

    case: Case
    seed: int
    features: str
    steps: int
    batch: int
    rate: float
    threads: int | None = 1
    needs = Needs()

    @property
    def key(self) -> str:
        """Seed and block."""
        return f"{self.seed}-{self.case.id}"

    @property
    def label(self) -> str:
        """``nonlocal, seed 0``."""
        return f"{called(self.case.module)}, seed {self.seed}"


@dataclass(frozen=True)
class StudyPlan:
    """What is studied. ``baseline`` is the index of the block that others are compared with too."""

    cases: tuple[Case, ...]
    source: Source = field(default_factory=Source)
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: Natural = STEPS
    batch: Annotated[int, Meta(ge=2)] = BATCH
    rate: float = RATE
    baseline: int | None = None
    log: tuple[str, ...] = ()
    """Loggers that get what was found."""
    command: tuple[str, ...] = ()
    version: str = __version__
    created_at: str = field(default_factory=now)

    @property
    def subjects(self) -> list[Case]:
        """No context module, and every block."""
        return with_baseline(self.cases)

    @property
    def settings(self) -> dict[str, Any]:
        """Of the features and of every training."""
        return {**asdict(self.source), "steps": self.steps, "batch": self.batch, "rate": self.rate}

    @property
    def trained(self) -> str:
        """What is trained, in a few words."""
        return "on frozen features"

    def conditions(self, about: Mapping[str, Any]) -> str:
        """What is trained and evaluated on, in one line."""
        return (
            f"{self.source.about} · {about['train']} images to train on, {about['test']} to evaluate · "
            f"{self.steps} steps of {self.batch}"
        )

    @property
    def notes(self) -> list[str]:
        """What its numbers are, and are not."""
        side, is_random = self.source.side, self.source.weights is None
        return [
            "Not what a fine-tuned network reaches: the backbone is frozen, and a head of one 3×3 to "
            f"{WIDTH} channels, the block, both concatenated, and a 1×1 classifier is trained for "
            f"{self.steps} steps, with the same batches in the same order for every block. Images are "
            f"resized to {side}×{side} and mirrored, nothing else; training labels are those "
            "nearest to a position, evaluation is on every pixel of the whole split.",
            *(["The backbone's weights are random: its features are no one's."] if is_random else []),
        ]

    @property
    def interval(self) -> str:
        """What its intervals are of."""
        return (
            "Differences are paired by seed and image; 95 % intervals: a bootstrap over images and the "
            "scatter over seeds, Student's t by Welch and Satterthwaite."
        )

    def cell(self, case: Case, seed: int, features: Any = "") -> StudyCell:
        """The cell of a block and a seed."""
        return StudyCell(case, seed, str(features), self.steps, self.batch, self.rate)

    def cells(self, features: Path) -> list[StudyCell]:
        """Every cell, seed by seed, so that an interrupted study can compare all blocks."""
        return [self.cell(case, seed, features) for seed in self.seeds for case in self.subjects]


def backbone_of(dataset: str) -> str:
    """The network whose features are taken where none is named: a small one for the generated set."""
    return "resnet-tiny" if dataset == GENERATED else "resnet50"


def planned(
    cases: Sequence[Case],
    source: Source,
    *,
    baseline: str | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    batch: int = BATCH,
    quick: bool = False,
    log: Sequence[str] = (),
    command: Sequence[str] = (),
) -> StudyPlan:
    """A plan; what is not given is as a quick look or a study has it.

    Raises UserError for numbers that make no sense, a baseline that is not among the blocks, and a logger
    that is not installed.
    """
    check(log)
    chosen = seeds_of(seeds, quick)
    steps = steps if steps is not None else QUICK_STEPS if quick else STEPS
    if steps < 1:
        raise UserError(f"a head is trained for one step at least, not {steps}")
    if batch < 2:
        raise UserError(f"a batch has two images at least, not {batch}")
    place = place_of(baseline, cases)
    return StudyPlan(
        tuple(cases), source, chosen, steps, batch,
        baseline=place, log=tuple(log), command=tuple(command),
    )  # fmt: skip
