"""Training, in one loop, as RecoNet's paper describes it (sections 3.5 and 4.1).

SGD with momentum, or AdamW; lr · (1 - iteration / iterations) ** power at each iteration; the loss is the
cross entropy of the main logits plus α times that of the auxiliary ones, ignored pixels left out.

Every random number of an iteration follows from (seed, iteration, process), and every sample from its place
in a stream (:mod:`ctxbench.data.loader`). A run that is killed and resumed from any checkpoint therefore
takes the same steps, bit for bit on a CPU, as one that was not.
"""

import tomllib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctxbench.subject import resolve
from ctxbench.train import loggers
from ctxbench.train.checkpoint import Checkpoint, load_model
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.curves import Trained, write_report
from ctxbench.train.job import Job
from ctxbench.train.launch import failures
from ctxbench.train.launch.engine import (
    claimed,
    deterministic,
    device_of,
    fabric_of,
    is_rank_zero,
    micro_batch_size,
    precision_of,
)
from ctxbench.train.launch.ranks import launched, rank_zero_says
from ctxbench.train.launch.stopping import stopping
from ctxbench.train.run import LAST
from ctxbench.train.training import Session, Show, Training


def train(config: TrainConfig, out: Path, *, progress: Show | None = None) -> Trained:
    """Train and evaluate; write everything to ``out``.

    Raises:
        UserError: bad input; ``out`` holds a run or cannot be written; the loss is NaN; memory, a loader's
            process or another rank gave out, and how to go on.
        KeyboardInterrupt: SIGINT or SIGTERM came; a checkpoint of what was done is then written.

    """
    places: dict[str, Any] = {
        name: str(Path(place).absolute())
        for name in ("root", "weights", "init")
        if (place := getattr(config, name)) is not None
    }
    if config.context not in (None, "none"):
        places["context"] = resolve.canonical(config.context)
    # a resumed run reads its config.toml, where a tuple has become a list: make it one now, or the digest of
    # the resumed run would differ from the one in its checkpoint
    stored = configure(tomllib.loads(replace(config, **places).to_toml()))
    return _run(stored, out, progress, begun=None)


def resume(folder: Path, *, progress: Show | None = None) -> Trained:
    """Go on with a run from its last checkpoint, to the weights it would have had.

    Raises as :func:`train` does, and UserError where the data or the settings have changed.
    """
    begun = Trained(folder)
    return _run(begun.config, folder, progress, begun)


def _run(config: TrainConfig, folder: Path, progress: Show | None, begun: Trained | None) -> Trained:
    loggers.check(config.log or ())
    device = device_of(config)
    micro_batch_size(config)
    job, kept = _taken_up(config, folder)
    precision = precision_of(config, device)
    fabric = fabric_of(config, device, precision)
    with ExitStack() as stack:
        if is_rank_zero():
            stack.enter_context(claimed(folder, fresh=begun is None))
        stop = stack.enter_context(stopping())
        stack.enter_context(deterministic(config.deterministic))
        stack.enter_context(launched(fabric, config, lambda: failures.of_a_rank(config, folder)))
        folder = fabric.broadcast(folder)  # all ranks use rank 0's: the default name has the time in it
        show = progress if progress is not None and is_rank_zero() else lambda _: None
        session = Session(fabric, precision, folder, stop, show)
        training = Training(session, job, folder, kept)
        del kept  # a copy of weights and optimizer that would stay in memory
        training.run()
        if config.baseline and config.without_context != replace(config, baseline=False):
            below = folder / "baseline"
            with rank_zero_says():
                job, kept = _taken_up(config.without_context, below)
            training = Training(session, job, below, kept)
            del kept
            training.run()
        run = begun or Trained(folder)
        if is_rank_zero():
            write_report(run)
    return run


def _taken_up(config: TrainConfig, folder: Path) -> tuple[Job, Checkpoint | None]:
    """What is to be trained, and the state that a run's folder has of it, if it has one.

    Raises UserError where a file, a split or the network cannot be had, or the checkpoint is damaged or of
    another training.
    """
    path = folder / LAST
    if not path.exists():
        return Job.prepare(config), None
    kept = Checkpoint.read(path)
    job = Job.prepare(config, begun=True)
    job.check(kept, path)
    load_model(job.network, kept.model, path)
    return job, kept
