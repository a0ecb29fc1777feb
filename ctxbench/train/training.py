"""The training loop of one network: its steps, its evaluations, and what it keeps of them as it goes."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision
from torch import Tensor

from ctxbench.data.augment import Augment
from ctxbench.data.loader import train_loader
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.files import write_evaluation
from ctxbench.evaluate.loop import evaluate
from ctxbench.files import write_text, writing
from ctxbench.measure.environment import environment
from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.job import Job
from ctxbench.train.launch import failures
from ctxbench.train.launch.engine import is_rank_zero, micro_batch_size
from ctxbench.train.launch.ranks import rank_zero_says
from ctxbench.train.launch.stopping import Interrupted, Stop
from ctxbench.train.logs import Logs
from ctxbench.train.run import CONFIG, ENVIRONMENT, EVALUATION, LAST, TrainedRun
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


@dataclass(frozen=True)
class Session:
    """What the trainings of one command share. ``home`` is the folder that the user would resume."""

    fabric: Fabric
    precision: Precision
    home: Path
    stop: Stop
    show: Show


class Training:
    """The training loop of one network.

    The state is on disk before anything is done that may fail or take long: a checkpoint is written when it
    is due, when an evaluation is, and when the training was asked to stop; and once more after an evaluation.
    """

    def __init__(self, session: Session, job: Job, folder: Path, kept: Checkpoint | None) -> None:
        self.session, self.job, self.folder = session, job, folder
        self.show, self.stop = session.show, session.stop
        self.done, self.evaluated = 0, 0
        self.best: float | None = None
        self.now = Progress(job.config.title, 0, job.iterations)
        self.stepper = Stepper(session.fabric, session.precision, job.config, job.network, job.iterations)
        if kept is not None:
            self.done, self.best = kept.iteration, kept.best
            self.evaluated = min(kept.iteration, kept.iteration if kept.evaluated is None else kept.evaluated)
            # an evaluation that was lost or removed is made again; rank 0 looks, others may have no disk
            if self.done == job.iterations and not session.fabric.broadcast(_has_evaluation(folder)):
                self.evaluated = min(self.evaluated, self.done - 1)
            with rank_zero_says():
                self.stepper.load_state(kept.optimizer, kept.scaler, folder / LAST)

    def run(self) -> None:
        """Train to the end and evaluate, as far as that is not done already."""
        if self.done == self.job.iterations and not self._evaluation_due():
            return
        self.logs = self._begin() if is_rank_zero() else None
        with self.logs or nullcontext():
            if self._evaluation_due():  # it failed, or was interrupted, after the checkpoint was written
                self._evaluate()
            self._iterate()

    def _iterate(self) -> None:
        batches = self._batches()
        self.job.network.train()
        while self.done < self.job.iterations:
            self.done += 1
            with self.stop.deferred(), failures.in_training(self.job.config, self.session.home):
                stopping = self._step(batches)
            if stopping:
                raise Interrupted(f"after iteration {self.done} of {self.job.iterations}, which is kept")
            if self._evaluation_due():
                self._evaluate()
            with self.stop.deferred():  # an interrupt here would keep nothing of what was done
                self.show(self.now)
        if self.stop.asked:  # while the last iteration was shown: no step is left to see it
            raise Interrupted(f"after iteration {self.done} of {self.job.iterations}, which is kept")

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        config, start = self.job.config, self.done
        return train_loader(
            self.job.train_set,
            Augment(config.crop, (config.scale[0], config.scale[1]), config.flip, config.colour),
            batch=micro_batch_size(config),
            seed=config.seed,
            start=start * config.accumulate,
            count=(self.job.iterations - start) * config.accumulate,
            rank=self.session.fabric.global_rank,
            world=self.session.fabric.world_size,
            workers=config.workers,
        )

    def _step(self, batches: Iterator[tuple[Tensor, Tensor]]) -> bool:
        """Take a step, log it, and keep the state where that is due; return whether to stop."""
        config = self.job.config
        step = self.stepper.step(self.done, batches, self.folder, self.stop)
        if self.logs is not None and self._due(config.log_every):
            self.logs.step({**self._place(), **vars(step), **step.others})
        self.now = replace(
            self.now, done=self.done, loss=step.loss, lr=step.lr, images_per_s=step.images_per_s
        )
        if step.stopping or self._due(config.checkpoint_every) or self._evaluation_due():
            self._save_state()
        return step.stopping

    def _due(self, every: int) -> bool:
        """Whether what is done ``every`` so many iterations, and after the last, is to be done now."""
        return self.done == self.job.iterations or (every > 0 and self.done % every == 0)

    def _evaluation_due(self) -> bool:
        """Whether an evaluation is due now that neither the state nor the logs have in them."""
        return 0 < self.done != self.evaluated and self._due(self.job.config.evaluate_every)

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
            "processes": self.session.fabric.world_size,
            **environment(str(self.session.fabric.device)),
        }
        starts = [*TrainedRun(self.folder).starts, start]
        write_text(self.folder / ENVIRONMENT, json.dumps(starts, indent=1) + "\n")
        config = self.job.config
        losses = self.job.network.losses
        return Logs(self.folder, self.done, self.evaluated, losses, config.log or (), config.in_force)

    def _place(self) -> dict[str, float]:
        return {"iteration": self.done, "epoch": self.done * self.job.config.batch / len(self.job.train_set)}

    def _evaluate(self) -> None:
        """Evaluate the network as it is, keep what that said, then the state that has it in it."""
        if self.stop.asked:
            raise Interrupted(f"before the evaluation after iteration {self.done}")
        config = self.job.config
        with rank_zero_says(), failures.in_evaluation(config, self.session.home):
            evaluation = evaluate(
                self.job.network,
                self.job.eval_set,
                device=str(self.session.fabric.device),
                precision=config.precision,
                workers=config.workers,
                progress=lambda done, total: self.show(replace(self.now, evaluated=(done, total))),
            )
        self.now = replace(self.now, miou=evaluation.miou)
        # Its row and files come first: a state that says "evaluated" has them beside it. They are short to
        # write, and an interrupt amid a library's write may come out as an error of that library.
        with self.stop.deferred():
            if self.logs is not None:
                self._keep(self.logs, evaluation)
            self.evaluated = self.done
            self._save_state()
        if self.stop.asked:
            raise Interrupted(f"after the evaluation of iteration {self.done}, which is kept")

    def _keep(self, logs: Logs, evaluation: Evaluation) -> None:
        config = self.job.config
        scores = {"miou": evaluation.miou, "pixel_accuracy": evaluation.pixel_accuracy}
        logs.evaluation({**self._place(), **scores})
        if evaluation.miou > (-1 if self.best is None else self.best):
            self.best = evaluation.miou
            self._save(self.folder / "best.ckpt", {})
        if self.done == self.job.iterations:
            last = replace(
                evaluation,
                network=config.title,
                backbone=config.backbone,
                checkpoint="last",
                skipped=self.job.skipped,
            )
            write_evaluation(self.folder / EVALUATION, last)
            logs.results({f"final/{name}": value for name, value in scores.items()})

    def _save_state(self) -> None:
        self._save(self.folder / LAST, self.stepper.raw_optimizer.state_dict())

    def _save(self, path: Path, optimizer: dict[str, object]) -> None:
        if self.logs is None:
            return
        self.logs.flush()
        Checkpoint(
            model=self.job.network.state_dict(),
            optimizer=optimizer,
            scaler=self.session.precision.state_dict(),
            iteration=self.done,
            best=self.best,
            samples=len(self.job.train_set),
            classes=list(self.job.train_set.classes),
            config=self.job.config.digest,
            evaluated=self.evaluated,
        ).write(path)


def _has_evaluation(folder: Path) -> bool:
    return (folder / EVALUATION / "metrics.json").is_file()
