"""Training, in one loop, as the paper describes it (sections 3.5 and 4.1).

SGD with momentum; lr · (1 - iteration / iterations) ** power at each iteration; the loss is the cross entropy
of the main logits plus α times that of the auxiliary ones, ignored pixels left out.

Every random number of an iteration follows from (seed, iteration, process), and every sample from its place
in a stream (:mod:`ctxbench.segment.loader`). A run that is killed and resumed from any checkpoint therefore
takes the same steps, bit for bit on a CPU, as one that was not.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from lightning_fabric.plugins.precision import Precision
from torch import Tensor
from torch.nn import SyncBatchNorm, functional
from torch.optim import SGD

from ctxbench.errors import UserError
from ctxbench.files import write_text, writing
from ctxbench.measure.environment import environment
from ctxbench.segment.augment import Augment
from ctxbench.segment.checkpoint import Checkpoint, load_model, write_tensors
from ctxbench.segment.config import TrainConfig
from ctxbench.segment.curves import write_report
from ctxbench.segment.data.dataset import IGNORE
from ctxbench.segment.engine import (
    USAGE,
    claimed,
    deterministic,
    device_of,
    ending_together,
    fabric_of,
    first_process,
    passes,
    precision_of,
)
from ctxbench.segment.evaluate import evaluate
from ctxbench.segment.job import Job
from ctxbench.segment.loader import train_loader
from ctxbench.segment.logs import Logs
from ctxbench.segment.results import write_evaluation
from ctxbench.segment.run import CONFIG, TrainedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a training has come, for whoever shows it."""

    title: str
    """What is trained."""
    done: int
    total: int
    """Iterations."""
    loss: float = float("nan")
    lr: float = float("nan")
    images_per_s: float = 0.0
    evaluated: tuple[int, int] | None = None
    """While it is evaluated: images, of how many."""


Show = Callable[[Progress], None]


def train(config: TrainConfig, out: Path, *, progress: Show | None = None) -> TrainedRun:
    """Train and evaluate; write everything to ``out``.

    Raises UserError for bad input, where ``out`` holds a run or cannot be written, and where the loss is NaN.
    """
    places: dict[str, Any] = {
        name: str(Path(place).absolute())
        for name in ("root", "weights", "init")
        if (place := getattr(config, name)) is not None
    }
    return _run(replace(config, **places), out, progress, fresh=True)


def resume(folder: Path, *, progress: Show | None = None) -> TrainedRun:
    """Go on with a run from its last checkpoint, to the weights it would have had.

    Raises UserError as :func:`train` does, and where the data or the settings have changed.
    """
    return _run(TrainedRun(folder).config, folder, progress, fresh=False)


def _run(config: TrainConfig, folder: Path, progress: Show | None, fresh: bool) -> TrainedRun:
    device = device_of(config)
    passes(config)
    job = Job.prepare(config)
    precision = precision_of(config, device)
    fabric = fabric_of(config, device, precision)
    with ExitStack() as stack:
        if first_process():
            stack.enter_context(claimed(folder, fresh))
        stack.enter_context(deterministic(config.deterministic))
        fabric.launch()
        stack.enter_context(ending_together(fabric))
        folder = fabric.broadcast(folder)  # a default has the time in its name
        _Training(fabric, precision, job, folder, progress).run()
        if config.baseline and config.without_context != replace(config, baseline=False):
            job = Job.prepare(config.without_context)
            _Training(fabric, precision, job, folder / "baseline", progress).run()
        if first_process():
            write_report(TrainedRun(folder))
    return TrainedRun(folder)


class _Training:
    """One network's way from its start, or its last checkpoint, to the end."""

    def __init__(
        self, fabric: Fabric, precision: Precision, job: Job, folder: Path, show: Show | None
    ) -> None:
        self.fabric, self.precision, self.job, self.folder = fabric, precision, job, folder
        self.show = show if show is not None and first_process() else lambda _: None
        self.config, self.network, self.iterations = job.config, job.network, job.iterations
        self.format = torch.channels_last if self.config.channels_last else torch.contiguous_format
        self.done = 0
        self.best: float | None = None
        self._assemble()

    def _assemble(self) -> None:
        """Take up the last checkpoint, if there is one, and hand network and optimizer to the engine."""
        path = self.folder / "last.ckpt"
        kept = Checkpoint.read(path) if path.exists() else None
        if kept is not None:
            self.job.check(kept, path)
            load_model(self.network, kept.model, path)
        if self.fabric.world_size > 1:
            if self.fabric.device.type == "cuda":
                SyncBatchNorm.convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]
            elif first_process():
                log.warning("batch norm is not synchronised: SyncBatchNorm runs on GPUs alone")
        self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        body = list(self.network.backbone.parameters())
        known = set(body)
        groups = [
            {"params": body, "factor": 1.0},
            {
                "params": [p for p in self.network.parameters() if p not in known],
                "factor": self.config.head_lr_factor,
            },
        ]
        config = self.config
        self.sgd = SGD(groups, config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
        model: Any = torch.compile(self.network) if config.compile else self.network
        self.model, self.optimizer = self.fabric.setup(model, self.sgd)
        if kept is not None:
            self.sgd.load_state_dict(kept.optimizer)
            self.precision.load_state_dict(kept.scaler)
            self.done, self.best = kept.iteration, kept.best

    def run(self) -> None:
        """Train to the end."""
        config, start = self.config, self.done
        self.network.train()
        self.logs = self._begin() if first_process() else None
        batches = train_loader(
            self.job.train_set,
            Augment(config.crop, (config.scale[0], config.scale[1]), config.flip, config.colour),
            batch=passes(config),
            seed=config.seed,
            start=start * config.accumulate,
            count=(self.iterations - start) * config.accumulate,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            workers=config.workers,
        )
        for done in range(start + 1, self.iterations + 1):
            self.done = done
            began = time.perf_counter()
            lr = self._set_rate()
            losses, waited = self._step(batches)
            spent = time.perf_counter() - began
            last = done == self.iterations
            if self.logs is not None and (last or done % config.log_every == 0):
                values = dict(zip(("loss", "main", "aux"), losses, strict=True))
                pace = {"lr": lr, "images_per_s": config.batch / spent, "wait_share": waited / spent}
                self.logs.step({**self._place(), **values, **pace})
            self.now = Progress(config.title, done, self.iterations, losses[0], lr, config.batch / spent)
            self.show(self.now)
            if last or (config.evaluate_every and done % config.evaluate_every == 0):
                self._evaluate(last)
            if last or (config.checkpoint_every and done % config.checkpoint_every == 0):
                self._save(self.folder / "last.ckpt", self.sgd.state_dict())
        if self.logs is not None:
            self.logs.close()

    def _begin(self) -> Logs:
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        if not (self.folder / CONFIG).exists():
            write_text(self.folder / CONFIG, self.config.to_toml())
        known = {
            **environment(str(self.fabric.device)),
            "processes": self.fabric.world_size,
            "command": ["ctxbench", *sys.argv[1:]],
            "from_iteration": self.done,
        }
        write_text(self.folder / "environment.json", json.dumps(known, indent=1) + "\n")
        return Logs(self.folder, self.done)

    def _place(self) -> dict[str, float]:
        return {"iteration": self.done, "epoch": self.done * self.config.batch / len(self.job.train_set)}

    def _set_rate(self) -> float:
        """Set the learning rate of the iteration under way; return the backbone's."""
        rate: float = self.config.lr * (1 - (self.done - 1) / self.iterations) ** self.config.power
        for group in self.sgd.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def _step(self, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[list[float], float]:
        """Take one step; return its losses (whole, main, auxiliary) and the seconds of waiting for data."""
        config, fabric, waited = self.config, self.fabric, 0.0
        state = np.random.SeedSequence([config.seed, self.done, fabric.global_rank]).generate_state(1)
        seed_everything(int(state[0]), verbose=False)
        summed = torch.zeros(3, device=fabric.device)
        offending = None
        for part in range(config.accumulate):
            asked = time.perf_counter()
            images, labels = next(batches)
            waited += time.perf_counter() - asked
            images = images.to(fabric.device, non_blocking=True, memory_format=self.format)
            labels = labels.to(fabric.device, non_blocking=True)
            with fabric.no_backward_sync(self.model, enabled=part + 1 < config.accumulate):
                main, auxiliary = (
                    cross_entropy(logits, labels) if logits is not None else summed.new_zeros(())
                    for logits in self.model(images)
                )
                loss = main + config.aux_weight * auxiliary
                fabric.backward(loss / config.accumulate)
            if not torch.isfinite(loss):
                offending = {"images": images.cpu(), "labels": labels.cpu()}
            summed += torch.stack([loss, main, auxiliary]).detach() / config.accumulate
        gathered = fabric.all_gather(summed)
        assert isinstance(gathered, Tensor)
        each = gathered.view(-1, 3)  # a row for each process
        if not torch.isfinite(each).all():
            self._stop(each[:, 0], offending)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return each.mean(0).tolist(), waited

    def _stop(self, losses: Tensor, offending: dict[str, Tensor] | None) -> None:
        """End all processes alike: the first with a loss that is no number keeps its batch."""
        path = self.folder / "nan-batch.pt"
        if self.fabric.global_rank == int((~torch.isfinite(losses)).nonzero()[0]) and offending is not None:
            write_tensors(path, offending)
        self.fabric.barrier()
        if not first_process():
            raise SystemExit(USAGE)
        safer = "" if self.config.precision == "32-true" else ", or precision=32-true"
        raise UserError(
            f"the loss is {losses.sum():g} at iteration {self.done}; its batch is in {path}: "
            f"look at it, or try an lr below {self.config.lr:g}{safer}"
        )

    def _evaluate(self, last: bool) -> None:
        if self.fabric.world_size > 1:  # statistics of batches are each process's own
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)
        evaluation = evaluate(
            self.network,
            self.job.eval_set,
            device=str(self.fabric.device),
            precision=self.config.precision,
            workers=self.config.workers,
            progress=lambda done, total: self.show(replace(self.now, evaluated=(done, total))),
        )
        if self.logs is None:
            return
        scores = {"miou": evaluation.miou, "pixel_accuracy": evaluation.pixel_accuracy}
        self.logs.evaluation({**self._place(), **scores})
        if self.best is None or evaluation.miou > self.best:
            self.best = evaluation.miou
            self._save(self.folder / "best.ckpt", {})
        if last:
            evaluation = replace(
                evaluation,
                network=self.config.title,
                backbone=self.config.backbone,
                checkpoint="last",
                skipped=self.job.skipped,
            )
            write_evaluation(self.folder / "evaluation", evaluation)

    def _save(self, path: Path, optimizer: dict[str, object]) -> None:
        if self.logs is None:
            return
        self.logs.flush()
        Checkpoint(
            model=self.network.state_dict(),
            optimizer=optimizer,
            scaler=self.precision.state_dict(),
            iteration=self.done,
            best=self.best,
            samples=len(self.job.train_set),
            classes=list(self.job.train_set.classes),
            config=self.config.digest,
        ).write(path)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of (N, K, H, W) with (N, H, W) over pixels not ignored; 0 where all are."""
    counted = (labels != IGNORE).sum().clamp(min=1)
    each = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return each.sum() / counted
