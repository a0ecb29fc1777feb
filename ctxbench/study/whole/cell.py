"""One cell of a grid of trainings: a network trained, or gone on with, evaluated, and its scores kept."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.files import write_text, writing
from ctxbench.study.whole.trial import SCORES, SINGLE_SCALE, TrialCell, words
from ctxbench.train.evaluation import evaluate_run, open_split
from ctxbench.train.loop import resume, train
from ctxbench.train.run import CONFIG
from ctxbench.train.training import Progress


class Trainer:
    """What a cell's process does for its parent."""

    def __init__(self, cell: TrialCell, progress: Callable[[float], None] = lambda share: None) -> None:
        """``progress`` is told after every iteration, and every evaluated image, which share is done."""
        self._trial, self._folder, self._progress = cell.trial, Path(cell.folder), progress

    def train(self) -> dict[str, Any]:
        """Do what is missing of the run: its scores, by :func:`words` of the setting.

        What it prints is kept in the grid's folder. Raises UserError as training and evaluation do.
        """
        _print_to(self._trial.log(self._folder))
        home, config = self._trial.home(self._folder), self._trial.config
        if self._trial.start is not None:
            config = replace(config, init=str((self._folder / "runs" / self._trial.start).absolute()))
        if (home / CONFIG).exists():
            write_text(home / CONFIG, config.to_toml())  # FREE settings, such as the device, may have changed
            trained = resume(home, progress=self._tell)
        else:
            trained = train(config, home, progress=self._tell)
        scores = self._trial.scores(self._folder)
        for setting in self._trial.settings:
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
                    progress=lambda done, total: self._progress(1.0),
                )
            scores[words(setting)] = _score(evaluation)
            write_text(home / SCORES, json.dumps(scores, indent=1) + "\n")
        return scores

    def _tell(self, state: Progress) -> None:
        self._progress(state.done / state.total)


def _score(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "miou_pct": None if np.isnan(evaluation.miou) else evaluation.miou,
        "images": evaluation.images,
        "seconds": evaluation.seconds,
        "device": evaluation.environment.get("gpu") or evaluation.environment.get("cpu"),
    }


def _print_to(path: Path) -> None:
    """Append what this process prints from now on to a file."""
    with writing(path):
        sys.stdout = sys.stderr = path.open("a", encoding="utf-8", buffering=1)
    for descriptor in (1, 2):
        os.dup2(sys.stdout.fileno(), descriptor)
