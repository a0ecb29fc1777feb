"""The parent's end of a worker: start it cheaply, ask it, and say how it died. Imports no torch."""

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure import worker
from ctxbench.measure.patience import Patience

PRELOAD = ["torch", "torch._dynamo", "fvcore.nn", "thop", "ctxbench.measure.worker.measurement"]
"""What the fork server imports once, so that its forks need not: a second for each of them."""
LEAVE_S = 5.0
"""What an idle process gets to clean up (compilers leave semaphores) before it is killed."""


class CaseFailedError(Exception):
    """A case's measurement ended early, with the ``status`` and ``reason`` its record gets."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class WorkerProcess:
    """A process of its own: forked from a server with torch loaded, or fresh where there is no fork.

    ``served`` is the place of the class that answers there, of the ``subject``; ``starts_others``, whether
    it may start processes of its own, by multiprocessing.
    """

    def __init__(
        self, subject: worker.Subject, served: str = worker.MEASUREMENT, *, starts_others: bool = False
    ) -> None:
        context = _context()
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=worker.main, args=(theirs, subject, served), daemon=not starts_others
        )
        with _no_main(), theirs:
            self._process.start()
        self._method, self._timeout_s, self._busy = "", 0.0, False
        self.share = 0.0
        """Of its work that the process says is done."""
        self._patience = Patience(self._process.pid or 0, 0.0)  # none, until something is asked
        self._reply: worker.Reply | None = None

    def send(self, timeout_s: float, method: str, *arguments: object) -> None:
        """Call a method of what is served there; :meth:`receive` takes the answer.

        ``timeout_s`` is time that the process gets to run in without an answer or a sign of progress.
        """
        self._method, self._timeout_s, self._busy, self._reply = method, timeout_s, True, None
        self._patience = Patience(self._process.pid or 0, timeout_s)
        with contextlib.suppress(BrokenPipeError):  # receive says how it died
            self._pipe.send((method, arguments))

    def receive(self) -> Any:
        """Wait for the answer to the last call.

        Raises UserError where it refuses bad input, CaseFailedError where it fails, dies or takes too long.
        """
        first_ready([self])
        assert self._reply is not None
        status, value = self._reply
        if status == "refused":
            raise UserError(value)
        if status != "ok":
            raise CaseFailedError(status, value)
        return value

    def is_ready(self) -> bool:
        """Whether :meth:`receive` has something to say at once: an answer, a death or a time-out."""
        if self._reply is None:
            self._reply = self._message() or self._end()
        return self._reply is not None

    def _message(self) -> worker.Reply | None:
        """What the process sent, its signs of progress taken in."""
        try:
            while self._pipe.poll():
                status, value = self._pipe.recv()
                if status != worker.ALIVE:
                    self._busy = False
                    return status, value
                self.share = value
                self._patience.renew()
        except (EOFError, ConnectionResetError):
            return "crashed", self._death()
        return None

    def _end(self) -> worker.Reply | None:
        """How the call ended without an answer."""
        if self._process.exitcode is not None:  # dead, but a child of its own holds the pipe open
            return "crashed", self._death()
        if not self._patience.is_over():
            return None
        waited_s = self._patience.waited_s
        inside = f" ({waited_s:.0f} s by the clock)" if waited_s > 2 * self._timeout_s else ""
        return "timeout", f"{self._method} took longer than {self._timeout_s:g} s{inside}"

    @property
    def handles(self) -> list[Any]:
        """What becomes ready when there is a message or the process has died."""
        return [self._pipe, self._process.sentinel]

    @property
    def next_look_s(self) -> float:
        """Until it is worth asking :meth:`is_ready` again, if no handle becomes ready."""
        return self._patience.next_look_s

    def stop(self) -> None:
        """Ask the process to end, which a training does when its iteration is done and its state kept."""
        self._process.terminate()

    def join(self) -> None:
        """Wait until it has ended, or answered: one that was done before it was asked to stop stays there."""
        first_ready([self])

    def close(self) -> None:
        """End the process: it leaves by itself when nothing more can be asked, unless it is busy or stuck."""
        self._pipe.close()
        if not self._busy:
            self._process.join(LEAVE_S)
        self._process.kill()
        self._process.join()

    def _death(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"the process left with exit code {code} during {self._method}"
        name = signal.Signals(-code).name
        hint = " (as the kernel does when memory runs out)" if name == "SIGKILL" else ""
        return f"the process was killed by {name} during {self._method}{hint}"


def first_ready(workers: list[WorkerProcess], meanwhile: Callable[[], None] | None = None) -> int:
    """Wait until one of the workers has something to :meth:`~WorkerProcess.receive`; return its index.

    ``meanwhile`` is called about once a second.
    """
    longest_s = inf if meanwhile is None else 1.0
    while True:
        for index, process in enumerate(workers):
            if process.is_ready():
                return index
        handles = [handle for process in workers for handle in process.handles]
        if meanwhile is not None:
            meanwhile()
        connection.wait(handles, min(longest_s, *(process.next_look_s for process in workers)))


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide ``__main__``, or each worker would run the caller's script as far as its main guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
