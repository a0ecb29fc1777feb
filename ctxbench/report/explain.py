"""Where a module's cost lies: by operation, by module, and what each other counter makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ctxbench.report.count import Count
from ctxbench.report.further_columns import missed
from ctxbench.table.column import MIB, Column, lay_out, significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.tracing import Trace, views
from ctxbench.tracing.ops import Phase

if TYPE_CHECKING:
    import pandas as pd


MAX_ROWS = 12
"""Rows a table of shares shows one by one."""


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
