"""A run: every case measured in its own process, their latency rounds interleaved. Imports no torch.

Cases go through in blocks. Within a block they are counted two at a time, then prepared one by one, then
sampled in rounds, each round in a random order and one case at a time, so that what disturbs the machine
for a while falls on all of them alike.
"""

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure import stats
from ctxbench.measure.folder import Plan, Run, RunFolder, Settings, check_free
from ctxbench.measure.process import CaseFailedError, WorkerProcess, first_ready
from ctxbench.measure.progress import RunProgress, ahead
from ctxbench.measure.shards import dealt
from ctxbench.measure.survey import check_unchanged, checked
from ctxbench.subject.case import ITEM_BYTES, Case

MIN_SAMPLES = 30
ROUNDS_BEFORE_STOPPING = 8
"""Rounds from which a narrow interval may end the sampling. Stopping at the first narrow one favours those
that are so by chance: in a simulation, looking from five rounds on leaves 90 % coverage, from eight 95 %."""
MAX_ROUNDS = 40
ROUNDS_PER_BUDGET = 10
COUNTED_TOGETHER = 2
COUNTED = (
    "macs", "flops", "bwd_macs", "bytes", "output_shape", "published_macs", "act_bytes", "peak_pred_bytes",
    "reserved_sim_bytes",
)  # fmt: skip
"""The fields of a record that counting fills."""


def measure_cases(
    cases: Iterable[Case],
    *,
    settings: Settings | None = None,
    out: Path | None = None,
    shard: tuple[int, int] | None = None,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Run:
    """Measure ``cases``, each once however often it is given, and keep the run in ``out`` if that is given.

    Of a ``shard`` (2, 8) only the second of eight parts, as :func:`ctxbench.measure.shards.dealt` has it.

    Raises UserError before anything is measured where there is no such shard, a case is not valid, its device
    is not there, its module does not take its options or does not always return the same shape, or ``out``
    cannot be written or already holds a run. What goes wrong with a case later costs that case's record its
    status, never another's. KeyboardInterrupt leaves what was measured in ``out``.
    """
    wanted = list({case.id: case for case in cases}.values())
    part, wanted = (None, wanted) if shard is None else dealt(wanted, *shard)
    plan = Plan(tuple(wanted), settings or Settings(), tuple(command), shard=part)
    with ExitStack() as temporary:
        folder = out or Path(temporary.enter_context(tempfile.TemporaryDirectory(prefix="ctxbench-")))
        check_free(folder)

        def checking(case: Case) -> None:
            if progress is not None:
                progress(RunProgress(0.0, 0, len(plan.cases), "check", case))

        return measure_plan(checked(plan, checking), folder, progress=progress)


def measure_plan(
    plan: Plan, out: Path, *, count: bool = True, progress: Callable[[RunProgress], None] | None = None
) -> Run:
    """Measure a plan that was :func:`~ctxbench.measure.survey.checked`, into a folder that holds no run.

    Without ``count`` its cases are run and timed, and no counts are made.
    """
    with RunFolder.create(out, plan) as opened:
        if not count:
            for case in plan.cases:
                opened.note(case, {"counters": {}, "reasons": dict.fromkeys(COUNTED, "not asked for")})
        return _Session(opened, progress).run()


def resume_run(out: Path, *, progress: Callable[[RunProgress], None] | None = None) -> Run:
    """Go on with a run that was interrupted; rounds already taken count.

    Raises UserError where ``out`` holds no run, is damaged or in use, was begun in another environment, or
    with another state of a module's file.
    """
    with RunFolder.resume(out) as opened:
        if len(opened.done) < len(opened.plan.cases):
            check_unchanged(opened.plan, out)
        return _Session(opened, progress).run()


@dataclass(eq=False)
class _Running:
    """A case with its process."""

    case: Case
    worker: WorkerProcess


class _Session:
    def __init__(self, folder: RunFolder, progress: Callable[[RunProgress], None] | None) -> None:
        self._folder = folder
        self._settings = folder.plan.settings
        self._progress = progress
        self._fractions = {case.id: float(case.id in folder.done) for case in folder.plan.cases}
        self._random = random.Random(self._settings.seed)

    def run(self) -> Run:
        left = [case for case in self._folder.plan.cases if case.id not in self._folder.done]
        for case in [case for case in left if case.fit]:  # of which there is no batch to run
            found = self._folder.plan.fits[case.id]
            self._folder.finish(case, found.status, found.reason)
            self._tell("done", case, 1.0)
            left.remove(case)
        if left:
            self._tell("count", left[0], 0.0, ahead(left, self._settings, self._folder.plan.shard))
        todo = iter(left)
        while block := list(islice(todo, self._settings.interleaved)):
            with ExitStack() as processes:
                running = []
                for case in block:
                    running.append(_Running(case, WorkerProcess(case)))
                    processes.callback(running[-1].worker.close)
                for wave in self._waves(self._count(running)):
                    self._time(self._prepare(wave))
        return self._folder.run()

    def _count(self, block: list[_Running]) -> list[_Running]:
        """Count two cases at a time, except those a resumed run has counted; return the survivors."""
        counted = [running for running in block if "counters" in self._folder.open[running.case.id].fields]
        waiting = [running for running in block if running not in counted]
        active: list[_Running] = []
        while waiting or active:
            while waiting and len(active) < COUNTED_TOGETHER:
                active.append(waiting.pop(0))
                self._tell("count", active[-1].case, 0.0)
                active[-1].worker.send(self._settings.timeout_s, "describe", self._settings.counters)
            running = active.pop(first_ready([running.worker for running in active]))
            fields = self._receive(running)
            if fields is not None:
                self._folder.note(running.case, fields)
                counted.append(running)
        return [running for running in block if running in counted]

    def _waves(self, block: list[_Running]) -> Iterator[list[_Running]]:
        """Split cases into groups whose predicted needs fit into memory; refuse what does not fit alone."""
        while block:
            wave: list[_Running] = []
            available: dict[str, int] = {}
            for running in block:
                device = running.case.device
                if device not in available:
                    answer = self._ask(running, "available_bytes")
                    if answer is None:
                        continue
                    available[device] = answer
                need = self._need_bytes(running.case)
                if need <= available[device]:
                    available[device] -= need
                    wave.append(running)
                elif not any(other.case.device == device for other in wave):
                    have = f"{available[device] / 2**20:.0f} MiB of {device} memory are available"
                    self._finish(running, "oom", f"predicted to need {need / 2**20:.0f} MiB, {have}: not run")
            block = [
                running
                for running in block
                if running not in wave and running.case.id not in self._folder.done
            ]
            yield wave

    def _need_bytes(self, case: Case) -> int:
        """Predicted bytes of weights, input and peak; of what could not be counted, nothing."""
        fields = self._folder.open[case.id].fields
        weights = fields.get("params", 0) * ITEM_BYTES[case.dtype]
        return int(weights + case.input_bytes + fields.get("peak_pred_bytes", 0))

    def _prepare(self, wave: list[_Running]) -> list[_Running]:
        """Build, measure memory and warm up, one by one; return the survivors."""
        ready = []
        for running in wave:
            self._tell("prepare", running.case, 0.15)
            fields = self._ask(running, "prepare", self._settings.save_onnx)
            if fields is not None:
                self._folder.note(running.case, fields)
                ready.append(running)
        return ready

    def _time(self, active: list[_Running]) -> None:
        """Take rounds until every case has enough; one round is one turn for each case, in random order."""
        round_s = self._settings.budget_s / ROUNDS_PER_BUDGET
        while active:
            for running in self._random.sample(active, len(active)):
                self._tell("time", running.case, 0.3 + 0.7 * self._share_timed(running.case))
                answer = self._ask(running, "sample", round_s)
                if answer is None:
                    continue
                round_ms, throttled, spent = answer
                self._folder.add_round(running.case, round_ms, self._with_spent(running.case, spent))
                if throttled:
                    self._folder.note(running.case, {"throttled": True})
                if self._is_timed(running.case):
                    self._finish(running, "ok", "")
            active = [running for running in active if running.case.id not in self._folder.done]

    def _with_spent(self, case: Case, spent: tuple[float, int] | None) -> dict[str, Any]:
        """What a case's rounds have taken with this one; nothing where it was not counted."""
        if spent is None:
            return {}
        fields = self._folder.open[case.id].fields
        before, (mj, calls) = (fields.get("spent_mj") or 0.0, fields.get("spent_calls", 0)), spent
        return {"spent_mj": before[0] + mj, "spent_calls": before[1] + calls}

    def _share_timed(self, case: Case) -> float:
        rounds_ms = self._folder.open[case.id].rounds_ms
        spent = sum(map(sum, rounds_ms)) / 1000 / self._settings.budget_s
        return min(1.0, max(spent, len(rounds_ms) / MAX_ROUNDS))

    def _is_timed(self, case: Case) -> bool:
        rounds_ms = self._folder.open[case.id].rounds_ms
        if len(rounds_ms) < stats.MIN_ROUNDS:
            return False
        if self._share_timed(case) == 1:
            return True
        if len(rounds_ms) < ROUNDS_BEFORE_STOPPING:
            return False
        latency = stats.summary(rounds_ms)
        return latency.n >= MIN_SAMPLES and (latency.half_width or 1) <= self._settings.precision

    def _ask(self, running: _Running, method: str, *arguments: object) -> Any:
        running.worker.send(self._settings.timeout_s, method, *arguments)
        return self._receive(running)

    def _receive(self, running: _Running) -> Any:
        """The worker's answer, or None where the case failed and has its record now."""
        try:
            return running.worker.receive()
        except CaseFailedError as error:
            self._finish(running, error.status, error.reason)
        except UserError as error:
            self._finish(running, "error", str(error))
        return None

    def _finish(self, running: _Running, status: str, reason: str) -> None:
        self._folder.finish(running.case, status, reason)
        running.worker.close()
        self._tell("done", running.case, 1.0)

    def _tell(self, activity: str, case: Case, fraction: float, note: str = "") -> None:
        self._fractions[case.id] = fraction
        if self._progress is not None:
            total = len(self._fractions)
            done = sum(self._fractions.values()) / total
            self._progress(RunProgress(done, len(self._folder.done), total, activity, case, note))
