"""A grid of trainings: rows × seeds, each a run in a process and a folder of its own.

A run is known by what it trains: rows that train the same weights share it, and so do the grids of one
folder. The plan is written first; the same call goes on where an earlier one stopped, and no finished run is
done again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.files import locked, writing
from ctxbench.study.cells import Executor, Show
from ctxbench.study.executors.here import HERE, Here
from ctxbench.study.whole.estimate import estimate
from ctxbench.study.whole.rows import Result, Row
from ctxbench.study.whole.running import jobs_for, run_trials
from ctxbench.study.whole.trial import Trial, read_plan, words, write_plan
from ctxbench.train.job import Job
from ctxbench.train.launch.engine import device_of
from ctxbench.train.launch.stopping import stopping
from ctxbench.train.run import TrainedRun

LOCK = "grid.lock"


def run_grid(
    rows: Sequence[Row],
    seeds: Sequence[int],
    folder: Path,
    *,
    executor: Executor = HERE,
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Result]:
    """Train and evaluate every row with every seed; return a result for each row.

    By default as many runs go on at once as a CPU has cores, a thread each; on a GPU one. What goes
    wrong with a run costs that run alone; its reason is in the result, its output in ``folder/logs``.
    ``say`` is told what it will take, for which a few iterations are timed first.

    Raises:
        UserError: ``folder`` cannot be written, is damaged, or another process works in it; or, before
            anything is written, a run cannot be trained: a setting is refused, or a data set or weights
            cannot be read.
        KeyboardInterrupt: it was interrupted; each run in progress has then kept a checkpoint.

    """
    trials = planned(rows, seeds)
    check(rows, seeds, folder, executor)
    shares: Mapping[str, float] = {}
    missing = _missing(trials, folder)
    if executor == HERE:
        executor = Here(jobs_for(missing))
    if missing and say is not None:
        finished = f"{len(trials) - len(missing)} of {len(trials)} runs are finished."
        if isinstance(executor, Here):  # what jobs elsewhere take is not known here
            expected = estimate(missing, executor)
            shares, finished = expected.seconds or {}, f"{finished} {expected}"
        say(finished)
    with _claimed(folder), stopping():
        write_plan(folder, _merged(read_plan(folder), trials))
        missing = _missing(trials, folder)
        weights = {trial.name: shares.get(trial.name, 1.0) for trial in missing}
        failed = run_trials(missing, folder, executor, weights, progress)
        return results(rows, seeds, folder, failed)


def results(
    rows: Sequence[Row], seeds: Sequence[int], folder: Path, failed: Mapping[str, str] = {}
) -> list[Result]:
    """What there is in a folder of every row, where ``failed`` is why runs have nothing, by name."""
    return [_result(row, seeds, folder, failed) for row in rows]


def check(rows: Sequence[Row], seeds: Sequence[int], folder: Path, executor: Executor = HERE) -> None:
    """Raise UserError where :func:`run_grid` would, as far as that is known before anything is trained.

    Finished runs are not checked: their data set may be elsewhere by now. Nothing is written.
    """
    read_plan(folder)
    configs = [trial.config for trial in _missing(planned(rows, seeds), folder)]
    for config in {(config.dataset, config.backbone): config for config in configs}.values():
        if isinstance(executor, Here):  # another place may have a GPU that is not here
            device_of(config)
        Job.prepare(config)
    if any(config.devices > 1 for config in configs):
        raise UserError("a grid trains each network in one process: leave devices out of the settings")
    if (folder / LOCK).exists():
        with _claimed(folder):
            pass


def planned(rows: Iterable[Row], seeds: Sequence[int]) -> dict[str, Trial]:
    """The runs of a grid by name, seed by seed, what others start from first."""
    trials: dict[str, Trial] = {}
    for seed in seeds:
        for row in rows:
            chain = [row]
            while chain[-1].start is not None:
                chain.append(chain[-1].start)
            for link in reversed(chain):
                trials = _merged(trials, {(trial := link.trial(seed)).name: trial})
    return trials


def _missing(trials: Mapping[str, Trial], folder: Path) -> list[Trial]:
    return [trial for trial in trials.values() if not trial.finished(folder)]


def _merged(trials: Mapping[str, Trial], more: Mapping[str, Trial]) -> dict[str, Trial]:
    """Runs of both; one that is in both is for the rows of both, and evaluated in the ways of both."""
    merged = dict(trials)
    for name, trial in more.items():
        earlier = merged.get(name, trial)
        labels = tuple(dict.fromkeys((*earlier.labels, *trial.labels)))
        settings = tuple(dict.fromkeys((*earlier.settings, *trial.settings)))
        merged[name] = replace(trial, labels=labels, settings=settings)
    return merged


def _result(row: Row, seeds: Sequence[int], folder: Path, failed: Mapping[str, str]) -> Result:
    miou, reasons, devices, starts = {}, {}, [], []
    for seed in seeds:
        trial = row.trial(seed)
        score = trial.scores(folder).get(words(row.setting))
        if score is None:
            reasons[seed] = failed.get(trial.name, "not run")
        elif score["miou_pct"] is None:
            reasons[seed] = "no pixel of the evaluation's images has a label"
        else:
            miou[seed] = score["miou_pct"]
            devices.append(str(score["device"]))
            starts.append(TrainedRun(trial.home(folder)).starts)
    return Result(row, miou, reasons, tuple(dict.fromkeys(devices)), tuple(starts))


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, LOCK):
        yield
