"""The process a case runs in. It answers its parent over a pipe until the pipe closes.

This file imports torch only inside the process, because the parent, which imports it too, goes without; the
files beside it are the process's own.
"""

import gc
import os
import signal
import sys
import threading
import time
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError, is_out_of_memory
from ctxbench.measure.threads import set_threads
from ctxbench.subject.case import Case

Reply = tuple[str, Any]
"""``("ok", value)``, or a record's status and reason; ``("refused", message)`` is a UserError."""
ALIVE = "alive"
"""Status of a message that is no answer: the call goes on, and has come further since the last."""
SIGNS_EVERY_S = 1.0


def main(pipe: Connection, case: Case) -> None:
    """Answer requests ``(method of Measurement, arguments)`` with a :data:`Reply` each.

    While a request takes long, each call of the module that it finishes is told by :data:`ALIVE`.
    """
    _be_expendable()
    if case.threads is not None:
        set_threads(case.threads)
    from ctxbench.measure.worker.measurement import Measurement

    gc.freeze()  # collections between rounds need not visit what was imported
    told = time.monotonic()

    def progress() -> None:
        nonlocal told
        if time.monotonic() - told >= SIGNS_EVERY_S:
            told = time.monotonic()
            pipe.send((ALIVE, None))

    measurement = Measurement(case, progress)
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(measurement, method, arguments))


def _answer(measurement: Any, method: str, arguments: tuple[Any, ...]) -> Reply:
    try:
        return "ok", getattr(measurement, method)(*arguments)
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
