"""What a training says as it goes: two CSV files, TensorBoard's events, and the loggers it is to have."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from ctxbench.files import write_text, writing
from ctxbench.train.loggers import Loggers

TRAIN = ("iteration", "epoch", "loss", "main", "aux", "lr", "images_per_s", "wait_share")
"""Columns of train.csv. ``wait_share`` is the part of an iteration's time spent waiting for data. The
network's further losses, if any, stand after them."""
EVALUATIONS = ("iteration", "epoch", "miou", "pixel_accuracy")
"""Columns of evaluations.csv; both scores in percent."""


class Logs:
    """The logs in ``folder``, as they stood after ``start`` iterations, ``evaluated`` of them evaluated.

    Later rows, and truncated ones, are cut.

    Each row is in its file before the call returns. Leaving the context, however that comes about, hands
    TensorBoard's events to their file and ends the thread that writes them. Raises UserError where a file
    cannot be written; the loggers, whose ``config`` is that of the run, raise nothing.
    """

    def __init__(
        self,
        folder: Path,
        start: int,
        evaluated: int,
        losses: Iterable[str] = (),
        loggers: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._columns = (*TRAIN, *losses)
        self._train = _cut(folder / "train.csv", self._columns, start)
        self._evaluations = _cut(folder / "evaluations.csv", EVALUATIONS, evaluated)
        self._folder = folder
        with writing(folder):
            # its thread may write after the working directory has changed
            self._board = SummaryWriter(str(folder.absolute()), purge_step=start + 1 if start else None)
        self._loggers = Loggers(loggers, folder, config or {})

    def step(self, row: Mapping[str, float]) -> None:
        """Add a row to train.csv."""
        self._add(self._train, self._columns, row, "train")

    def evaluation(self, row: Mapping[str, float]) -> None:
        """Add a row to evaluations.csv."""
        self._add(self._evaluations, EVALUATIONS, row, "evaluation")

    def results(self, scores: Mapping[str, float]) -> None:
        """Tell the loggers what came out in the end; the files have it already."""
        self._loggers.results(scores)

    def flush(self) -> None:
        """Hand TensorBoard's events, which are collected, to their file."""
        with writing(self._folder):
            self._board.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loggers.end(kind)
        with writing(self._folder):
            self._board.close()

    def _add(self, path: Path, columns: tuple[str, ...], row: Mapping[str, float], group: str) -> None:
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(",".join(_text(row[name]) for name in columns) + "\n")
        values, step = {f"{group}/{name}": row[name] for name in columns[1:]}, int(row["iteration"])
        with writing(self._folder):
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        self._loggers.scalars(values, step)


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _cut(path: Path, columns: tuple[str, ...], start: int) -> Path:
    kept = [",".join(columns)]
    if path.exists():
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(columns) and row[0].isdecimal()]
        kept += [",".join(row) for row in rows if int(row[0]) <= start]
    return write_text(path, "\n".join(kept) + "\n")
