"""What a trace holds: operations in order, and the storages they made and dropped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from ctxbench.tracing.formulas import Kind, Taken

if TYPE_CHECKING:
    import pandas as pd

Phase = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Op:
    """One call of one operation.

    ``name`` is the overload (``aten.bmm.default``); ``module`` the dotted path of the innermost module it
    ran in (for a backward operation: the module whose forward it differentiates), empty at the root.
    ``bytes`` are those read and written once each; nothing is assumed to stay in a cache.
    """

    name: str
    module: str
    phase: Phase
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    kind: Kind
    macs: int
    elementwise: int
    bytes: int

    @property
    def flops(self) -> int:
        """2·MACs + element-wise operations."""
        return 2 * self.macs + self.elementwise


INSIDE = -1
"""Number that stands for what an operation takes and gives back before it returns."""


class MemoryEvent(NamedTuple):
    """After operation number ``op`` a storage was born or grew (``bytes`` > 0), or shrank or died (< 0).

    Under number ``INSIDE`` is the most that the operation's kernel on the CPU had at once, outputs among it.
    """

    op: int
    storage: int
    bytes: int


@dataclass(frozen=True, repr=False)
class Trace:
    """One recorded pass: forward, and in mode ``train`` backward too.

    ``events`` leave out parameters, buffers, the input and the upstream gradient, whose storages' bytes are
    ``given``, in the order in which they came to be. ``saved`` are the storages (number to bytes) that
    autograd saves for the backward pass (as torch's saved_tensors_hooks shows them), without parameters,
    buffers and the input. ``inside`` is what operations took that a library ran of which not all is known, by
    their number. ``tensors`` says whether the pass ran on fake tensors or was computed; ``note`` why, and
    where else the recording departed from plain eager execution.
    """

    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dtype: str
    layout: str
    mode: Literal["infer", "train"]
    params: int
    ops: tuple[Op, ...]
    events: tuple[MemoryEvent, ...]
    given: tuple[int, ...]
    saved: dict[int, int]
    inside: dict[int, Taken] = field(default_factory=dict)
    note: str = ""
    tensors: Literal["fake", "real"] = "fake"

    @property
    def unknown_ops(self) -> dict[str, int]:
        """Operations whose cost is not known, with how often each ran; they add nothing to any count."""
        return dict(Counter(op.name for op in self.ops if op.kind == "unknown"))

    @property
    def lower_bound(self) -> bool:
        """Whether its counts are lower bounds: some operation ran whose cost is not known."""
        return any(op.kind == "unknown" for op in self.ops)

    def to_frame(self) -> pd.DataFrame:
        """Every operation in order, a column per field of :class:`Op`, and its FLOPs."""
        import pandas as pd

        rows = [{**{name: getattr(op, name) for name in Op.__slots__}, "flops": op.flops} for op in self.ops]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        shape, output = ("×".join(map(str, sides)) for sides in (self.shape, self.output_shape))
        macs = sum(op.macs for op in self.ops if op.phase == "forward")
        return (
            f"<Trace input {shape}, output {output}, {self.dtype}, {self.mode}: {len(self.ops)} operations, "
            f"{'at least ' if self.lower_bound else ''}{macs:,} MACs forward>"
        )

    def _repr_html_(self) -> str:
        from html import escape

        operations: str = self.to_frame().to_html(max_rows=20, notebook=True)
        return f"<p>{escape(repr(self)[1:-1])}</p>{operations}"

    def __str__(self) -> str:
        work = [op for op in self.ops if op.kind != "view"]
        lines = [f"{op.phase:8} {op.module or '-':24} {op.name:40} {op.macs:>16,} MACs" for op in work]
        return "\n".join(lines)
