"""Loggers that people have beside TensorBoard and CSV: one file each, behind one small interface. No torch.

What goes wrong in one, for want of a network or of room on a disk, is said, and costs its log alone.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from ctxbench.errors import UserError, in_one_line
from ctxbench.files import write_text
from ctxbench.typed import json_value

log = logging.getLogger(__name__)

Name = Literal["wandb", "mlflow"]
State = Literal["finished", "failed", "interrupted"]
CLASSES: dict[str, str] = {"wandb": "WandB", "mlflow": "MLflow"}
"""Name, which is the file's here, the package's and the extra's, to the class in that file."""
KEPT = "loggers.json"
"""In a run's folder: by logger, what :meth:`Logger.begin` has kept."""


class Logger(Protocol):
    """One run with a logger. Where it reports to, and whether at all, is set as its own users set it."""

    def begin(self, title: str, config: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
        """Begin a run of this title and configuration, or go on with the one that ``kept`` is of.

        Returns what is to be kept of it, so that it can be gone on with.
        """

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Take values of a step."""

    def results(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Take what came out in the end: scores, tables in CSV and pictures in PNG."""

    def end(self, state: State) -> None:
        """End the run."""


def check(names: Sequence[str]) -> None:
    """Raise UserError for a logger that there is not, or whose package is not installed."""
    for name in names:
        if name not in CLASSES:
            raise UserError(f"no logger {name!r}; there are {', '.join(CLASSES)}")
        if find_spec(name) is None:
            raise UserError(f"the logger {name} is not installed: pip install 'ctxbench[{name}]'")


class Loggers:
    """The loggers of a run, begun; one that fails is left out from then on. None of its methods raises."""

    def __init__(self, names: Sequence[str], folder: Path, config: Mapping[str, Any]) -> None:
        """``folder`` is the run's, as it was named: that is the title. ``config`` is what it is a run of."""
        self._folder = folder
        self._open: dict[str, Logger] = {}
        for name in names:
            self._open[name] = getattr(import_module(f"{__name__}.{name}"), CLASSES[name])()
        self._each(lambda name, logger: self._begin(name, logger, config))

    def _begin(self, name: str, logger: Logger, config: Mapping[str, Any]) -> None:
        path = self._folder / KEPT
        kept = json_value(path.read_bytes()) if path.exists() else {}
        kept[name] = logger.begin(str(self._folder), config, kept.get(name, {}))
        write_text(path, json.dumps(kept, indent=1) + "\n")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Hand on values of a step."""
        self._each(lambda _, logger: logger.scalars(values, step))

    def results(self, scores: Mapping[str, float], files: Sequence[Path] = ()) -> None:
        """Hand on what came out in the end."""
        self._each(lambda _, logger: logger.results(scores, files))

    def end(self, error: type[BaseException] | None = None) -> None:
        """End them all, in the state that an error leaves, or none."""
        state: State = "finished"
        if error is not None:
            state = "interrupted" if issubclass(error, KeyboardInterrupt) else "failed"
        self._each(lambda _, logger: logger.end(state))

    def _each(self, call: Callable[[str, Logger], None]) -> None:
        for name, logger in list(self._open.items()):
            try:
                call(name, logger)
            except Exception as error:  # whatever a library and its network come up with
                del self._open[name]
                log.warning("%s logs nothing more of %s: %s", name, self._folder, in_one_line(error))
