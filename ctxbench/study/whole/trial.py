"""One run of a grid of trainings: what is trained, how it is evaluated, and the files it is known by."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError, in_one_line
from ctxbench.evaluate.evaluation import in_words
from ctxbench.evaluate.predict import Setting
from ctxbench.files import write_text
from ctxbench.study.cells import Needs
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.launch.engine import device_of
from ctxbench.typed import json_value

PLAN = "plan.json"
SCORES = "scores.json"
SINGLE_SCALE = Setting()


@dataclass(frozen=True)
class Trial:
    """A configuration with its seed, and how its last weights are evaluated.

    ``labels`` are the rows that it is for; ``start`` names the run whose weights it starts from.
    """

    name: str
    labels: tuple[str, ...]
    config: TrainConfig
    settings: tuple[Setting, ...]
    start: str | None = None

    def home(self, folder: Path) -> Path:
        """Its training run, in a grid's folder."""
        return folder / "runs" / self.name

    def log(self, folder: Path) -> Path:
        """What it prints."""
        return folder / "logs" / f"{self.name}.txt"

    def to_json(self) -> dict[str, Any]:
        """As in the plan."""
        return {
            "labels": list(self.labels),
            "config": tomllib.loads(self.config.to_toml()),
            "settings": [{"scales": list(setting.scales), "flip": setting.flip} for setting in self.settings],
            "start": self.start,
        }

    def scores(self, folder: Path) -> dict[str, dict[str, Any]]:
        """What was found, by :func:`words` of the setting; empty before there is anything.

        Raises UserError where the file is damaged.
        """
        return _read(self.home(folder) / SCORES)

    def finished(self, folder: Path) -> bool:
        """Whether it is trained, and evaluated in every way asked for."""
        return {words(setting) for setting in self.settings} <= self.scores(folder).keys()


@dataclass(frozen=True)
class TrialCell:
    """A run in a grid's folder, as what one process trains."""

    trial: Trial
    folder: str

    @property
    def key(self) -> str:
        """The run's name."""
        return self.trial.name

    @property
    def label(self) -> str:
        """``rank 16, seed 0``."""
        return f"{', '.join(self.trial.labels)}, seed {self.trial.config.seed}"

    @property
    def threads(self) -> int | None:
        """On a CPU one, which sums in the same order however many runs there are."""
        return 1 if device_of(self.trial.config) == "cpu" else None

    @property
    def needs(self) -> Needs:
        """A day, or where it is longer several; an iteration may take long, and so may a look at all data."""
        config = self.trial.config
        return Needs(
            minutes=24 * 60,
            cores=1 + config.workers,
            gpus=int(config.device == "cuda"),
            silence_s=24 * 3600.0,
            starts_others=True,
        )


def words(setting: Setting) -> str:
    """A setting's name in the scores."""
    return in_words(setting.scales, setting.flip, setting.sliding)


def read_plan(folder: Path) -> dict[str, Trial]:
    """The runs of a grid's folder by name; none where it is new. Raises UserError for a damaged plan."""
    path = folder / PLAN
    try:
        return {name: _trial(name, entry) for name, entry in _read(path).items()}
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"{path} is no plan of a grid of trainings: {in_one_line(error)}") from error


def write_plan(folder: Path, trials: Mapping[str, Trial]) -> None:
    """Keep the runs of a grid's folder."""
    write_text(folder / PLAN, json.dumps({name: t.to_json() for name, t in trials.items()}, indent=1) + "\n")


def _trial(name: str, entry: Mapping[str, Any]) -> Trial:
    settings = tuple(Setting(tuple(setting["scales"]), setting["flip"]) for setting in entry["settings"])
    return Trial(name, tuple(entry["labels"]), configure(entry["config"]), settings, entry["start"])


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {in_one_line(error)}") from error
    if not isinstance(table, dict):
        raise UserError(f"{path} holds no table, but {type(table).__name__}")
    return table
