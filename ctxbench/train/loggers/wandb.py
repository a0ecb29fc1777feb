"""Weights & Biases: online or offline, as ``WANDB_MODE`` and ``wandb login`` have it."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctxbench.train.loggers import State

PROJECT = "ctxbench"
"""Where ``WANDB_PROJECT`` names no other."""
FINISH_S = 120
"""How long the end of a run waits for what is not uploaded yet; ``wandb sync`` uploads the rest."""


class WandB:
    """A run of W&B. Offline, each start leaves a folder of its own, all with the run's id."""

    def begin(self, title: str, config: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
        """Begin a run with an id of its own, or go on with the one that has the id that is kept."""
        import wandb

        self._run = wandb.init(
            id=kept.get("id", secrets.token_hex(4)),
            resume="allow" if kept else None,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=title,
            settings=wandb.Settings(quiet=True, console="off", reinit="create_new", finish_timeout=FINISH_S),
        )
        self._run.config.update(dict(config), allow_val_change=True)
        return {"id": self._run.id}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """A step that the run has already, since it was done again after a resume, stays as it is."""
        self._run.log(dict(values), step=step)

    def results(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Scores as the run's summary, tables as tables, pictures as images."""
        import pandas as pd
        import wandb

        self._run.summary.update(dict(scores))
        for path in files:
            table = path.suffix == ".csv"
            shown = wandb.Table(dataframe=pd.read_csv(path)) if table else wandb.Image(str(path))
            self._run.log({path.name: shown})

    def end(self, state: State) -> None:
        """End it; but for a finished one, as failed."""
        self._run.finish(exit_code=0 if state == "finished" else 1)
