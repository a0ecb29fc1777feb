"""What whole networks cost: the counts of each, and the table of them.

Two conventions stand beside each other. *MACs* are multiply-accumulates of every convolution and matrix
product, every call. The *leaf rule* is :mod:`ctxbench.counters.leaf_rule`. A network's increment is what it
adds to its backbone; the auxiliary head, for training alone, is in no count.

Papers on the shelf add to the table: each offer ``network_extra`` takes the :class:`NetworkCosts` and returns
an :class:`~ctxbench.table.column.Extra`. A column of its own stands after ours, one that bears the name of
one of ours takes its place, and one without a heading stands in the frame alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctxbench import shelf
from ctxbench.table.column import MIB, Column, Extra, frame, lay_out
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd

G = 10**9


@dataclass(frozen=True)
class NetworkCost:
    """One network at one input size, counted for one image: integers, in the units that their names say.

    MACs, parameters and peak (above weights and input, float32) are of the implementation that runs by
    default. ``increment_leaf_flops`` is of the blocks' published forms, where they have one.
    """

    model: str
    height: int
    width: int
    backbone: str
    classes: int
    backbone_macs: int
    backbone_params: int
    increment_macs: int
    increment_leaf_flops: int
    head_params: int
    peak_infer_bytes: int
    context: str = ""
    """The context module that was asked for; empty for the model's own."""
    context_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The model's name, and its context module's where that is not its own."""
        return f"{self.model} ({self.context})" if self.context else self.model


TITLE: Column[NetworkCost] = Column("title", "model", lambda cost: cost.title, kind="text")
INPUT: Column[NetworkCost] = Column("input", "input", lambda cost: f"{cost.height}×{cost.width}", kind="text")
BACKBONE_MACS: Column[NetworkCost] = Column(
    "backbone_gmacs",
    "backbone",
    lambda cost: cost.backbone_macs / G,
    "MACs",
    "G",
    "MACs: multiply-accumulates of every convolution and matrix product, every call.",
)
INCREMENT_MACS: Column[NetworkCost] = Column(
    "increment_gmacs", "increment", lambda cost: cost.increment_macs / G, "MACs", "G"
)
LEAF_RULE: Column[NetworkCost] = Column(
    "increment_leaf_gflops",
    "increment",
    lambda cost: cost.increment_leaf_flops / G,
    "leaf rule",
    "G",
    "Leaf rule: leaf modules alone, last call wins, on the published form of context modules that have one.",
)
BACKBONE_PARAMS: Column[NetworkCost] = Column(
    "backbone_params", "backbone", lambda cost: cost.backbone_params, "params", "M", kind="int", scale=1e-6
)
HEAD_PARAMS: Column[NetworkCost] = Column(
    "head_params",
    "head",
    lambda cost: cost.head_params,
    "params",
    "M",
    "Increment: the network without its backbone; no auxiliary head.",
    kind="int",
    scale=1e-6,
)
PEAK: Column[NetworkCost] = Column(
    "peak_infer_mib", "peak", lambda cost: cost.peak_infer_bytes / MIB, "infer", "MiB",
    "Peak: predicted, above weights and input.",
)  # fmt: skip
TABLE = (TITLE, INPUT, BACKBONE_MACS, BACKBONE_PARAMS, INCREMENT_MACS, LEAF_RULE, HEAD_PARAMS, PEAK)
"""In the order in which people look at them; what each is ``about`` is the legend under the table."""

CONDITIONS: tuple[Column[NetworkCost], ...] = (
    Column("backbone", "", lambda cost: cost.backbone, kind="text"),
    Column("classes", "", lambda cost: cost.classes, kind="int"),
    Column("model", "", lambda cost: cost.model, kind="text"),
    Column("context", "", lambda cost: cost.context, kind="text"),
    Column("height", "", lambda cost: cost.height, kind="int"),
    Column("width", "", lambda cost: cost.width, kind="int"),
)
"""What was counted: in the frame alone, for the table has it in its title and in two columns of words."""
FRAME = (*CONDITIONS, BACKBONE_MACS, INCREMENT_MACS, LEAF_RULE, BACKBONE_PARAMS, HEAD_PARAMS, PEAK)


@dataclass(frozen=True, repr=False)
class NetworkCosts(Result):
    """Networks on one backbone with one number of classes: ``str()`` is the table."""

    backbone: str
    classes: int
    networks: tuple[NetworkCost, ...]

    @property
    def headline(self) -> str:
        """The networks, and what they stand on."""
        names = ", ".join(dict.fromkeys(network.title for network in self.networks))
        return f"{names} on {self.backbone}, {self.classes} classes: GMACs of every product, every call"

    def grids(self) -> list[Grid]:
        """A row for each network and size, the conventions under it."""
        extras = self._extras()
        columns = _replaced(TABLE, extras)
        table = lay_out(
            f"Networks on {self.backbone} (deep stem, output stride 8) · N = 1, 3 channels · float32 · "
            f"inference · {self.classes} classes",
            [column for column in columns if column.header],
            [("", self.networks)],
        )
        table.notes += [
            " ".join(column.about for column in columns if column.about),
            "Counted, not run: latency and device memory are not measured.",
        ]
        table.notes += [note for extra in extras for note in extra.notes]
        table.findings += [finding for extra in extras for finding in extra.findings]
        return [table]

    def to_frame(self) -> pd.DataFrame:
        """A row for each network and size: what was counted, counts in G and MiB at full precision."""
        return frame(_replaced(FRAME, self._extras()), self.networks)

    def _extras(self) -> list[Extra[NetworkCost]]:
        return [offer(self) for offer in shelf.offers("network_extra")]


def _replaced(
    columns: Iterable[Column[NetworkCost]], extras: Sequence[Extra[NetworkCost]]
) -> list[Column[NetworkCost]]:
    """Our columns, those of the extras in the place of ours of the same name, and their others at the end."""
    by_name = {column.name: column for column in columns}
    return list({**by_name, **{column.name: column for extra in extras for column in extra.columns}}.values())
