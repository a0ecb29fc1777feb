"""What one module costs, as its traces say: a row of counts and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError
from ctxbench.report.columns import (
    LOWER_BOUND,
    NOT_COUNTED,
    PREDICTED,
    SIMULATED,
    TRACED_OTHERWISE,
)
from ctxbench.report.further_columns import missed
from ctxbench.table.column import MIB, Column, frame, lay_out, raw, significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.tracing import Trace, views
from ctxbench.tracing.cuda import NotSimulatedError, peak_reserved, settings_here

if TYPE_CHECKING:
    import pandas as pd

    from ctxbench.subject.case import Case

NO_TRAINING_PASS = "No training pass"
"""How the note of a block for inference alone begins."""


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


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
