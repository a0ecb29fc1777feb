"""Runs of a grid of trainings, trained by an executor: those that others start from first."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch

from ctxbench.files import writing
from ctxbench.study.cells import Executor, Progress, Show, why_empty
from ctxbench.study.whole.trial import Trial, TrialCell
from ctxbench.train.launch.engine import device_of

log = logging.getLogger(__name__)
SERVED = "ctxbench.study.whole.cell:Trainer"


def jobs_for(trials: Sequence[Trial]) -> int:
    """How many of the runs go on at once: on a CPU one on each core, on a GPU one.

    One thread sums in the same order however many runs there are.
    """
    if any(device_of(trial.config) == "cuda" for trial in trials):
        return 1
    return max(1, min(len(trials), torch.get_num_threads()))


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    executor: Executor,
    weights: Mapping[str, float],
    progress: Show | None = None,
) -> dict[str, str]:
    """Do the runs; return why, by name, some failed.

    ``weights`` are their shares of the work. Where this is interrupted, the runs in progress keep a
    checkpoint first.
    """
    for place in ("runs", "logs"):
        with writing(folder / place):
            (folder / place).mkdir(exist_ok=True)
    cells = {trial.name: TrialCell(trial, str(folder.absolute())) for trial in trials}
    ended: dict[str, str] = {}  # why each failed; empty of one that did not

    def tell(active: Mapping[str, float]) -> None:
        if progress is None:
            return
        done = sum(weights[name] for name in ended)
        done += sum(weights[name] * share for name, share in active.items())
        labels, failed = tuple(cells[name].label for name in active), sum(map(bool, ended.values()))
        share = done / sum(weights.values())
        progress(Progress(len(ended), len(cells), labels, failed=failed, fraction=share))

    while waiting := [trial for trial in trials if trial.name not in ended]:
        names = {trial.name for trial in waiting}
        ready = []
        for trial in waiting:
            if why := ended.get(trial.start or ""):
                ended[trial.name] = f"the run it starts from failed: {why}"
            elif trial.start not in names:
                ready.append(cells[trial.name])
        with closing(executor.outcomes(ready, SERVED, folder, tell)) as outcomes:
            for outcome in outcomes:
                ended[outcome.key] = "" if outcome.status == "ok" else why_empty(outcome)
                if why := ended[outcome.key]:
                    log.warning("%s: %s", cells[outcome.key].label, why)
        tell({})
    return {name: why for name, why in ended.items() if why}
