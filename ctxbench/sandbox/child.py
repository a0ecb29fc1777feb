"""A call in a process of its own, a copy of this one, so that what crashes there costs only its result."""

from __future__ import annotations

import faulthandler
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
import torch

from ctxbench.errors import UserError, in_one_line
from ctxbench.sandbox.host import available_bytes

T = TypeVar("T")

STUCK_S = 60.0
"""Wall-clock time without any CPU time, after which a child is given up: it waits for a lost lock."""
LOOK_S = 2.0
LOST_THREADS = "autograd's threading in combination with fork"
"""What torch says where a fork has lost the threads that autograd runs for a GPU."""


def in_child(call: Callable[[], T]) -> T:
    """What ``call`` returns, computed in another process; its exceptions are raised here.

    That is a fork of this one, which can run whatever this one can. Where there is no fork, or autograd has
    threads for a GPU (which a fork has lost), it is a new one, which ``call`` is sent to.

    The child computes in one thread (the others do not survive a fork), and may not take more memory than
    there is: beyond that an allocation fails there, and this process, or another, is not killed for it.

    Raises UserError where the child is killed, as by a fault in native code, or makes no progress, or where
    ``call`` cannot be sent to a new process.
    """
    if not hasattr(os, "fork"):
        return in_new_process(call)
    try:
        return _in_fork(call)
    except RuntimeError as error:
        if LOST_THREADS not in str(error):
            raise
    return in_new_process(call)


def in_new_process(call: Callable[[], T]) -> T:
    """As :func:`in_child`, in a new interpreter: ``call`` has to be one that can be pickled."""
    try:
        sent = pickle.dumps(call)
    except Exception as error:  # whatever a user's class does when it is pickled
        raise UserError(f"it needs a new process and cannot be sent there: {in_one_line(error)}") from error
    code = f"import sys; sys.path[:] = {sys.path!r}; from ctxbench.sandbox.child import _answer; _answer()"
    ran = subprocess.run([sys.executable, "-c", code], input=sent, stdout=subprocess.PIPE, check=False)
    if ran.returncode or not ran.stdout:
        raise UserError(f"the process that recorded it {_death(ran.returncode)}")
    result: T = _opened(ran.stdout)
    return result


def _answer() -> NoReturn:
    """In a new process: take the call from the input, and answer; what the call prints goes to stderr."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(answer: bytes) -> None:
        output.write(answer)
        output.flush()

    _run(pickle.loads(sys.stdin.buffer.read()), send)


def _in_fork(call: Callable[[], T]) -> T:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads do not survive; see above
        pid = os.fork()
    if pid == 0:
        _run(call, sender.send_bytes)
    sender.close()
    try:
        answer = _wait(receiver, pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        receiver.close()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if answer is None:
        raise UserError(f"the process that recorded it {_death(code)}")
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


def _wait(receiver: Connection, pid: int) -> bytes | None:
    """The child's answer; None where it died. Raises UserError where it stands still."""
    process, seen, idle = psutil.Process(pid), -1.0, 0.0
    while not receiver.poll(LOOK_S):
        spent = sum(process.cpu_times()[:2])
        idle = idle + LOOK_S if spent == seen else 0.0
        seen = spent
        if idle >= STUCK_S:
            raise UserError(f"the process that recorded it made no progress for {STUCK_S:g} s")
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
