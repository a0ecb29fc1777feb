"""Where a module's cost lies: by operation, by module, and what each other counter makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ctxbench.errors import UserError
from ctxbench.report.columns import (
    LOWER_BOUND,
    NOT_COUNTED,
    PREDICTED,
    SIMULATED,
    TRACED_OTHERWISE,
    missed,
)
from ctxbench.table.column import MIB, Column, frame, lay_out, raw, significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.tracing import Trace, views
from ctxbench.tracing.cuda import NotSimulatedError, peak_reserved, settings_here
from ctxbench.tracing.ops import Phase

if TYPE_CHECKING:
    import pandas as pd

    from ctxbench.subject.case import Case

NO_TRAINING_PASS = "No training pass"
"""How the note of a block for inference alone begins."""

MAX_ROWS = 12
"""Rows a table of shares shows one by one."""


@dataclass(frozen=True, repr=False)
class Count(Result):
    """Everything that follows from a module's traces, without running it.

    MACs, FLOPs and bytes are exact integers of one pass; peaks are predicted, above parameters and input.
    Reserved memory is simulated as the column of profiles is. What a training pass would say is None for a
    module that has none, and ``note`` then says why.
    """

    subject: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dtype: str
    params: int
    macs: int
    flops: int
    bytes: int
    bwd_macs: int | None
    bwd_flops: int | None
    act_bytes: int | None
    peak_infer_bytes: int
    peak_train_bytes: int | None
    reserved_infer_bytes: int | None
    reserved_train_bytes: int | None
    unknown_ops: dict[str, int] = field(default_factory=dict)
    note: str = ""
    not_simulated: str = ""
    """Why there is no reserved memory; empty where there is."""
    peak_note: str = ""
    """What the predicted peaks lack or rest on: libraries."""
    config: str = ""
    """Options in which it departs from its defaults: a preset's, and those given."""
    bound: str = ""
    """What was found out by trial about one that is not built in, in one line."""
    lower_bound: bool = False
    bwd_lower_bound: bool = False
    """Whether the counts of the forward pass, and of the backward pass, lack an operation."""

    @classmethod
    def of(cls, subject: str, infer: Trace, train: Trace | UserError, case: Case) -> Count:
        """Take the views of an inference trace and a training trace of one module, or why there is none."""
        settings, not_simulated = None, ""
        try:
            settings = settings_here()
        except NotSimulatedError as error:
            not_simulated = str(error)
        if isinstance(train, UserError):
            trained: dict[str, Any] = dict.fromkeys(
                ("bwd_macs", "bwd_flops", "act_bytes", "peak_train_bytes", "reserved_train_bytes")
            )
            trained |= {"unknown_ops": infer.unknown_ops, "note": str(train)}
        else:
            trained = {
                "bwd_macs": views.macs(train, "backward"),
                "bwd_flops": views.flops(train, "backward"),
                "bwd_lower_bound": train.lower_bound,
                "act_bytes": views.saved_bytes(train),
                "peak_train_bytes": views.peak_bytes(train),
                "reserved_train_bytes": peak_reserved(train, settings) if settings else None,
                "unknown_ops": {**train.unknown_ops, **infer.unknown_ops},
                "note": infer.note or train.note,
            }
        return cls(
            subject=subject,
            config=case.config,
            bound=case.bound,
            shape=infer.shape,
            output_shape=infer.output_shape,
            dtype=infer.dtype,
            params=infer.params,
            macs=views.macs(infer),
            flops=views.flops(infer),
            bytes=views.bytes_moved(infer),
            peak_infer_bytes=views.peak_bytes(infer),
            reserved_infer_bytes=peak_reserved(infer, settings) if settings else None,
            not_simulated=not_simulated,
            peak_note=_peak_note(infer, train),
            lower_bound=infer.lower_bound,
            **trained,
        )

    @property
    def has_training_pass(self) -> bool:
        """Whether it could be recorded forward and backward."""
        return self.peak_train_bytes is not None

    @property
    def headline(self) -> str:
        """Module, shapes, and what the forward pass costs."""
        mark = LOWER_BOUND if self.lower_bound else ""
        return (
            f"{self.subject}, input {_by(self.shape)}, output {_by(self.output_shape)}, {self.dtype}: "
            f"{mark}{significant(self.macs / 1e9, 5)} GMACs (every convolution and product, every call), "
            f"{mark}{significant(self.flops / 1e9, 5)} GFLOPs (2·MACs + element-wise), "
            f"{significant(self.params / 1e6, 5)} M parameters, "
            f"predicted peak in inference {significant(self.peak_infer_bytes / MIB, 5)} MiB"
        )

    def grids(self) -> list[Grid]:
        """One row: counts in 10⁹, memory in MiB."""
        title = f"input {_by(self.shape)} · output {_by(self.output_shape)} · {self.dtype}"
        grid = lay_out(title, COUNT, [("", [self])])
        peaks = {"in inference": self.reserved_infer_bytes, "in training": self.reserved_train_bytes}
        reserved = [f"{size / MIB:.0f} MiB {when}" for when, size in peaks.items() if size is not None]
        remarks = {
            "Configuration": self.config,
            PREDICTED: self.peak_note,
            NOT_COUNTED: missed(self.unknown_ops),
            "Memory reserved (simulated)": self.not_simulated or f"{' and '.join(reserved)}. {SIMULATED}",
            (TRACED_OTHERWISE if self.has_training_pass else NO_TRAINING_PASS): self.note,
        }
        # A note may be what a library raised, which often is a sentence already.
        grid.notes += [f"{self.bound}."] if self.bound else []
        grid.notes += [f"{about}: {remark.rstrip('.')}." for about, remark in remarks.items() if remark]
        return [grid]

    def to_frame(self) -> pd.DataFrame:
        """One row, a column per field: counts and bytes as integers."""
        return frame(COUNT, [self])


def _field(name: str) -> Callable[[Count], Any]:
    return lambda count: getattr(count, name)


def _number(
    name: str, header: str, part: str, unit: str, scale: float, *, lower_bound: str = ""
) -> Column[Count]:
    """A field of integers: in the table as ``scale`` says, in the frame as it is.

    ``lower_bound`` names the field that says whether it is one, which the table marks.
    """

    def mark(count: Count) -> str:
        return LOWER_BOUND if lower_bound and getattr(count, lower_bound) else ""

    return Column(name, header, _field(name), part, unit, kind="int", scale=scale, digits=5, mark=mark)


COUNT: tuple[Column[Count], ...] = (
    Column("subject", "module", _field("subject"), kind="text"),
    raw("shape", _field("shape"), "text"),
    raw("output_shape", _field("output_shape"), "text"),
    raw("dtype", _field("dtype"), "text"),
    _number("macs", "MACs", "forward", "G", 1e-9, lower_bound="lower_bound"),
    _number("flops", "FLOPs", "forward", "G", 1e-9, lower_bound="lower_bound"),
    _number("bwd_macs", "MACs", "backward", "G", 1e-9, lower_bound="bwd_lower_bound"),
    _number("params", "parameters", "", "M", 1e-6),
    _number("act_bytes", "activations", "saved", "MiB", 1 / MIB),
    _number("peak_infer_bytes", "peak", "infer", "MiB", 1 / MIB),
    _number("peak_train_bytes", "peak", "train", "MiB", 1 / MIB),
    Column(
        "intensity_flop_per_byte", "intensity", lambda count: count.flops / max(count.bytes, 1),
        unit="FLOP/B", digits=5, in_frame=False,
    ),
    raw("reserved_infer_bytes", _field("reserved_infer_bytes"), "int"),
    raw("reserved_train_bytes", _field("reserved_train_bytes"), "int"),
    raw("bytes", _field("bytes"), "int"),
    raw("bwd_flops", _field("bwd_flops"), "int"),
    raw("unknown_ops", _field("unknown_ops"), "text"),
    raw("note", _field("note"), "text"),
    raw("peak_note", _field("peak_note"), "text"),
    raw("config", _field("config"), "text"),
)  # fmt: skip


def _peak_note(infer: Trace, train: Trace | UserError) -> str:
    """What is to be said of either peak, once where it is the same."""
    traces = {"infer": infer} if isinstance(train, UserError) else {"infer": infer, "train": train}
    notes = {mode: views.peak_note(recorded) for mode, recorded in traces.items()}
    if len(set(notes.values())) == 1:
        return notes["infer"]
    return "; ".join(f"{mode}: {note}" for mode, note in notes.items() if note)


@dataclass(frozen=True, repr=False)
class Explanation(Result):
    """A module's cost taken apart. ``counters`` and ``leaf_rule`` are of the published form."""

    count: Count
    trace: Trace
    counters: dict[str, dict[str, Any]]
    counted_macs: int
    """Our MACs of what the counters were given: the published operation order where there is one."""
    leaf_rule: dict[str, Any]

    @property
    def headline(self) -> str:
        """The count's, and what it is taken apart by."""
        counters = ", ".join(self.counters) or "none"
        return f"{self.count.headline}; {len(self.trace.ops)} operations; other counters: {counters}"

    def grids(self) -> list[Grid]:
        """The count, its shares by operation and by module, the other counters, and the leaf rule."""
        phases: tuple[Phase, ...] = ("forward", "backward") if self.trace.mode == "train" else ("forward",)
        shares = [
            _shares(f"{phase}, by {what}", what, view(self.trace, phase), named)
            for phase in phases
            for what, view, named in (("operation", views.by_op, _short), ("module", views.by_module, str))
        ]
        return [*self.count.grids(), *shares, self._opinions(), *self._leaves()]

    def to_frame(self) -> pd.DataFrame:
        """Every operation of the trace, in order."""
        return self.trace.to_frame()

    def _opinions(self) -> Grid:
        rows = [_Opinion("ctxbench", self.counted_macs / 1e9, self.counted_macs)]
        rows += [
            _Opinion(name, answer["gmacs"], self.counted_macs, answer["reason"])
            for name, answer in self.counters.items()
        ]
        grid = lay_out("Other counters, on the published operation order", OPINION, [("", rows)])
        for name, answer in self.counters.items():
            if answer["gmacs"] is None:  # then its lists say nothing either
                continue
            for kind, what in (("missed", "products"), ("elementwise", "element-wise operations")):
                if answer[kind]:
                    grid.notes.append(f"{name} gave nothing to these {what}: {missed(answer[kind])}.")
        if "leaves" not in self.leaf_rule:
            grid.notes.append(f"The leaf rule counts nothing: {self.leaf_rule['reason'].rstrip('.')}.")
        return grid

    def _leaves(self) -> list[Grid]:
        if "leaves" not in self.leaf_rule:
            return []
        calls = self.leaf_rule["repeated"]
        leaves = [
            _Leaf(path or "(itself)", calls.get(path, 1), flops, size)
            for path, (flops, size) in self.leaf_rule["leaves"].items()
        ]
        most_expensive = sorted(leaves, key=lambda leaf: -leaf.flops)[:MAX_ROWS]
        title = "The leaf rule (leaf modules alone, last call wins), most expensive leaves"
        grid = lay_out(title, LEAF, [("", most_expensive)])
        totals = ("gflops", "mib", "every_call_gflops", "every_call_mib")
        shown = {name: significant(self.leaf_rule[name], 4) for name in totals}
        number = "1 leaf" if len(leaves) == 1 else f"{len(leaves)} leaves"
        grid.notes.append(
            f"In all {shown['gflops']} GFLOPs and {shown['mib']} MiB in {number}; "
            f"every call counted, {shown['every_call_gflops']} GFLOPs and {shown['every_call_mib']} MiB."
        )
        return [grid]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


class _Opinion(NamedTuple):
    """What a counter counts, beside what ctxbench counts in the same."""

    counter: str
    gmacs: float | None
    counted_macs: int
    reason: str = ""

    @property
    def share(self) -> float | None:
        return self.gmacs * 1e9 / self.counted_macs if self.gmacs is not None and self.counted_macs else None


class _Leaf(NamedTuple):
    """A leaf module: its calls, and the FLOPs and the output's bytes of the last one."""

    path: str
    calls: int
    flops: int
    bytes: int


OPINION: tuple[Column[_Opinion], ...] = (
    Column("counter", "counter", lambda opinion: opinion.counter, kind="text"),
    Column(
        "gmacs", "MACs", lambda opinion: opinion.gmacs, unit="G", digits=5, why=lambda opinion: opinion.reason
    ),
    Column("share", "of ctxbench's", lambda opinion: opinion.share, unit="%", format=_percent),
)
LEAF: tuple[Column[_Leaf], ...] = (
    Column("leaf", "leaf", lambda leaf: leaf.path, kind="text"),
    Column("calls", "calls", lambda leaf: leaf.calls, unit="×", kind="int", format=str),
    Column("flops", "FLOPs", lambda leaf: leaf.flops, "last call", "G", kind="int", scale=1e-9),
    Column("bytes", "output", lambda leaf: leaf.bytes, "last call", "MiB", kind="int", scale=1 / MIB),
)


def _shares(title: str, what: str, shares: Sequence[views.Share], named: Callable[[str], str]) -> Grid:
    total = sum(share.flops for share in shares) or 1
    columns: list[Column[views.Share]] = [
        Column("key", what, lambda share: named(share.key) or "(itself)", kind="text"),
        Column("calls", "calls", lambda share: share.calls, unit="×", kind="int", format=str),
        Column("macs", "MACs", lambda share: share.macs, unit="G", kind="int", scale=1e-9),
        Column("flops", "FLOPs", lambda share: share.flops, "2·MACs + el.", "G", kind="int", scale=1e-9),
        Column("share", "share", lambda share: share.flops / total, "of FLOPs", "%", format=_percent),
        Column("bytes", "moved", lambda share: share.bytes, unit="MiB", kind="int", scale=1 / MIB),
    ]
    return lay_out(title, columns, [("", _folded(shares))])


def _short(operation: str) -> str:
    return operation.removeprefix("aten.").removesuffix(".default")


def _folded(shares: Sequence[views.Share]) -> list[views.Share]:
    """The most expensive shares one by one, and all others as one row."""
    most_expensive, others = list(shares[:MAX_ROWS]), shares[MAX_ROWS:]
    if others:
        costs = [(s.calls, s.macs, s.elementwise, s.bytes) for s in others]
        most_expensive.append(views.Share(f"({len(others)} others)", *map(sum, zip(*costs, strict=True))))
    return most_expensive


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
