"""Ctrl-C and SIGTERM in a training: it ends where its state is on disk, and says how to go on."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ctxbench.train.engine import is_rank_zero

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop, and its checkpoint is written."""


class Stop:
    """Whether this process was asked to stop.

    While :meth:`deferred`, a signal is noted, and whoever defers it looks at ``asked``; a second Ctrl-C ends
    the process at once. Else a signal raises KeyboardInterrupt where it finds the process.
    """

    def __init__(self) -> None:
        self.asked = False
        self._deferred = False
        self._process = os.getpid()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Note a signal within it, instead of ending what is being done."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Note a signal, or end at once."""
        if os.getpid() != self._process:  # a loader's worker has the handler too, and is ended by its trainer
            return
        again = self.asked and number == signal.SIGINT
        self.asked = True
        if not self._deferred or again:
            raise KeyboardInterrupt
        if is_rank_zero():
            log.warning("stopping when this iteration is done; press Ctrl-C again to stop at once")


@contextmanager
def stopping() -> Iterator[Stop]:
    """Handle SIGINT and SIGTERM by a :class:`Stop`; off the main thread, nothing is handled."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
