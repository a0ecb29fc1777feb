"""Records: what one case measured, with raw samples, and the lines they are kept in.

A record stores what was observed and nothing that follows from it: medians, intervals and the noisy mark
are computed from ``rounds_ms`` by :mod:`ctxbench.measure.stats` whenever they are shown.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ctxbench.counters import LEAF_RULE
from ctxbench.errors import UserError
from ctxbench.files import append
from ctxbench.measure import stats
from ctxbench.subject.case import Case
from ctxbench.subject.case import upgraded as upgraded_case
from ctxbench.typed import Positive, converted, json_value

SCHEMA_VERSION = 3
"""Version 2 had ``compile``, true or false, where a case has ``runtime`` now. Version 1 had, moreover, what
``counters["leaf_rule"]`` holds in a field of its own, ``paper``."""

Status = Annotated[str, Meta(pattern="^(ok|oom|crashed|timeout|error|interrupted)$")]


@dataclass(frozen=True)
class Origin:
    """The run that a record is from, where several are read together: what it is called, and its folder."""

    letter: str
    folder: str


@dataclass(frozen=True)
class Fit:
    """What was found of the largest batch that fits some memory, by peaks predicted of eager execution."""

    memory: tuple[str, ...]
    """As :func:`ctxbench.subject.axes.fit_of` gives it; all of those that have this same batch."""
    batch: int | None = None
    """None where there is none, and ``status`` and ``reason`` say why."""
    peak_bytes: int | None = None
    """Predicted at that batch, as :attr:`Record.peak_pred_bytes` is."""
    next_bytes: int | None = None
    """Predicted at one more; None where that cannot be counted, for the reason ``next_reason``."""
    next_reason: str = ""
    status: Status = "ok"
    reason: str = ""


@dataclass(frozen=True)
class Accuracy:
    """What a study found of a block, read beside its cost: mean IoU in %, its mean over seeds."""

    miou_pct: float | None
    reason: str = ""
    """Why it, or that of a seed, is not known."""
    low_pct: float | None = None
    high_pct: float | None = None
    """The 95 % interval over seeds and images; None below two seeds."""
    p: dict[str, float | None] = field(default_factory=dict)
    """Of its being equal to another block, by that one's case, uncorrected; None where one cannot tell."""
    none_pct: float | None = None
    """Without a context module."""
    p_none: float | None = None
    """Of its being equal to that, corrected as in the study's table."""
    study: str = ""
    """Under what it was found: data, network, steps and seeds; and what it is not."""


@dataclass(frozen=True)
class Record:
    """One measured case. Counts are exact integers; memory is in bytes; times are in milliseconds.

    ``None`` means not measured, and ``reasons`` then holds, under the field's name, why.
    """

    case: Case
    status: Status = "ok"
    """``ok``, ``oom``, ``crashed``, ``timeout``, ``error`` or ``interrupted``."""
    reason: str = ""
    """Why the status is not ``ok``, in one line."""

    params: int | None = None
    macs: int | None = None
    """Multiply-accumulates of the forward pass: convolutions and matrix products, every call."""
    flops: int | None = None
    """2·MACs + element-wise operations of the forward pass."""
    bwd_macs: int | None = None
    """Multiply-accumulates of the backward pass, with gradients of parameters and input."""
    bytes: int | None = None
    """Bytes read and written by the forward pass, each operation counted as if nothing stayed in cache."""
    output_shape: tuple[int, ...] | None = None
    """Of the output that is looked at."""
    published_macs: int | None = None
    """MACs of the published operation order, whatever implementation was measured."""
    unknown_ops: dict[str, int] = field(default_factory=dict)
    """Operations of inference or training that the count does not know, with how often each ran."""
    note: str = ""
    """What a reader of the counts must know of how the module was traced; usually nothing."""

    act_bytes: int | None = None
    """Activations kept for the backward pass, without parameters and without the input."""
    peak_pred_bytes: int | None = None
    """Predicted peak of live storages above parameters and input, in the case's mode."""
    fit: Fit | None = None
    """How the batch was found, where it was asked for by the memory that it is to fit."""
    peak_pred_note: str = ""
    """What that peak lacks or rests on: libraries whose scratch is not known, or whose rules were fitted."""
    reserved_sim_bytes: int | None = None
    """Simulated peak the caching allocator of a CUDA device would hold, parameters and input included, in the
    case's mode, whatever its device."""
    alloc_bytes: int | None = None
    """Measured peak of the device's allocator above parameters and input."""
    reserved_bytes: int | None = None
    """Measured peak the caching allocator held from the device (CUDA only)."""
    process_bytes: int | None = None
    """Measured growth of the process: resident memory (CPU) or device memory (CUDA)."""

    rounds_ms: list[list[Positive]] = field(default_factory=list)
    """Raw latency samples, a list for each interleaved round."""
    warmup: int = 0
    """Calls made before the first sample."""
    cache: str = ""
    """State of the caches before each sample: ``warm`` or ``cold L2``."""
    spent_mj: float | None = None
    """Millijoules counted in the rounds, whose calls are ``spent_calls``, by ``energy_source``."""
    spent_calls: int = 0
    """The calls of the rounds that were counted, those included that are not among the samples."""
    energy_source: str = ""
    """What counted: which counter, and of what."""
    throttled: bool = False
    """The device reported clock throttling while samples were taken."""
    warnings: list[str] = field(default_factory=list)
    """What was odd when the module ran, a line each: NaN or Inf, or a state that it changed itself."""
    runtime: dict[str, str] = field(default_factory=dict)
    """Names and versions of what executed the module, beside torch's, which is in ``environment``."""
    threads: dict[str, int] = field(default_factory=dict)
    """CPU threads by library, as each said when it had been set. Empty in older records: of torch's, then,
    ``environment`` has those of the plan."""
    compile_s: float | None = None
    """Seconds in which the runtime made the module ready, from caches without anything of it."""
    graph_breaks: dict[str, int] = field(default_factory=dict)
    """Where a compiler left part of the module to Python: each reason with how often."""
    decomposed: dict[str, int] = field(default_factory=dict)
    """Operations that an exporter wrote as several others, with how often each was there."""
    elsewhere: dict[str, int] = field(default_factory=dict)
    """Operations that the runtime ran otherwise than asked for, ``Conv in float32``, with how often each."""
    output_error: float | None = None
    """Largest difference of the runtime's output from eager's in float64, as a share of the largest value
    there. Beyond a tolerance the case is not timed. None for eager itself."""

    counters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Other counters' opinions: name to what :mod:`ctxbench.counters` says a counter returns. Under
    ``leaf_rule``: ``gflops``, ``mib`` (last call of a shared leaf wins), ``every_call_gflops``,
    ``every_call_mib``, ``repeated`` ({leaf: calls}), ``config``; or ``reason`` alone."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Field name to the reason why it is ``None``."""

    environment: dict[str, Any] = field(default_factory=dict)
    measured_at: str = ""
    """UTC, ISO 8601."""
    origin: Origin | None = field(default=None, compare=False)
    """Said by whoever reads several runs, and not stored."""
    accuracy: Accuracy | None = field(default=None, compare=False)
    """Said by whoever reads a study, and not stored."""

    @cached_property
    def latency(self) -> stats.Summary:
        """The statistics of the samples; a bootstrap that every table and figure asks for."""
        return stats.summary(self.rounds_ms)

    @property
    def leaf_rule(self) -> dict[str, Any]:
        """What the leaf rule counted; empty where it was not run."""
        return self.counters.get(LEAF_RULE, {})

    def to_json(self) -> dict[str, Any]:
        """Write the record as one JSON object, the schema version first."""
        values = asdict(self)
        del values["origin"], values["accuracy"]
        values["case"] = self.case.to_json()
        return {"schema_version": SCHEMA_VERSION, "case_id": self.case.id, **values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Record":
        """Invert :meth:`to_json`. Raises ValueError where ``values`` is no record that can be read."""
        fields = dict(values)
        version = fields.pop("schema_version", None)
        check_version(version)
        fields.pop("case_id", None)
        record = converted(upgraded(fields) if version != SCHEMA_VERSION else fields, cls)
        return replace(record, case=record.case.with_tuples())


def why_empty(field: str, record: Record) -> str:
    """Why a record has nothing in a field, in a few words; ``field`` may name a counter."""
    if field == "rounds_ms" and record.rounds_ms:
        return f"an interval needs {stats.MIN_ROUNDS} rounds of samples"
    opinion = record.counters.get(field, {})
    return opinion.get("reason") or record.reasons.get(field) or record.reason or "not in the record"


def upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as earlier versions of the schema have them, as this version has them."""
    fields = dict(fields)
    if isinstance(fields.get("case"), Mapping):
        fields["case"] = upgraded_case(fields["case"])
    if counted := fields.pop("paper", None):
        fields["counters"] = {**fields.get("counters", {}), LEAF_RULE: counted}
    return fields


def check_version(version: object) -> None:
    """Raise ValueError where something was written by a ctxbench with another schema."""
    if version not in range(1, SCHEMA_VERSION + 1):
        raise ValueError(f"schema_version is {version!r}, this ctxbench reads 1 to {SCHEMA_VERSION}")


def to_line(values: Mapping[str, Any]) -> bytes:
    """One JSON object as one line."""
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read the objects in a file of JSON lines, and how many of its bytes hold them.

    A last line without its newline was being written when the process was killed: it is left out, and ends
    the bytes that count, unless it is whole. Raises UserError naming any other line that is damaged, and
    where the file cannot be read.
    """
    objects, valid_bytes = [], 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            value = json_value(line)
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            if not line.endswith(b"\n"):
                break
            raise damaged(path, number, error) from error
        objects.append(value)
        valid_bytes += len(line)
    return objects, valid_bytes


def drop_truncated_line(file: FileIO) -> None:
    """Cut off a last line that a kill left truncated; one that is whole gets its newline."""
    path = Path(os.fsdecode(file.name))
    _, valid_bytes = read_lines(path)
    file.truncate(valid_bytes)
    if valid_bytes and path.read_bytes()[-1:] != b"\n":
        append(file, b"\n")


def read_records(path: Path) -> list[Record]:
    """Read the records of a ``records.jsonl``. Raises UserError naming the line that is damaged."""
    records = []
    for number, values in enumerate(read_lines(path)[0], start=1):
        try:
            records.append(Record.from_json(values))
        except ValueError as error:
            raise damaged(path, number, error) from error
    return records


def damaged(path: Path, number: int, error: ValueError) -> UserError:
    """Word the message for a line that cannot be read."""
    return UserError(f"{path}, line {number} is damaged: {error}; delete that line to measure its case again")
