"""The folder of a run, written so that killing the process at any moment loses at most one round.

``run.json``
    The plan: cases, settings, command line, environment and ceilings. Written whole, then renamed.
``records.jsonl``
    Finished records, a line each, appended as they are measured.
``journal.jsonl``
    What is known of cases that are not finished: static fields and rounds. Gone once all are recorded.
``run.lock``
    There while a process writes the folder.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ctxbench.counters import DEFAULT
from ctxbench.errors import UserError
from ctxbench.files import append, locked, opened_to_append, write_text, writing
from ctxbench.measure.records import (
    SCHEMA_VERSION,
    Fit,
    Record,
    check_version,
    damaged,
    drop_truncated_line,
    read_lines,
    read_records,
    to_line,
    upgraded,
)
from ctxbench.measure.shards import Shard
from ctxbench.subject.case import Case
from ctxbench.subject.case import upgraded as upgraded_case
from ctxbench.typed import NotNegative, Positive, check_fields, converted, json_value
from ctxbench.version import __version__

OF_EAGER = ("peak_pred_bytes", "reserved_sim_bytes")
"""Fields that are predicted before a case runs, to see whether it fits, and are no other runtime's."""
_RENAMED = {"live": "interleaved"}
"""Settings under the names that version 1 of the schema had for them."""

PLAN, RECORDS, JOURNAL = "run.json", "records.jsonl", "journal.jsonl"


@dataclass(frozen=True)
class Settings:
    """How a run measures. Times in seconds."""

    budget_s: Positive = 2.5
    """Sampling time of a case, if its interval does not become narrow earlier."""
    timeout_s: Positive = 120.0
    """Longest a case may go without progress: counting, or one call of the module. What counts is the time
    that its process gets to run in: a machine that is busy with other work costs time and not rows."""
    precision: NotNegative = 0.02
    """Half-width of the median's 95 % interval, as a share of the median, at which sampling stops."""
    interleaved: int = 8
    """Cases alive together, so that their rounds can be interleaved."""
    counters: tuple[str, ...] = DEFAULT
    save_onnx: str = ""
    """Folder that keeps the models of runtimes which run ONNX models; empty for none."""
    seed: int = 0
    """Of the order of cases within each round."""


@dataclass(frozen=True)
class Plan:
    """What a run is to measure, and where."""

    cases: tuple[Case, ...]
    settings: Settings = field(default_factory=Settings)
    command: tuple[str, ...] = ()
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Device to :func:`ctxbench.measure.environment.environment`."""
    ceilings: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Device to :attr:`Case.ceiling`, a dtype, to ``{"gemm_gflops", "copy_gib_s"}``."""
    between_runs: dict[str, NotNegative] = field(default_factory=dict)
    """Device to what two runs there differ by though nothing did, as :func:`ctxbench.measure.stats.widened`
    takes it; only where ``ctxbench calibrate`` has found it out."""
    sources: dict[str, str] = field(default_factory=dict)
    """Module given by its place to :func:`ctxbench.subject.resolve.source_digest`."""
    fits: dict[str, Fit] = field(default_factory=dict)
    """Case to how its batch was found, or why there is none, where it is to fit some memory."""
    shard: Shard | None = None
    """Which part of the cases that were asked for these are; None where they are all."""
    version: str = __version__
    created_at: str = field(default_factory=lambda: now())

    def to_json(self) -> dict[str, Any]:
        """Write the plan as one JSON object."""
        cases = [case.to_json() for case in self.cases]
        values = {"schema_version": SCHEMA_VERSION, **asdict(self), "cases": cases}
        for name in ("fits", "shard"):
            if not values[name]:  # which earlier versions do not know
                del values[name]
        return values

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """Read a folder's plan. Raises UserError where there is none, or none that can be read."""
        path = folder / PLAN
        if not path.is_file():
            inside = sorted(str(plan.parent) for plan in folder.glob(f"*/{PLAN}"))
            hint = f"; there is one in {', '.join(inside[:3])}" if inside else ""
            raise UserError(f"{folder} holds no run (no {PLAN} in it{hint})")
        try:
            values = json_value(path.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("not a JSON object")
            check_version(values.pop("schema_version", None))
            plan = converted(_upgraded(values), cls)
            return replace(plan, cases=tuple(case.with_tuples() for case in plan.cases))
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from error
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error


@dataclass(frozen=True)
class Run:
    """A run as it stands: every planned case once, in the order of the plan.

    A case not finished has status ``interrupted`` and what was known of it.
    """

    plan: Plan
    records: list[Record]


@dataclass
class Partial:
    """What is known of a case that is not finished."""

    fields: dict[str, Any] = field(default_factory=dict)
    rounds_ms: list[list[float]] = field(default_factory=list)

    def apply(self, entry: "Entry") -> None:
        """Take in an entry of the journal."""
        reasons = {**self.fields.get("reasons", {}), **entry.fields.get("reasons", {})}
        self.fields = {**self.fields, **entry.fields, "reasons": reasons}
        if entry.round_ms:
            self.rounds_ms.append(entry.round_ms)

    def record(self, case: Case, plan: Plan, status: str = "ok", reason: str = "") -> Record:
        """The record this makes; reasons stay for the fields that are still ``None``."""
        known = {"environment": plan.environments.get(case.device, {}), "fit": plan.fits.get(case.id)}
        fields = {**known, **self.fields}
        reasons = dict(fields.get("reasons", {}))
        if case.runtime != "eager":
            fields |= {**dict.fromkeys(OF_EAGER), "peak_pred_note": ""}
            reasons |= dict.fromkeys(OF_EAGER, "predicted for eager execution alone")
        reasons = {k: v for k, v in reasons.items() if fields.get(k) is None}
        observed = {**fields, "reasons": reasons, "rounds_ms": self.rounds_ms}
        return Record(case=case, status=status, reason=reason, measured_at=now(), **observed)


@dataclass(frozen=True)
class Entry:
    """A line of the journal: fields of a case's record, a round of its samples, or both."""

    case_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    round_ms: list[Positive] = field(default_factory=list)


class RunFolder:
    """A run's folder, open for writing by this process alone. Use it in a ``with``.

    Raises UserError where the folder cannot be written, or another process writes it.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan
        with ExitStack() as files:
            files.enter_context(locked(path))
            self.done, self.open = _read(path, plan)  # first: what is refused is left as it is
            with writing(path):
                self._records = files.enter_context(opened_to_append(path / RECORDS))
                self._journal = files.enter_context(opened_to_append(path / JOURNAL))
                drop_truncated_line(self._records)
                drop_truncated_line(self._journal)
            self._files = files.pop_all()

    @classmethod
    def create(cls, path: Path, plan: Plan) -> "RunFolder":
        """Start a run in a folder that holds none."""
        check_free(path)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        folder = cls(path, plan)
        write_text(path / PLAN, json.dumps(plan.to_json(), indent=1))
        return folder

    @classmethod
    def resume(cls, path: Path) -> "RunFolder":
        """Go on with a run; a line truncated by a kill is dropped."""
        return cls(path, Plan.read(path))

    def note(self, case: Case, fields: Mapping[str, Any]) -> None:
        """Keep fields of a case that is not finished."""
        self._enter(Entry(case.id, fields=dict(fields)))

    def add_round(self, case: Case, round_ms: list[float], fields: Mapping[str, Any] | None = None) -> None:
        """Keep one round of samples of a case that is not finished, and fields that it changes."""
        self._enter(Entry(case.id, dict(fields or {}), round_ms))

    def finish(self, case: Case, status: str = "ok", reason: str = "") -> None:
        """Append the case's record."""
        record = self.open[case.id].record(case, self.plan, status, reason)
        append(self._records, to_line(record.to_json()))
        self.done[case.id] = record

    def run(self) -> Run:
        """What there is so far."""
        return _run(self.plan, self.done, self.open)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        with self._files:
            if all(case.id in self.done for case in self.plan.cases):
                (self.path / JOURNAL).unlink()

    def _enter(self, entry: Entry) -> None:
        self.open[entry.case_id].apply(entry)
        append(self._journal, to_line({name: value for name, value in asdict(entry).items() if value}))


def read_run(path: Path) -> Run:
    """Read a run, finished or not, without touching it.

    Raises UserError where ``path`` holds no run or a line of it is damaged.
    """
    plan = Plan.read(path)
    return _run(plan, *_read(path, plan))


def check_free(path: Path) -> None:
    """Raise UserError where no new run can be written to ``path``."""
    if (path / PLAN).exists():
        raise UserError(f"{path} already holds a run: go on with it by --resume, or choose another --out")
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: {there} is not a folder that can be written")


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path, plan: Plan) -> tuple[dict[str, Record], dict[str, Partial]]:
    records, journal = path / RECORDS, path / JOURNAL
    done = {record.case.id: record for record in (read_records(records) if records.exists() else [])}
    partial = {case.id: Partial() for case in plan.cases}
    for number, values in enumerate(read_lines(journal)[0] if journal.exists() else [], start=1):
        try:
            entry = converted(values, Entry)
            entry = replace(entry, fields=upgraded(entry.fields))  # the journal names no version of its own
            check_fields(entry.fields, Record)
            if entry.case_id not in partial:
                raise ValueError("it is about no case of this run")
        except ValueError as error:
            raise damaged(journal, number, error) from error
        partial[entry.case_id].apply(entry)
    return done, partial


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A plan as earlier versions of the schema have it, as this version has it."""
    values = dict(values)
    if isinstance(settings := values.get("settings"), dict):
        values["settings"] = {_RENAMED.get(name, name): value for name, value in settings.items()}
    if isinstance(cases := values.get("cases"), list):
        values["cases"] = [upgraded_case(case) if isinstance(case, dict) else case for case in cases]
    return values


def _run(plan: Plan, done: Mapping[str, Record], partial: Mapping[str, Partial]) -> Run:
    def as_it_stands(case: Case) -> Record:
        missing = "not finished when the run was interrupted"
        return done.get(case.id) or partial[case.id].record(case, plan, "interrupted", missing)

    return Run(plan, [as_it_stands(case) for case in plan.cases])
