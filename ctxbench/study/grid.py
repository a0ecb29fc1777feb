"""An ablation: cells × seeds, each a training in a process and a folder of its own.

A run is known by what it trains: cells that train the same weights share it, and so do the grids of one
folder. The plan is written first; the same call goes on where an earlier one stopped, and no finished run is
done again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ctxbench.evaluate.predict import Setting
from ctxbench.files import locked, writing
from ctxbench.study.estimate import estimate
from ctxbench.study.executor import Show, jobs_for, run_trials
from ctxbench.study.trial import SINGLE_SCALE, Trial, read_plan, words, write_plan
from ctxbench.train.config import TrainConfig
from ctxbench.train.engine import device_of
from ctxbench.train.job import Job
from ctxbench.train.run import TrainedRun

LOCK = "ablation.lock"


@dataclass(frozen=True)
class Cell:
    """A row of an ablation: what is trained, how its last weights are evaluated.

    The seed of ``config`` is set by the grid. ``start`` is the cell whose weights, of the same seed, it
    starts from.
    """

    label: str
    config: TrainConfig
    setting: Setting = SINGLE_SCALE
    start: "Cell | None" = None

    def trial(self, seed: int) -> Trial:
        """Its run for a seed."""
        start = self.start.trial(seed).name if self.start else None
        bare = replace(self.config, seed=0)
        name = f"{bare.digest}-seed{seed}" + (f"-from-{start.partition('-')[0]}" if start else "")
        return Trial(name, (self.label,), replace(self.config, seed=seed), (self.setting,), start)


@dataclass(frozen=True)
class Result:
    """What a cell scored: mIoU in % by seed, and why, by seed, where it did not."""

    cell: Cell
    miou: Mapping[int, float]
    reasons: Mapping[int, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    """Where it was evaluated."""
    starts: tuple[Sequence[Mapping[str, Any]], ...] = ()
    """Of the run of each seed that has a score: what is known of its starts."""

    @property
    def mean(self) -> float | None:
        """Over the seeds there are; None without any."""
        return fmean(self.miou.values()) if self.miou else None

    @property
    def sd(self) -> float | None:
        """The sample's standard deviation; None below two seeds."""
        return stdev(self.miou.values()) if len(self.miou) > 1 else None


def run_grid(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    folder: Path,
    *,
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Result]:
    """Train and evaluate every cell with every seed; return a result for each cell.

    On a CPU as many runs go on at once as it has cores, a thread each; on a GPU one. What goes
    wrong with a run costs that run alone; its reason is in the result, its output in ``folder/logs``.
    ``say`` is told what it will take, for which a few iterations are timed first.

    Raises UserError where ``folder`` cannot be written, is damaged, or another process works in it; and,
    with ``say``, before anything is trained for a setting or a data set that will not do.
    """
    with _claimed(folder):
        trials = planned(cells, seeds)
        write_plan(folder, _merged(read_plan(folder), trials))
        missing = [trial for trial in trials.values() if not trial.finished(folder)]
        weights: Mapping[str, float] = {trial.name: 1.0 for trial in missing}
        jobs = jobs_for(missing)
        if missing and say is not None:
            found = estimate(missing, jobs)
            weights = found.seconds or weights
            say(f"{len(trials) - len(missing)} of {len(trials)} runs are finished. {found}")
        failed = run_trials(missing, folder, jobs, weights, progress)
        return [_result(cell, seeds, folder, failed) for cell in cells]


def check(cells: Sequence[Cell], seeds: Sequence[int], folder: Path) -> None:
    """Raise UserError where :func:`run_grid` would, as far as that is known before anything is trained.

    Of what is finished nothing is asked for: its data set may be elsewhere.
    """
    read_plan(folder)
    missing = [trial.config for trial in planned(cells, seeds).values() if not trial.finished(folder)]
    for config in {(config.dataset, config.backbone): config for config in missing}.values():
        device_of(config)
        Job.prepare(config)
    if (folder / LOCK).exists():
        with _claimed(folder):
            pass


def planned(cells: Iterable[Cell], seeds: Sequence[int]) -> dict[str, Trial]:
    """The runs of a grid by name, seed by seed, what others start from first."""
    trials: dict[str, Trial] = {}
    for seed in seeds:
        for cell in cells:
            line = [cell]
            while line[-1].start is not None:
                line.append(line[-1].start)
            for one in reversed(line):
                trials = _merged(trials, {(trial := one.trial(seed)).name: trial})
    return trials


def _merged(trials: Mapping[str, Trial], more: Mapping[str, Trial]) -> dict[str, Trial]:
    """Runs of both; one that is in both is for the rows of both, and evaluated in the ways of both."""
    merged = dict(trials)
    for name, trial in more.items():
        known = merged.get(name, trial)
        labels = tuple(dict.fromkeys((*known.labels, *trial.labels)))
        settings = tuple(dict.fromkeys((*known.settings, *trial.settings)))
        merged[name] = replace(trial, labels=labels, settings=settings)
    return merged


def _result(cell: Cell, seeds: Sequence[int], folder: Path, failed: Mapping[str, str]) -> Result:
    miou, reasons, devices, starts = {}, {}, [], []
    for seed in seeds:
        trial = cell.trial(seed)
        score = trial.scores(folder).get(words(cell.setting))
        if score is None:
            reasons[seed] = failed.get(trial.name, "not run")
        elif score["miou_pct"] is None:
            reasons[seed] = "no pixel of the evaluation's images has a label"
        else:
            miou[seed] = score["miou_pct"]
            devices.append(str(score["device"]))
            starts.append(TrainedRun(trial.home(folder)).starts)
    return Result(cell, miou, reasons, tuple(dict.fromkeys(devices)), tuple(starts))


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, LOCK):
        yield
