"""Where a module's cost lies: by operation, by module, and what each other counter makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError
from ctxbench.report.columns import NOT_COUNTED, TRACED_OTHERWISE, missed
from ctxbench.table.column import MIB, significant
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.terminal import plain
from ctxbench.tracing import Trace, views
from ctxbench.tracing.ops import Phase

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12
"""Rows a table of shares shows one by one."""


@dataclass(frozen=True)
class Count:
    """Everything that follows from a module's traces, without running it.

    MACs, FLOPs and bytes are exact integers of one pass; peaks are predicted, above parameters and input.
    What a training pass would say is None for a module that has none, and ``note`` then says why.
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
    unknown_ops: dict[str, int] = field(default_factory=dict)
    note: str = ""
    config: str = ""
    """Options in which it departs from its defaults: a preset's, and those given."""

    @classmethod
    def of(cls, subject: str, infer: Trace, train: Trace | UserError, config: str = "") -> Count:
        """Take the views of an inference trace and a training trace of one module, or why there is none."""
        if isinstance(train, UserError):
            trained: dict[str, Any] = dict.fromkeys(
                ("bwd_macs", "bwd_flops", "act_bytes", "peak_train_bytes")
            )
            trained |= {"unknown_ops": views.unknown_ops(infer), "note": str(train)}
        else:
            trained = {
                "bwd_macs": views.macs(train, "backward"),
                "bwd_flops": views.flops(train, "backward"),
                "act_bytes": views.saved_bytes(train),
                "peak_train_bytes": views.peak_bytes(train),
                "unknown_ops": {**views.unknown_ops(train), **views.unknown_ops(infer)},
                "note": infer.note or train.note,
            }
        return cls(
            subject=subject,
            config=config,
            shape=infer.shape,
            output_shape=infer.output_shape,
            dtype=infer.dtype,
            params=infer.params,
            macs=views.macs(infer),
            flops=views.flops(infer),
            bytes=views.bytes_moved(infer),
            peak_infer_bytes=views.peak_bytes(infer),
            **trained,
        )

    def grid(self) -> Grid:
        """One row: counts in 10⁹, memory in MiB."""
        cells: list[tuple[str, str, str, int | None, float]] = [
            ("MACs", "forward", "G", self.macs, 1e9),
            ("FLOPs", "forward", "G", self.flops, 1e9),
            ("MACs", "backward", "G", self.bwd_macs, 1e9),
            ("parameters", "", "M", self.params, 1e6),
            ("activations", "saved", "MiB", self.act_bytes, MIB),
            ("peak", "infer", "MiB", self.peak_infer_bytes, MIB),
            ("peak", "train", "MiB", self.peak_train_bytes, MIB),
            ("intensity", "", "FLOP/B", self.flops, max(self.bytes, 1)),
        ]
        headings = [Heading("module", "module")] + [Heading(h + p, h, p, u) for h, p, u, _, _ in cells]
        shown = (EMPTY if value is None else significant(value / unit, 5) for *_, value, unit in cells)
        row = [Cell(self.subject), *map(Cell, shown)]
        said = {
            "Configuration": self.config,
            NOT_COUNTED: missed(self.unknown_ops),
            TRACED_OTHERWISE: self.note,
        }
        notes = [f"{about}: {what}." for about, what in said.items() if what]
        title = f"input {_by(self.shape)} · output {_by(self.output_shape)} · {self.dtype}"
        return Grid(title, headings, [Group("", [row])], notes=notes)

    def __str__(self) -> str:
        return plain([self.grid()])

    def to_frame(self) -> pd.DataFrame:
        """One row, a column per field."""
        import pandas as pd

        return pd.DataFrame([vars(self)])


@dataclass(frozen=True)
class Explanation:
    """A module's cost taken apart. ``counters`` and ``leaf_rule`` are of the published form."""

    count: Count
    trace: Trace
    counters: dict[str, dict[str, Any]]
    counted_macs: int
    """Our MACs of what the counters were given: the published operation order where there is one."""
    leaf_rule: dict[str, Any]

    def grids(self) -> list[Grid]:
        """The count, its shares by operation and by module, the other counters, and the leaf rule."""
        phases: tuple[Phase, ...] = ("forward", "backward") if self.trace.mode == "train" else ("forward",)
        shares = [
            _shares(f"{phase}, by {what}", what, view(self.trace, phase), named)
            for phase in phases
            for what, view, named in (("operation", views.by_op, _short), ("module", views.by_module, str))
        ]
        return [self.count.grid(), *shares, self._opinions(), *self._leaves()]

    def __str__(self) -> str:
        return plain(self.grids())

    def to_frame(self) -> pd.DataFrame:
        """Every operation of the trace, in order."""
        return self.trace.to_frame()

    def _opinions(self) -> Grid:
        headings = [
            Heading("counter", "counter"),
            Heading("gmacs", "MACs", "", "G"),
            Heading("share", "of ours", "", "%"),
        ]
        ours = [Cell("ctxbench"), Cell(significant(self.counted_macs / 1e9, 5)), Cell("100")]
        rows = [ours]
        table = Grid("Other counters, on the published operation order", headings, [Group("", rows)])
        for name, answer in self.counters.items():
            gmacs = answer["gmacs"]
            if gmacs is None:
                rows.append([Cell(name), Cell(EMPTY, note=table.footnote(answer["reason"])), Cell(EMPTY)])
                continue
            share = f"{1e11 * gmacs / self.counted_macs:.1f}" if self.counted_macs else EMPTY
            rows.append([Cell(name), Cell(significant(gmacs, 5)), Cell(share)])
            for kind, what in (("missed", "products"), ("elementwise", "element-wise operations")):
                if answer[kind]:
                    table.notes.append(f"{name} gave nothing to these {what}: {missed(answer[kind])}.")
        return table

    def _leaves(self) -> list[Grid]:
        if "leaves" not in self.leaf_rule:
            return []
        headings = [
            Heading("leaf", "leaf"),
            Heading("calls", "calls", "", "×"),
            Heading("gflops", "FLOPs", "last call", "G"),
            Heading("mib", "output", "last call", "MiB"),
        ]
        most_expensive = sorted(self.leaf_rule["leaves"].items(), key=lambda item: -item[1][0])[:SHOWN]
        rows = [
            [
                Cell(path or "(itself)"),
                Cell(str(self.leaf_rule["repeated"].get(path, 1))),
                Cell(significant(flops / 1e9, 4)),
                Cell(significant(size / MIB, 4)),
            ]
            for path, (flops, size) in most_expensive
        ]
        totals = ("gflops", "mib", "every_call_gflops", "every_call_mib")
        shown = {name: significant(self.leaf_rule[name], 4) for name in totals}
        total = (
            f"In all {shown['gflops']} GFLOPs and {shown['mib']} MiB in "
            f"{len(self.leaf_rule['leaves'])} leaves; "
            f"every call counted, {shown['every_call_gflops']} GFLOPs and {shown['every_call_mib']} MiB."
        )
        title = "The leaf rule (leaf modules alone, last call wins), most expensive leaves"
        return [Grid(title, headings, [Group("", rows)], notes=[total])]


def _shares(title: str, what: str, shares: Sequence[views.Share], named: Callable[[str], str]) -> Grid:
    columns: list[tuple[Heading, Callable[[views.Share], str]]] = [
        (Heading("key", what), lambda s: named(s.key) or "(itself)"),
        (Heading("calls", "calls", "", "×"), lambda s: str(s.calls)),
        (Heading("gmacs", "MACs", "", "G"), lambda s: significant(s.macs / 1e9, 4)),
        (Heading("gflops", "FLOPs", "2·MACs + el.", "G"), lambda s: significant(s.flops / 1e9, 4)),
        (Heading("share", "share", "of FLOPs", "%"), lambda s: f"{100 * s.flops / total:.1f}"),
        (Heading("moved", "moved", "", "MiB"), lambda s: significant(s.bytes / MIB, 4)),
    ]
    total = sum(share.flops for share in shares) or 1
    rows = [[Cell(show(share)) for _, show in columns] for share in _folded(shares)]
    return Grid(title, [heading for heading, _ in columns], [Group("", rows)])


def _short(operation: str) -> str:
    return operation.removeprefix("aten.").removesuffix(".default")


def _folded(shares: Sequence[views.Share]) -> list[views.Share]:
    most_expensive, others = list(shares[:SHOWN]), shares[SHOWN:]
    if others:
        costs = [(s.calls, s.macs, s.elementwise, s.bytes) for s in others]
        most_expensive.append(views.Share(f"({len(others)} others)", *map(sum, zip(*costs, strict=True))))
    return most_expensive


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
