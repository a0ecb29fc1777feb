"""What a calibration measures: the same cases in one run after another. Imports no torch.

``calibration.json``
    How many runs there are to be, and how each measures. Written whole, before the first.
``001``, ``002``, …
    The runs, each a folder as ``ctxbench profile`` leaves it. The first is compared with the second, the
    third with the fourth, and so on, as ``ctxbench compare`` compares them.
"""

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.files import write_text, writing
from ctxbench.measure import session
from ctxbench.measure.folder import PLAN, Plan, Run, Settings, check_free, now, read_run
from ctxbench.measure.progress import RunProgress
from ctxbench.measure.survey import check_unchanged, checked
from ctxbench.subject.bound import Binding
from ctxbench.subject.case import Case
from ctxbench.subject.expression import MARK
from ctxbench.subject.registry import SINGLE
from ctxbench.typed import Natural, Positive, read_json

BLOCK = "ctxbench.calibration.repeated:Repeated"
UNITS = 100
"""Units of work in a case that nothing is added to, so that one unit is a percent of it."""
ADDED_PCT = (0, 2, 5, 10)
SIZES = {"small": (16, 8), "middle": (48, 32), "large": (96, 48)}
"""Channels and side of the map: 0.6, 9 and 59 ms with one thread of an AMD EPYC (``reports/calibration``)."""
EQUAL_PAIRS = len(SIZES) * len(ADDED_PCT)
"""Pairs of equal cases in two runs: every case of one has its equal in the other."""
SPEC = "calibration.json"


@dataclass(frozen=True)
class Spec:
    """How many pairs a calibration is to have, and how its runs measure."""

    pairs: Natural = 200
    """Of equal cases, rounded up to whole runs; of cases with added work there are half as many a share."""
    device: str = "cpu"
    budget_s: Positive = 2.5
    timeout_s: Positive = 120.0
    command: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """Runs to be measured, an even number."""
        return 2 * math.ceil(self.pairs / EQUAL_PAIRS)

    def plan(self) -> Plan:
        """What every run measures, each in an order of its own."""
        settings = Settings(budget_s=self.budget_s, timeout_s=self.timeout_s, counters=())
        return Plan(tuple(case(size, pct, self.device) for size in SIZES for pct in ADDED_PCT), settings)


def case(size: str, added_pct: int, device: str) -> Case:
    """A case of a size with so many percent of work added."""
    channels, side = SIZES[size]
    return Case(
        BLOCK,
        channels,
        side,
        side,
        options={"times": UNITS + UNITS * added_pct // 100},
        implementation=SINGLE,
        device=device,
        binding=Binding({"channels": f"{MARK}C"}),
    )


def calibrate(out: Path, spec: Spec, *, progress: Callable[[RunProgress], None] | None = None) -> list[Run]:
    """Measure the runs of a new calibration in ``out``.

    Raises UserError where the pairs are fewer than one, the device is not there, or ``out`` cannot be
    written or holds a calibration or a run already. KeyboardInterrupt leaves what was measured in ``out``.
    """
    if spec.pairs < 1:
        raise UserError(f"calibrate needs 1 pair or more, not {spec.pairs}")
    check_free(out)
    if (out / SPEC).exists():
        raise UserError(
            f"{out} already holds a calibration: go on with it by --resume, or choose another --out"
        )
    plan = _checked(spec, progress)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(out / SPEC, json.dumps(asdict(spec), indent=1))
    return _measured(out, spec, plan, progress)


def resume(out: Path, *, progress: Callable[[RunProgress], None] | None = None) -> list[Run]:
    """Go on with a calibration that was interrupted; runs and rounds already measured count.

    Raises UserError where ``out`` holds none, or it was begun in another environment.
    """
    spec, runs = read_spec(out), read(out)
    if len(runs) == spec.runs and not any(map(_is_open, runs)):
        return runs
    if runs:
        check_unchanged(runs[0].plan, out)
    return _measured(out, spec, runs[0].plan if runs else _checked(spec, progress), progress)


def read_spec(out: Path) -> Spec:
    """Read what a calibration is to be. Raises UserError where ``out`` holds none that can be read."""
    path = out / SPEC
    if not path.is_file():
        raise UserError(f"{out} holds no calibration (no {SPEC} in it)")
    return read_json(path, Spec)


def read(out: Path) -> list[Run]:
    """Read the runs that there are, finished or not, in order."""
    folders = [_folder(out, number) for number in range(read_spec(out).runs)]
    return [read_run(folder) for folder in folders if (folder / PLAN).exists()]


def _checked(spec: Spec, progress: Callable[[RunProgress], None] | None) -> Plan:
    def checking(case: Case) -> None:
        if progress is not None:
            progress(RunProgress(0.0, 0, spec.runs * EQUAL_PAIRS, "check", case))

    return checked(spec.plan(), checking)


def _measured(out: Path, spec: Spec, plan: Plan, progress: Callable[[RunProgress], None] | None) -> list[Run]:
    """Every run, measured now where it is not yet."""
    runs: list[Run] = []
    cases = spec.plan().cases
    for number in range(spec.runs):
        folder = _folder(out, number)

        def tell(state: RunProgress, number: int = number) -> None:
            if progress is not None:
                done = (number + state.fraction) / spec.runs
                recorded = number * len(cases) + state.recorded
                progress(
                    replace(state, fraction=done, recorded=recorded, total=spec.runs * state.total, note="")
                )

        if not (folder / PLAN).exists():
            order = tuple(random.Random(number).sample(cases, len(cases)))
            settings = replace(plan.settings, seed=number)
            fresh = replace(plan, cases=order, settings=settings, command=spec.command, created_at=now())
            runs.append(session.measure_plan(fresh, folder, count=False, progress=tell))
        elif _is_open(run := read_run(folder)):
            runs.append(session.resume_run(folder, progress=tell))
        else:
            runs.append(run)
    return runs


def _is_open(run: Run) -> bool:
    return any(record.status == "interrupted" for record in run.records)


def _folder(out: Path, number: int) -> Path:
    return out / f"{number + 1:03}"
