"""The process that a case, or a cell of a study, runs in. It answers its parent until their pipe closes.

This file imports torch only inside the process, because the parent, which imports it too, goes without; the
files beside it are the process's own.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from ctxbench.errors import UserError, is_out_of_memory
from ctxbench.measure.threads import set_threads

Reply = tuple[str, Any]
"""``("ok", value)``, or a record's status and reason; ``("refused", message)`` is a UserError."""
ALIVE = "alive"
"""Status of a message that is no answer: the call goes on, and has come further since the last."""
SIGNS_EVERY_S = 1.0
MEASUREMENT = "ctxbench.measure.worker.measurement:Measurement"
"""The class that answers of a case."""


class Subject(Protocol):
    """What a process is about."""

    @property
    def threads(self) -> int | None:
        """CPU threads of every library there; None for as many as each takes by itself."""


def main(pipe: Connection, subject: Subject, served: str) -> None:
    """Answer requests ``(method, arguments)`` with a :data:`Reply` each.

    The methods are those of the class at the place ``served``, made of the subject and of a function that it
    calls whenever it has come further, with its share of the work where it knows that. While a request takes
    long, that is told by :data:`ALIVE`.
    """
    _be_expendable()
    make = server_of(served, subject)
    gc.freeze()  # collections between rounds need not visit what was imported
    told = time.monotonic()

    def progress(share: float = 0.0) -> None:
        nonlocal told
        if time.monotonic() - told >= SIGNS_EVERY_S:
            told = time.monotonic()
            pipe.send((ALIVE, share))

    server = make(subject, progress)
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(answer(partial(getattr(server, method), *arguments)))


def server_of(served: str, subject: Subject) -> Any:
    """The class at the place ``served``, in a process with as many threads as the subject says."""
    if subject.threads is not None:
        set_threads(subject.threads)
    module, _, name = served.partition(":")
    return getattr(import_module(module), name)


def answer(call: Callable[[], Any]) -> Reply:
    """What a call returns, or why it does not."""
    try:
        return "ok", call()
    except UserError as error:
        return "refused", str(error)
    except (Exception, SystemExit) as error:  # a user's module may raise anything; it costs this row
        from ctxbench.tracing.count import reason_of

        return "oom" if _is_out_of_memory(error) else "error", reason_of(error)


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or is_out_of_memory(error)


def _be_expendable() -> None:
    """Die with the parent and before it, and keep off its terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    for descriptor in (1, 2):
        os.dup2(sys.stdout.fileno(), descriptor)


def _follow(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
