"""One run of a grid of trainings, in a process of its own: trained or resumed, evaluated, its scores kept.

``python -m ctxbench.study.trial FOLDER NAME COMMAND…`` does the run of that name in the plan of a
grid's folder; COMMAND is what the run's records name as theirs. The process exits on the end of its
standard input, a pipe from the process that started it: when that dies, in whatever way, so does this one.
"""

import json
import os
import sys
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.errors import UserError, in_one_line
from ctxbench.evaluate.evaluation import Evaluation, in_words
from ctxbench.evaluate.predict import Setting
from ctxbench.files import write_text
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.evaluation import evaluate_run, open_split
from ctxbench.train.launch.engine import INTERRUPTED, USAGE
from ctxbench.train.loop import resume, train
from ctxbench.train.run import CONFIG
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


def run(folder: Path, trial: Trial) -> None:
    """Do what is missing of a run. Raises UserError as training and evaluation do."""
    home, config = trial.home(folder), trial.config
    if trial.start is not None:
        config = replace(config, init=str((folder / "runs" / trial.start).absolute()))
    if (home / CONFIG).exists():
        write_text(home / CONFIG, config.to_toml())  # FREE settings, such as the device, may have changed
        trained = resume(home)
    else:
        trained = train(config, home)
    scores = trial.scores(folder)
    for setting in trial.settings:
        if words(setting) in scores:
            continue
        if setting == SINGLE_SCALE:
            evaluation = trained.evaluation
        else:
            root = Path(config.root) if config.root else None
            dataset, skipped = open_split(config.dataset, root, config.eval_split, config.skip_bad)
            evaluation = evaluate_run(
                trained,
                dataset,
                setting=replace(setting, precision=config.precision),
                which="last",
                device=config.device,
                workers=config.workers,
                skipped=skipped,
            )
        scores[words(setting)] = _score(evaluation)
        write_text(home / SCORES, json.dumps(scores, indent=1) + "\n")


def _score(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "miou_pct": None if np.isnan(evaluation.miou) else evaluation.miou,
        "images": evaluation.images,
        "seconds": evaluation.seconds,
        "device": evaluation.environment.get("gpu") or evaluation.environment.get("cpu"),
    }


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


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """Do the run that the command line names."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, name = Path(sys.argv[1]), sys.argv[2]
    del sys.argv[1:3]
    try:
        run(folder, read_plan(folder)[name])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt as stop:
        print(f"interrupted {stop}", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
