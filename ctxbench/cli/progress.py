"""How far long work has come, on stderr: bars on a terminal, a line now and then without one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ctxbench.cli.app import say

if TYPE_CHECKING:
    from ctxbench.measure.progress import RunProgress

EVERY_S = 30.0
"""Without a terminal, a line is printed when none was for so long, and where one is asked for."""


class Show(Protocol):
    """Shows that ``done`` of ``total`` of a task is done.

    A ``total`` of 1.0 is shown in percent, and none for one of 0, of which nobody knows how long it is.
    """

    def __call__(self, task: str, done: float, total: float, text: str = "", *, line: bool = False) -> None:
        """``text`` says what is being done. With ``line``, it is printed even where lines are few."""


@contextmanager
def display(*, quiet: bool = False) -> Iterator[Show]:
    """What shows progress while the block runs; ``quiet`` shows nothing."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet:
        yield _nothing
    elif not console.is_terminal:
        with _lines() as lines:
            yield lines
    else:
        with _bars(console) as show:
            yield show


def _nothing(task: str, done: float, total: float, text: str = "", *, line: bool = False) -> None:
    pass


class _Lines:
    """A line for a task when none was printed for a while, and when one is asked for.

    The pace is the task's own, from where it stood when it was first shown: one may come after another, and a
    run that is resumed does not begin at 0.
    """

    def __init__(self) -> None:
        self._printed = time.monotonic()
        self._first: dict[str, tuple[float, float]] = {}
        """By task, when it was first shown and what was done of it then."""
        self._latest: Callable[[], None] = lambda: None
        """Prints how it stands with the task that was shown last."""

    def __call__(self, task: str, done: float, total: float, text: str = "", *, line: bool = False) -> None:
        shown = time.monotonic()
        began, before = self._first.setdefault(task, (shown, done))

        def latest() -> None:
            now = time.monotonic()
            self._printed = now
            left = ""
            if before < done < total:
                # by the pace when it was shown; what has gone since then is gone from what was left
                seconds = (shown - began) * (total - done) / (done - before) - (now - shown)
                left = f", about {_duration(seconds)} left" if seconds > 0 else ""
            stands = f"{task} {_amount(done, total)}" if total else task
            say(f"{', '.join(filter(None, (stands, text)))}, {_duration(now - began)} gone{left}")

        self._latest = latest
        if line or self.is_due():
            latest()

    def is_due(self) -> bool:
        """Whether nothing was printed for a while."""
        return time.monotonic() - self._printed >= EVERY_S

    def beat(self) -> None:
        """Print how it stands, where nothing was for a while: a single step may take long."""
        if self.is_due():
            self._latest()


@contextmanager
def _lines() -> Iterator[_Lines]:
    lines, is_over = _Lines(), threading.Event()

    def beat() -> None:
        while not is_over.wait(1.0):
            lines.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        is_over.set()
        thread.join()


def _amount(done: float, total: float) -> str:
    return f"{100 * done:.0f} %" if total == 1.0 and isinstance(total, float) else f"{done:.0f}/{total:.0f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def _bars(console: object) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:32}"), BarColumn(bar_width=20), TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bars:  # type: ignore[arg-type]
        tasks: dict[str, TaskID] = {}

        def show(task: str, done: float, total: float, text: str = "", *, line: bool = False) -> None:
            amount = _amount(done, total) if total else ""
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total or None, amount=amount, text=text)
            bars.update(tasks[task], completed=done, total=total or None, amount=amount, text=text)

        yield show


def measuring(show: Show) -> Callable[[RunProgress], None]:
    """What shows how far a run's measurements are."""

    def tell(state: RunProgress) -> None:
        if state.note and show is not _nothing:
            say(state.note)
        shape = "x".join(map(str, state.case.shape))
        cases = f"{state.recorded} of {state.total} cases"
        show(
            "measuring",
            state.fraction,
            1.0,
            f"{cases}, {state.activity} {state.case.module.rpartition('/')[2]} {shape}",
        )

    return tell
