"""A call in a process of its own, a copy of this one, so that what crashes there costs only its result."""

from __future__ import annotations

import faulthandler
import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

import psutil

from ctxbench.errors import UserError, in_one_line
from ctxbench.sandbox.host import available_bytes

T = TypeVar("T")

STUCK_S = 60.0
"""Wall-clock time without any CPU time, after which a child is given up: it waits for a lost lock."""
LOOK_S = 2.0
LOST_THREADS = "autograd's threading in combination with fork"
"""What torch says where a fork has lost the threads that autograd runs for a GPU."""


def in_child(call: Callable[[], T], cpu_limit_s: float = math.inf) -> T:
    """What ``call`` returns, computed in another process; its exceptions are raised here.

    That is a fork of this one, which can run whatever this one can. Where there is no fork, or autograd has
    threads for a GPU (which a fork has lost), it is a new one, which ``call`` is sent to.

    The child computes in one thread (the others do not survive a fork), and may not take more memory than
    there is: beyond that an allocation fails there, and this process, or another, is not killed for it.

    Raises UserError where the child is killed, as by a fault in native code, makes no progress, or takes more
    than ``cpu_limit_s`` seconds of CPU time, or where ``call`` cannot be sent to a new process.
    """
    if not hasattr(os, "fork"):
        return in_new_process(call, cpu_limit_s)
    try:
        return _in_fork(call, cpu_limit_s)
    except RuntimeError as error:
        if LOST_THREADS not in str(error):
            raise
    return in_new_process(call, cpu_limit_s)


def in_new_process(call: Callable[[], T], cpu_limit_s: float = math.inf) -> T:
    """As :func:`in_child`, in a new interpreter: ``call`` has to be one that can be pickled."""
    try:
        sent = pickle.dumps(call)
    except Exception as error:  # whatever a user's class does when it is pickled
        raise UserError(f"it needs a new process and cannot be sent there: {in_one_line(error)}") from error
    code = f"import sys; sys.path[:] = {sys.path!r}; from ctxbench.sandbox.child import _answer; _answer()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        progress, given, answer = Progress(process.pid, cpu_limit_s), sent or None, None
        try:
            while answer is None:
                try:
                    answer, _ = process.communicate(given, timeout=LOOK_S)
                except subprocess.TimeoutExpired:
                    given = None
                    progress.look()
        except BaseException:
            process.kill()
            raise
    if process.returncode or not answer:
        raise UserError(f"the process that ran it {_death(process.returncode)}")
    result: T = _opened(answer)
    return result


class Progress:
    """Whether a child gets anywhere."""

    def __init__(self, pid: int, cpu_limit_s: float) -> None:
        self._process, self._seen, self._idle = psutil.Process(pid), -1.0, 0.0
        self._limit_s = cpu_limit_s

    def look(self) -> None:
        """To be called every :data:`LOOK_S`. Raises UserError where it stands still, or has had its time."""
        try:
            spent = sum(self._process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            return
        self._idle = self._idle + LOOK_S if spent == self._seen else 0.0
        self._seen = spent
        if self._idle >= STUCK_S:
            raise UserError(f"the process that ran it made no progress for {STUCK_S:g} s")
        if spent > self._limit_s:
            raise UserError(f"the process that ran it took more than {self._limit_s:g} s")


def be_quiet_and_offline() -> None:
    """In a child where blocks are tried: what they print goes nowhere, and nothing is fetched."""
    import logging
    import socket

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("no network while a block is tried")

    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    setattr(socket.socket, "connect", refuse)  # noqa: B010 - a method of a class written in C
    setattr(socket, "getaddrinfo", refuse)  # noqa: B010
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    # torch logs a traceback for each call that fails among fake tensors
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL + 1)


def _answer() -> NoReturn:
    """In a new process: take the call from the input, and answer; what the call prints goes to stderr."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(answer: bytes) -> None:
        output.write(answer)
        output.flush()

    _run(pickle.loads(sys.stdin.buffer.read()), send)


def _in_fork(call: Callable[[], T], cpu_limit_s: float) -> T:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads do not survive; see above
        pid = os.fork()
    if pid == 0:
        _run(call, sender.send_bytes)
    sender.close()
    try:
        answer = _wait(receiver, Progress(pid, cpu_limit_s))
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        receiver.close()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if answer is None:
        raise UserError(f"the process that ran it {_death(code)}")
    result: T = _opened(answer)
    return result


def _opened(answer: bytes) -> Any:
    value, error = pickle.loads(answer)
    if error is not None:
        raise error
    return value


def _run(call: Callable[[], Any], send: Callable[[bytes], Any]) -> NoReturn:
    """In the child: answer, and leave without any of the parent's clean-up."""
    try:
        import torch

        faulthandler.disable()  # how it died is said by the parent, in one line
        torch.set_num_threads(1)
        _limit_memory(available_bytes())
        try:
            answer = pickle.dumps((call(), None))
        except BaseException as error:
            answer = _pickled(error)
        send(answer)
    finally:
        os._exit(0)


def _limit_memory(available: int) -> None:
    try:
        import resource
    except ImportError:
        return
    mapped = psutil.Process().memory_info().vms
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + available
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _pickled(error: BaseException) -> bytes:
    """An exception for the parent, with where it was raised as a note; of a like kind where it cannot go."""
    where = "".join(traceback.format_tb(error.__traceback__))
    for like in (error, RuntimeError(f"{type(error).__name__}: {error}")):
        like.add_note(f"Recorded on real tensors, in another process:\n{where}")
        try:
            answer = pickle.dumps((None, like))
            pickle.loads(answer)
        except Exception:  # whatever a user's class does when it is rebuilt
            continue
        return answer
    raise AssertionError("a RuntimeError can be pickled")


def _wait(receiver: Connection, progress: Progress) -> bytes | None:
    """The child's answer; None where it died. Raises UserError where it stands still, or has had its time."""
    while not receiver.poll(LOOK_S):
        progress.look()
    try:
        return receiver.recv_bytes()
    except EOFError:
        return None


def _death(code: int) -> str:
    if code >= 0:
        return f"left with exit code {code}"
    name = signal.Signals(-code).name
    why = {"SIGSEGV": ", a fault in native code", "SIGKILL": ", as the kernel does when memory runs out"}
    return f"was killed by {name}{why.get(name, '')}"
