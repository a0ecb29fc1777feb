"""What whole networks cost, beside Table 9 of the RecoNet paper: counted on fake tensors, never run.

Two conventions stand beside each other. *MACs* are multiply-accumulates of every convolution and matrix
product, every call. The *leaf rule* is the one behind Table 10 (:mod:`ctxbench.counters.paper`). A network's
increment is what it adds to its backbone; the auxiliary head, which is for training alone, is in no count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch._subclasses.fake_tensor import FakeTensorMode

from ctxbench import registry
from ctxbench.counters import Build, paper
from ctxbench.errors import UserError
from ctxbench.paper.printed import rows
from ctxbench.paper.table10 import fits
from ctxbench.report.column import MIB, significant
from ctxbench.report.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.report.terminal import plain
from ctxbench.segment.networks.heads import NO_CONTEXT
from ctxbench.segment.networks.network import build_network
from ctxbench.segment.networks.resnet import BACKBONES
from ctxbench.tracing import trace, views
from ctxbench.tracing.record import fake_module

if TYPE_CHECKING:
    import pandas as pd

TABLE9_BACKBONE = "resnet101"
TABLE9_SIDES = (512, 513)
"""Sides of the inputs its rows are held against: its numbers were not all made at one."""
VOC_CLASSES = 21
MIN_SIDE = 65

HEADINGS = (
    Heading("model", "model"),
    Heading("input", "input"),
    Heading("backbone_gmacs", "backbone", "MACs", "G"),
    Heading("backbone_params", "backbone", "params", "M"),
    Heading("increment_gmacs", "increment", "MACs", "G"),
    Heading("increment_leaf_gflops", "increment", "leaf rule", "G"),
    Heading("head_params", "head", "params", "M"),
    Heading("peak_infer_mib", "peak", "infer", "MiB"),
    Heading("table9_gflops", "Table 9", "printed", "G"),
    Heading("fits", "Table 9", "fits"),
)


@dataclass(frozen=True)
class Fit:
    """A number printed in Table 9, and what each convention and input size gives, in G."""

    printed: str
    tried: Mapping[str, float]

    @property
    def fitting(self) -> list[str]:
        """The conventions and sizes that print as Table 9 does."""
        return [name for name, value in self.tried.items() if fits(value, self.printed)]

    @property
    def nearest(self) -> str:
        """The convention and size that come nearest, with what they give."""
        name = min(self.tried, key=lambda name: abs(self.tried[name] - float(self.printed)))
        return f"{name} ({self.tried[name]:.2f} G)"

    def __str__(self) -> str:
        return "; ".join(self.fitting) or f"none, nearest {self.nearest}"


@dataclass(frozen=True)
class NetworkCost:
    """One network at one input size: counts in G, parameters, and the predicted peak of inference.

    MACs, parameters and peak (above weights and input, float32) are of the implementation that runs by
    default. ``increment_leaf_gflops`` and ``table9`` are of the published one where RecoNet's context module
    has both; a rival's blocks are counted as they run. ``table9`` is None for a network the table has not.
    """

    model: str
    context: str
    height: int
    width: int
    backbone_gmacs: float
    increment_gmacs: float
    increment_leaf_gflops: float
    backbone_params: int
    head_params: int
    peak_infer_mib: float
    table9: Fit | None

    @property
    def title(self) -> str:
        """The model's name, and its context module's where that is not its own."""
        return f"{self.model} ({self.context})" if self.context else self.model


@dataclass(frozen=True)
class NetworkCosts:
    """Networks on one backbone. ``backbone_table9`` is None where it is not the table's."""

    backbone: str
    classes: int
    networks: tuple[NetworkCost, ...]
    backbone_table9: Fit | None

    def grid(self) -> Grid:
        """A row for each network and size, the conventions under it."""
        table = Grid(
            f"Networks on {self.backbone} (deep stem, output stride 8) · N = 1, 3 channels · float32 · "
            f"inference · {self.classes} classes",
            list(HEADINGS),
        )
        table.groups.append(Group("", [_cells(table, network) for network in self.networks]))
        table.notes += [
            "MACs: multiply-accumulates of every convolution and matrix product, every call. Leaf rule: the "
            "convention of Table 10, leaf modules alone, last call wins, on the published form of RecoNet's "
            "context module. Increment: the network without its backbone; no auxiliary head. Peak: "
            "predicted, above weights and input.",
            "Counted, not run: latency and device memory are not measured.",
        ]
        if any(network.table9 for network in self.networks):
            sides = " and ".join(f"{side}×{side}" for side in TABLE9_SIDES)
            table.notes.append(
                "Fits: what prints as Table 9 does, of the increment by both conventions, with and without "
                f"the classifier, at {sides}."
            )
        if self.backbone_table9:
            table.findings.append(
                f"Table 9 prints {self.backbone_table9.printed} G for {self.backbone} alone; that fits: "
                f"{self.backbone_table9}."
            )
        return table

    def __str__(self) -> str:
        return plain([self.grid()])

    def to_frame(self) -> pd.DataFrame:
        """A row for each network and size, a column per field; what Table 9 does not have is empty."""
        import pandas as pd

        own = {"backbone": self.backbone, "classes": self.classes}
        rows_ = []
        for network in self.networks:
            table9 = network.table9
            rows_.append(
                own
                | {key: value for key, value in vars(network).items() if key != "table9"}
                | {
                    "printed_gflops": table9.printed if table9 else None,
                    "fits": str(table9) if table9 else None,
                }
            )
        return pd.DataFrame(rows_)


def _cells(table: Grid, network: NetworkCost) -> list[Cell]:
    numbers = [
        network.backbone_gmacs,
        network.backbone_params / 1e6,
        network.increment_gmacs,
        network.increment_leaf_gflops,
        network.head_params / 1e6,
        network.peak_infer_mib,
    ]
    shown = [network.title, f"{network.height}×{network.width}", *(significant(n, 4) for n in numbers)]
    fit = network.table9
    if fit is None:
        return [Cell(text) for text in (*shown, EMPTY, EMPTY)]
    note = 0 if fit.fitting else table.footnote(f"{network.model}: nearest is {fit.nearest}.")
    return [*map(Cell, (*shown, fit.printed)), Cell("; ".join(fit.fitting) or "none", note=note)]


def network_costs(
    models: Sequence[str],
    *,
    sizes: Sequence[int | tuple[int, int]] = (512,),
    backbone: str = TABLE9_BACKBONE,
    context: str | None = None,
    context_options: Mapping[str, Any] = {},
    classes: int = VOC_CLASSES,
) -> NetworkCosts:
    """Count networks with the deep stem at inputs 1×3×H×W, each built for its own size.

    ``context`` and its options are RecoNet's, as in :func:`~ctxbench.segment.networks.build_network`. The
    networks of Table 9 (its backbone, 21 classes, TGM+TRM in RecoNet) are held against its numbers.

    Raises UserError for a name, an option or a size that does not fit.
    """
    shapes = [size if isinstance(size, tuple) else (size, size) for size in sizes]
    for height, width in shapes:
        if min(height, width) < MIN_SIDE:
            raise UserError(f"a network takes sides of at least {MIN_SIDE}, not {height}×{width}")
    own_context = context is None and not context_options
    as_printed = own_context and (backbone, classes) == (TABLE9_BACKBONE, VOC_CLASSES)
    held = [(side, side) for side in TABLE9_SIDES] if as_printed else []
    networks: list[NetworkCost] = []
    alone = None
    for model in models:
        build = partial(
            build_network,
            model,
            classes,
            backbone=backbone,
            context=context,
            context_options=context_options,
            auxiliary=False,
        )
        published = partial(build, context_options=_published(model, context, context_options))
        counts = {shape: _count(partial(published, crop=shape), shape) for shape in {*shapes, *held}}
        fit = _fit(model, {shape: counts[shape].increment for shape in held})
        alone = _fit(backbone, {shape: counts[shape].backbone for shape in held})
        body = fake_module(BACKBONES[backbone], FakeTensorMode())
        body_params = sum(parameter.numel() for parameter in body.parameters())
        for shape in shapes:
            recorded = trace(partial(build, crop=shape), (1, 3, *shape))
            on_backbone = counts[shape].backbone["MACs"]
            networks.append(
                NetworkCost(
                    model=model,
                    context=context or "",
                    height=shape[0],
                    width=shape[1],
                    backbone_gmacs=on_backbone,
                    increment_gmacs=views.macs(recorded) / 1e9 - on_backbone,
                    increment_leaf_gflops=counts[shape].increment["leaf rule"],
                    backbone_params=body_params,
                    head_params=recorded.params - body_params,
                    peak_infer_mib=views.peak_bytes(recorded) / MIB,
                    table9=fit,
                )
            )
    return NetworkCosts(backbone, classes, tuple(networks), alone)


@dataclass(frozen=True)
class _Count:
    """G of a network's backbone, and of what is on top, by convention."""

    backbone: dict[str, float]
    increment: dict[str, float]


def _count(build: Build, size: tuple[int, int]) -> _Count:
    recorded = trace(build, (1, 3, *size))
    leaves = paper.count(build, (1, 3, *size))["leaves"]
    classifier = next(op.module for op in reversed(recorded.ops) if op.macs)  # every head ends with it
    backbone, increment = {}, {}
    for convention, costs in (
        ("MACs", {share.key: share.macs for share in views.by_module(recorded)}),
        ("leaf rule", {path: flops for path, (flops, _) in leaves.items()}),
    ):
        inside = sum(cost for path, cost in costs.items() if path.startswith("backbone."))
        on_top = sum(costs.values()) - inside
        backbone[convention] = inside / 1e9
        increment[convention] = on_top / 1e9
        increment[f"{convention}, no classifier"] = (on_top - costs[classifier]) / 1e9
    return _Count(backbone, increment)


def _published(model: str, context: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """RecoNet's context options with the published implementation, where its context module has one."""
    name = context or "reconet"
    if model != "reconet" or name == NO_CONTEXT or "published" not in registry.implementations(name):
        return dict(options)
    return {**options, "implementation": "published"}


def _fit(name: str, counts: Mapping[tuple[int, int], Mapping[str, float]]) -> Fit | None:
    """Hold what Table 9 prints for a model or backbone against counts by size; None where it has none."""
    methods = {row["method"].lower().replace("-", "").replace("+", "plus"): row for row in rows(9)}
    if not counts or name not in methods:
        return None
    tried = {
        f"{rule}, {side}²": value for (side, _), count in counts.items() for rule, value in count.items()
    }
    return Fit(methods[name]["flops_g"], tried)
