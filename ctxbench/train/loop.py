"""Training, in one loop, as the paper describes it (sections 3.5 and 4.1).

SGD with momentum, or AdamW; lr · (1 - iteration / iterations) ** power at each iteration; the loss is the
cross entropy of the main logits plus α times that of the auxiliary ones, ignored pixels left out.

Every random number of an iteration follows from (seed, iteration, process), and every sample from its place
in a stream (:mod:`ctxbench.data.loader`). A run that is killed and resumed from any checkpoint therefore
takes the same steps, bit for bit on a CPU, as one that was not.
"""

import json
import sys
import tomllib
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision

from ctxbench.data.augment import Augment
from ctxbench.data.loader import train_loader
from ctxbench.evaluate.files import write_evaluation
from ctxbench.evaluate.loop import evaluate
from ctxbench.files import write_text, writing
from ctxbench.measure.environment import environment
from ctxbench.subject import resolve
from ctxbench.train.checkpoint import Checkpoint, load_model
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.curves import write_report
from ctxbench.train.engine import (
    claimed,
    deterministic,
    device_of,
    ending_together,
    fabric_of,
    first_process,
    passes,
    precision_of,
)
from ctxbench.train.job import Job
from ctxbench.train.logs import Logs
from ctxbench.train.run import CONFIG, ENVIRONMENT, LAST, TrainedRun
from ctxbench.train.step import Stepper


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
    images_per_s: float = float("nan")
    miou: float | None = None
    """Of the last evaluation, in percent."""
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
    if config.context not in (None, "none"):
        places["context"] = resolve.canonical(config.context)
    # a resumed run reads its config.toml, where a tuple has become a list: make it one now, or the digest of
    # the resumed run would differ from the one in its checkpoint
    stored = configure(tomllib.loads(replace(config, **places).to_toml()))
    return _run(stored, out, progress, begun=None)


def resume(folder: Path, *, progress: Show | None = None) -> TrainedRun:
    """Go on with a run from its last checkpoint, to the weights it would have had.

    Raises UserError as :func:`train` does, and where the data or the settings have changed.
    """
    begun = TrainedRun(folder)
    return _run(begun.config, folder, progress, begun)


def _run(config: TrainConfig, folder: Path, progress: Show | None, begun: TrainedRun | None) -> TrainedRun:
    device = device_of(config)
    passes(config)
    job = Job.prepare(config, begun=(folder / LAST).exists())
    precision = precision_of(config, device)
    fabric = fabric_of(config, device, precision)
    with ExitStack() as stack:
        if first_process():
            stack.enter_context(claimed(folder, fresh=begun is None))
        stack.enter_context(deterministic(config.deterministic))
        fabric.launch()
        stack.enter_context(ending_together(fabric))
        folder = fabric.broadcast(folder)  # a default has the time in its name
        _Training(fabric, precision, job, folder, progress).run()
        if config.baseline and config.without_context != replace(config, baseline=False):
            below = folder / "baseline"
            job = Job.prepare(config.without_context, begun=(below / LAST).exists())
            _Training(fabric, precision, job, below, progress).run()
        run = begun or TrainedRun(folder)
        if first_process():
            write_report(run)
    return run


class _Training:
    """One network's way from its start, or its last checkpoint, to the end."""

    def __init__(
        self, fabric: Fabric, precision: Precision, job: Job, folder: Path, show: Show | None
    ) -> None:
        self.fabric, self.precision, self.job, self.folder = fabric, precision, job, folder
        self.show = show if show is not None and first_process() else lambda _: None
        self.done = 0
        self.best: float | None = None
        self.now = Progress(job.config.title, 0, job.iterations)
        path = folder / LAST
        kept = Checkpoint.read(path) if path.exists() else None
        if kept is not None:
            job.check(kept, path)
            load_model(job.network, kept.model, path)
            self.done, self.best = kept.iteration, kept.best
        self.stepper = Stepper(fabric, precision, job.config, job.network, job.iterations)
        if kept is not None:
            self.stepper.load_state(kept.optimizer, kept.scaler)

    def run(self) -> None:
        """Train to the end, unless it is there."""
        if self.done == self.job.iterations:
            return
        self.logs = self._begin() if first_process() else None
        with self.logs or nullcontext():
            self._iterate()

    def _iterate(self) -> None:
        config, start, end = self.job.config, self.done, self.job.iterations
        self.job.network.train()
        batches = train_loader(
            self.job.train_set,
            Augment(config.crop, (config.scale[0], config.scale[1]), config.flip, config.colour),
            batch=passes(config),
            seed=config.seed,
            start=start * config.accumulate,
            count=(end - start) * config.accumulate,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            workers=config.workers,
        )
        for self.done in range(start + 1, end + 1):
            step = self.stepper.step(self.done, batches, self.folder)
            if self.logs is not None and self._due(config.log_every):
                self.logs.step({**self._place(), **vars(step)})
            self.now = Progress(
                config.title, self.done, end, step.loss, step.lr, step.images_per_s, self.now.miou
            )
            if self._due(config.evaluate_every):
                self._evaluate()
            self.show(self.now)
            if self._due(config.checkpoint_every):
                self._save(self.folder / LAST, self.stepper.rule.state_dict())

    def _due(self, every: int) -> bool:
        """Whether what is done ``every`` so many iterations, and after the last, is to be done now."""
        return self.done == self.job.iterations or (every > 0 and self.done % every == 0)

    def _begin(self) -> Logs:
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        if not (self.folder / CONFIG).exists():
            write_text(self.folder / CONFIG, self.job.config.to_toml())
        start = {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_iteration": self.done,
            "command": sys.argv,
            "weights": self.job.loaded,
            "processes": self.fabric.world_size,
            **environment(str(self.fabric.device)),
        }
        starts = [*TrainedRun(self.folder).starts, start]
        write_text(self.folder / ENVIRONMENT, json.dumps(starts, indent=1) + "\n")
        return Logs(self.folder, self.done)

    def _place(self) -> dict[str, float]:
        return {"iteration": self.done, "epoch": self.done * self.job.config.batch / len(self.job.train_set)}

    def _evaluate(self) -> None:
        evaluation = evaluate(
            self.job.network,
            self.job.eval_set,
            device=str(self.fabric.device),
            precision=self.job.config.precision,
            workers=self.job.config.workers,
            progress=lambda done, total: self.show(replace(self.now, evaluated=(done, total))),
        )
        self.now = replace(self.now, miou=evaluation.miou)
        if self.logs is None:
            return
        scores = {"miou": evaluation.miou, "pixel_accuracy": evaluation.pixel_accuracy}
        self.logs.evaluation({**self._place(), **scores})
        if evaluation.miou > (-1 if self.best is None else self.best):
            self.best = evaluation.miou
            self._save(self.folder / "best.ckpt", {})
        if self.done == self.job.iterations:
            evaluation = replace(
                evaluation,
                network=self.job.config.title,
                backbone=self.job.config.backbone,
                checkpoint="last",
                skipped=self.job.skipped,
            )
            write_evaluation(self.folder / "evaluation", evaluation)

    def _save(self, path: Path, optimizer: dict[str, object]) -> None:
        if self.logs is None:
            return
        self.logs.flush()
        Checkpoint(
            model=self.job.network.state_dict(),
            optimizer=optimizer,
            scaler=self.precision.state_dict(),
            iteration=self.done,
            best=self.best,
            samples=len(self.job.train_set),
            classes=list(self.job.train_set.classes),
            config=self.job.config.digest,
        ).write(path)
