"""MLflow: to the store or server that ``MLFLOW_TRACKING_URI`` names, by default what MLflow takes."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctxbench.train.loggers import State

EXPERIMENT = "ctxbench"
"""Where ``MLFLOW_EXPERIMENT_NAME`` names no other."""
RETRIES = "2"
"""Of a request, where the environment names no other number: MLflow's seven hold a training for minutes."""
STATES: dict[State, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
LONGEST_PARAM = 6000
"""Characters that a parameter may have."""


class MLflow:
    """A run of MLflow."""

    def begin(self, title: str, config: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
        """Begin a run, with the configuration as parameters, or go on with the one that is kept."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        import mlflow
        from mlflow.entities import Param

        uri = kept.get("uri") or mlflow.get_tracking_uri()
        self._client = mlflow.MlflowClient(uri)
        if kept:
            self._run = kept["run"]
            self._client.update_run(self._run, status="RUNNING")
        else:
            self._run = self._client.create_run(self._experiment(), run_name=title).info.run_id
            params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in config.items()]
            self._client.log_batch(self._run, params=params)
        return {"uri": uri, "run": self._run}

    def _experiment(self) -> str:
        """The experiment's id; it is made where it is not there, unless another process was quicker."""
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        if self._client.get_experiment_by_name(name) is None:
            with suppress(MlflowException):
                self._client.create_experiment(name)
        return str(self._client.get_experiment_by_name(name).experiment_id)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Metrics of a step; one that was done again after a resume stands there twice, alike."""
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        metrics = [Metric(_name(key), value, now_ms, step) for key, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def results(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Scores as metrics, files as artifacts."""
        self.scalars(scores, 0)
        for path in files:
            self._client.log_artifact(self._run, str(path))

    def end(self, state: State) -> None:
        """End it."""
        self._client.set_terminated(self._run, STATES[state])


def _name(key: str) -> str:
    """A metric's name, of the characters that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", key)
