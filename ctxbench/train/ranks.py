"""The ranks of a training on this machine: rank 0 starts the others, and all of them end together.

Rank 0 is the process that the user started. It starts the others by its own command line with LOCAL_RANK set,
as Lightning's launcher would; that launcher is not used, for it kills rank 0 without a word when another rank
dies. Under torchrun nothing is started or ended here.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lightning_fabric import Fabric

from ctxbench.errors import UserError
from ctxbench.train.config import TrainConfig
from ctxbench.train.engine import INTERRUPTED, USAGE, is_rank_zero, local_world_size, under_torchrun

Rank = subprocess.Popen[bytes]
NAMES = ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What the environment tells all ranks, and Fabric."""
PARENT = "CTXBENCH_RANK_ZERO"
"""In the environment of a rank that was started here: the process id of rank 0."""
POLL_S = 0.5
GRACE_S = 10.0
"""How long a rank may take to fail by itself once another is dead: a collective of gloo fails at once, one of
NCCL may hang."""


@contextmanager
def launched(fabric: Fabric, config: TrainConfig, advice: Callable[[], str]) -> Iterator[None]:
    """Start the other ranks, and connect with them; within it, one that fails ends them all.

    Raises:
        UserError: another rank was killed, or failed in a way that is not bad input. The line ends with
            ``advice()``, which says what to change and how to go on.
        SystemExit: another rank stopped at bad input, which it has said itself.
        KeyboardInterrupt: another rank was interrupted.

    """
    before = dict(os.environ)
    children = _start_others(local_world_size(config)) if _starts_others(config) else []
    over = threading.Event()
    watch = _watch_parent if PARENT in os.environ else _watch_children
    if children or PARENT in os.environ:
        threading.Thread(target=watch, args=(children, over, advice), daemon=True).start()
    try:
        fabric.launch()
        yield
    except RuntimeError as error:  # perhaps because the connection to another rank broke
        _explain(children, error, advice)
        raise
    except BaseException:
        for child in children:  # they wait for this rank in a collective, for ever
            child.kill()
        raise
    finally:
        over.set()
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
            child.kill()
            child.wait()
        for name in NAMES if children else ():
            os.environ.pop(name, None) if name not in before else os.environ.update({name: before[name]})


@contextmanager
def rank_zero_says() -> Iterator[None]:
    """Within it, bad input that all ranks meet alike is told by rank 0 alone."""
    try:
        yield
    except UserError:
        if not is_rank_zero():
            raise SystemExit(USAGE) from None
        raise


def _starts_others(config: TrainConfig) -> bool:
    return local_world_size(config) > 1 and not under_torchrun() and "LOCAL_RANK" not in os.environ


def _start_others(local_ranks: int) -> list[Rank]:
    """Start ranks 1 and up by this process's command line; set what the environment must tell all of them."""
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(_free_port()))
    main = sys.modules["__main__"].__spec__
    command = ["-m", main.name] if main is not None else [os.path.abspath(sys.argv[0])]  # noqa: PTH100
    children = [
        subprocess.Popen(
            [sys.executable, *command, *sys.argv[1:]],
            env={**os.environ, "LOCAL_RANK": str(rank), PARENT: str(os.getpid())},
        )
        for rank in range(1, local_ranks)
    ]
    os.environ["LOCAL_RANK"] = "0"  # by this Fabric knows that the ranks are there
    return children


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _explain(children: list[Rank], error: RuntimeError, advice: Callable[[], str]) -> None:
    """Raise in place of ``error`` what another rank's end says of it, if one ends within the grace."""
    deadline = time.monotonic() + GRACE_S * (2 if PARENT in os.environ else 1)
    while time.monotonic() < deadline and (children or PARENT in os.environ):
        if PARENT in os.environ:  # rank 0 is dead, or ends this rank within its own grace
            _end_without_parent()
        _raise_for(children, error, advice)
        time.sleep(POLL_S / 5)


def _raise_for(children: list[Rank], error: Exception | None, advice: Callable[[], str]) -> None:
    for rank, child in enumerate(children, 1):
        code = child.poll()
        if code == USAGE:
            raise SystemExit(USAGE) from error
        if code == INTERRUPTED:
            raise KeyboardInterrupt from error
        if code:
            raise UserError(f"{_death(rank, code, len(children) + 1)}; {advice()}") from error


def _death(rank: int, code: int, ranks: int) -> str:
    if code > 0:
        return f"rank {rank} of {ranks} ended with exit code {code}"
    name = signal.Signals(-code).name
    why = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return f"rank {rank} of {ranks} was killed by {name}{why}"


def _watch_children(children: list[Rank], over: threading.Event, advice: Callable[[], str]) -> None:
    """End rank 0, with the reason, where it does not fail by itself after another rank has died."""
    while not over.wait(POLL_S):
        if any(child.poll() for child in children):
            break
    if over.wait(GRACE_S):
        return
    try:
        _raise_for(children, None, advice)
    except UserError as error:
        print(f"ctxbench: {error}", file=sys.stderr, flush=True)
    except BaseException:  # that rank has said why
        pass
    for child in children:
        child.kill()
    os._exit(USAGE)


def _watch_parent(_: object, over: threading.Event, __: object) -> None:
    """End this rank where rank 0 is gone."""
    while not over.wait(POLL_S):
        _end_without_parent()


def _end_without_parent() -> None:
    if os.getppid() != int(os.environ[PARENT]):
        os._exit(USAGE)
