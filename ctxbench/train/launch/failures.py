"""Failures of the machine in one line each: what ran out, what to change, how to go on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ctxbench.errors import UserError
from ctxbench.train.config import TrainConfig

MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory", "Cannot allocate memory"),
    "Storage size calculation overflowed",
)
"""In the messages of CUDA, of torch's allocators, of the system, and of what no memory would hold."""
SHARED = ("shared memory", "shm", "No space left on device", "ancdata", "Too many open files")
"""In the messages of what workers hand their samples over by."""
MORE_SHARED = "give it more memory or shared memory (/dev/shm; docker's --shm-size)"


def go_on(folder: Path) -> str:
    """The command that goes on with a run."""
    return f"go on with `ctxbench train --resume {folder}`"


def of_a_rank(config: TrainConfig, folder: Path) -> str:
    """What to change after the death of a rank, and how to go on."""
    return (
        f"{go_on(folder)}, with fewer devices (now {config.devices}) or workers (now {config.workers}) in "
        "its config.toml where memory is short"
    )


@contextmanager
def in_training(config: TrainConfig, folder: Path) -> Iterator[None]:
    """Turn a failure of the machine within it into a UserError."""
    advice = (
        f"take a smaller batch (now {config.batch}) or crop (now {config.crop}), or a larger accumulate (now "
        f"{config.accumulate}), in a new run with --init {folder}; or, where more memory is free, "
        f"{go_on(folder)}"
    )
    with _explained(advice, _fewer_workers(config, folder)):
        yield


@contextmanager
def in_evaluation(config: TrainConfig, folder: Path) -> Iterator[None]:
    """The same while the network is evaluated, when its training is on disk already."""
    kept = "the training so far is kept"
    advice = (
        f"where more memory is free, or with device in {folder}/config.toml set to 'cpu', {go_on(folder)}"
    )
    try:
        with _explained(f"{kept}; {advice}", _fewer_workers(config, folder)):
            yield
    except UserError as error:
        message = str(error)
        raise UserError(
            message if kept in message else f"{message}; {kept}: mend this, then {go_on(folder)}"
        ) from error


@contextmanager
def of_finished_run() -> Iterator[None]:
    """The same for the verbs that look at a trained network, whose run has nothing to lose."""
    with _explained(
        "take smaller images, smaller --scales, a smaller --sliding window or --batch, or the cpu",
        f"give fewer --workers (0 needs no shared memory), or {MORE_SHARED}",
    ):
        yield


@contextmanager
def _explained(of_memory: str, of_workers: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(f"out of memory{_wanted(error)}: {of_memory}") from error
    except (RuntimeError, OSError) as error:
        message = str(error)
        if "DataLoader worker" in message or any(words in message for words in SHARED):
            raise UserError(f"{_worker(message)}; {of_workers}") from error
        if any(words in message for words in MEMORY):
            raise UserError(f"out of memory{_wanted(error)}: {of_memory}") from error
        raise


def _wanted(error: BaseException) -> str:
    """The part of an allocator's message that says how much was asked for."""
    size = re.search(r"[Tt]ried to allocate ([\d.]+ ?\w+)", str(error))
    return f" ({size[1]} asked for)" if size else ""


def _worker(message: str) -> str:
    if "Killed" in message:
        return "a process that loads data was killed, as the kernel does when memory runs out"
    if any(words in message for words in SHARED):
        return f"the processes that load data ran out of shared memory ({message.strip().splitlines()[0]})"
    return f"a process that loads data died ({message.strip().splitlines()[0]})"


def _fewer_workers(config: TrainConfig, folder: Path) -> str:
    return (
        f"lower workers (now {config.workers}; 0 needs no shared memory) in {folder}/config.toml, or "
        f"{MORE_SHARED}, then {go_on(folder)}"
    )
