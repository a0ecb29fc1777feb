"""What a grid of trainings will take, from timed iterations of its cheapest and most expensive network."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ctxbench.evaluate.predict import Setting
from ctxbench.study.executors.here import Here, cores
from ctxbench.study.whole.running import run_trials
from ctxbench.study.whole.trial import SINGLE_SCALE, Trial, words, write_plan
from ctxbench.tracing import trace, views
from ctxbench.train.config import TrainConfig
from ctxbench.train.job import Job
from ctxbench.train.run import TrainedRun, network_of

TIMED = 5
"""Iterations that are timed; the first, which warms up, is left out."""


@dataclass(frozen=True)
class Estimate:
    """What runs will take. Seconds are of this machine, measured now, with as many at once as there will be.

    ``cheapest_s`` and ``costliest_s`` are of one iteration; ``seconds``, by name, of a whole run. They are
    empty where the timing failed, for the ``reason``.
    """

    runs: int
    iterations: int
    jobs: int
    cheapest_s: float = 0.0
    costliest_s: float = 0.0
    seconds: Mapping[str, float] | None = None
    reason: str = ""

    @property
    def hours(self) -> float | None:
        """In all."""
        return None if self.seconds is None else sum(self.seconds.values()) / self.jobs / 3600

    def __str__(self) -> str:
        what = f"{self.runs} runs are to do, {self.iterations:,} iterations, {self.jobs} at once"
        if self.hours is None:
            return f"{what}; their time is not measured: {self.reason}"
        return (
            f"{what}; an iteration takes {self.cheapest_s:.3g} s of the cheapest network and "
            f"{self.costliest_s:.3g} s of the most expensive (timed), "
            f"so that all take about {self.hours:.2g} h."
        )


def estimate(trials: Sequence[Trial], executor: Here) -> Estimate:
    """Estimate what runs take.

    Networks between the cheapest and the most expensive are placed by their MACs. Evaluations in other ways
    than at one scale are taken to grow with the number of pixels.

    Raises UserError for a configuration that cannot be trained.
    """
    jobs = executor.jobs or cores()
    kinds = {_kind(trial): trial for trial in trials}
    jobs_by_kind = {kind: Job.prepare(trial.config) for kind, trial in kinds.items()}
    iterations = {trial.name: jobs_by_kind[_kind(trial)].iterations for trial in trials}
    macs = {kind: _macs(job) for kind, job in jobs_by_kind.items()}
    plain = Estimate(len(trials), sum(iterations.values()), jobs)
    ends = list(dict.fromkeys((min(macs, key=macs.__getitem__), max(macs, key=macs.__getitem__))))
    with tempfile.TemporaryDirectory(prefix="ctxbench-") as temporary:
        folder = Path(temporary)
        probes = [Trial(end, (), _short(kinds[end].config), (SINGLE_SCALE,)) for end in ends]
        write_plan(folder, {probe.name: probe for probe in probes})
        began = time.perf_counter()
        failed = run_trials(probes, folder, executor, dict.fromkeys(ends, 1.0))
        if failed:
            return replace(plain, reason=next(iter(failed.values())))
        rounds = -(-len(probes) // jobs)
        whole_s = (time.perf_counter() - began) / rounds
        each = [_iteration_s(probe, folder) for probe in probes]
        evaluation_s = max(probe.scores(folder)[words(SINGLE_SCALE)]["seconds"] for probe in probes)
    start_s = max(0.0, whole_s - TIMED * max(each))
    seconds = {}
    for trial in trials:
        step_s = float(np.interp(macs[_kind(trial)], [macs[end] for end in ends], each))
        again = sum(_pixels(setting) for setting in trial.settings if setting != SINGLE_SCALE)
        seconds[trial.name] = start_s + iterations[trial.name] * step_s + evaluation_s * again
    return replace(plain, cheapest_s=each[0], costliest_s=each[-1], seconds=seconds)


def _kind(trial: Trial) -> str:
    """Runs of one kind differ in their seeds."""
    return replace(trial.config, seed=0).digest


def _short(config: TrainConfig) -> TrainConfig:
    return replace(config, iterations=TIMED, checkpoint_every=0, log_every=1)


def _macs(job: Job) -> int:
    """Of the forward passes of one iteration, but for the auxiliary head's."""
    build = partial(network_of, job.config, len(job.train_set.classes))
    return job.config.batch * views.macs(trace(build, (1, 3, job.config.crop, job.config.crop)))


def _iteration_s(probe: Trial, folder: Path) -> float:
    pace = TrainedRun(probe.home(folder)).log()["images_per_s"][1:]
    return float((probe.config.batch / pace).median())


def _pixels(setting: Setting) -> float:
    return sum(scale**2 for scale in setting.scales) * (1 + setting.flip)
