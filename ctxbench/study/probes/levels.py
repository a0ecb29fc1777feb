"""What is reached without the context that a task needs: the levels scores are read against. No torch."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ctxbench.data.dataset import IGNORE
from ctxbench.study.probes.tasks import TASKS, Labels, Symbols, Task

CEILING_PCT = 100.0
"""Labels are what a solver reads off the map, and are left out where it finds two answers."""
DRAWN, STREAM = 4096, 3
"""Maps from which the levels are known, and their stream."""


@dataclass(frozen=True)
class Levels:
    """Shares of labels, in percent.

    ``chance_pct``: the best guess from a position's own symbols, in closed form or else learnt from one half
    of many maps and tried on the other, both ways. ``one_answer_pct``: the best that is one answer for all
    positions of a map, on the same maps.
    """

    chance_pct: float
    one_answer_pct: float


@cache
def levels(name: str, side: int) -> Levels:
    """The levels of a task at a map size."""
    task = TASKS[name]
    symbols, labels = task.sample(STREAM, 0, DRAWN, side)
    of_map = np.stack([(labels == one).sum((1, 2)) for one in range(task.classes)], 1)  # (N, K)
    asked = (labels != IGNORE).sum()
    chance = guessed(task, symbols, labels) if task.chance is None else task.chance(side)
    return Levels(100 * chance, 100 * float(of_map.max(1).sum() / asked))


def guessed(task: Task, symbols: Symbols, labels: Labels) -> float:
    """The share of labels that the best guess from a position's own symbols gives."""
    halves = [(symbols[half::2], labels[half::2]) for half in (0, 1)]
    right = sum(_right(task, *halves[half], *halves[1 - half]) for half in (0, 1))
    return float(right / (labels != IGNORE).sum())


def _right(task: Task, known: Symbols, truth: Labels, symbols: Symbols, labels: Labels) -> int:
    """How many labels the class gives that is most frequent at a position's symbols where truth is known."""
    own, has_label = _own(task, known), truth != IGNORE
    counts = np.zeros((int(np.prod(task.fields)), task.classes), np.int64)
    np.add.at(counts, (own[has_label], truth[has_label]), 1)
    return int((counts.argmax(1)[_own(task, symbols)] == labels).sum())


def _own(task: Task, symbols: Symbols) -> Any:
    """The symbols of all fields of a position as one number, (N, H, W)."""
    return np.ravel_multi_index(tuple(symbols.swapaxes(0, 1)), task.fields)
