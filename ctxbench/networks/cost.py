"""What whole networks cost, beside Table 9 of the RecoNet paper: counted on fake tensors, never run.

Two conventions stand beside each other. *MACs* are multiply-accumulates of every convolution and matrix
product, every call. The *leaf rule* is :mod:`ctxbench.counters.leaf_rule`, which is Table 10's. A
network's increment is what it adds to its backbone; the auxiliary head, for training alone, is in no count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ctxbench.counters import leaf_rule as paper
from ctxbench.errors import UserError
from ctxbench.networks.network import Segmenter, build_network
from ctxbench.networks.resnet import feature_size
from ctxbench.paper.increments import (
    TABLE9_BACKBONE,
    TABLE9_SIDES,
    VOC_CLASSES,
    Decode,
    backbone_alone,
    body,
    decode,
    in_published_form,
    increments,
)
from ctxbench.paper.printed import plain_name, rows
from ctxbench.table.column import MIB, significant
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.terminal import plain
from ctxbench.tracing import trace, views

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

MIN_SIDE = 65
BACKBONE = "backbone."
"""What the paths of the backbone's modules begin with."""

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
    Heading("flops_verdict", "Table 9", "verdict"),
)


@dataclass(frozen=True)
class NetworkCost:
    """One network at one input size: counts in G, parameters, and the predicted peak of inference.

    MACs, parameters and peak (above weights and input, float32) are of the implementation that runs by
    default. ``increment_leaf_gflops`` is of the blocks' published forms, where they have one. ``table9``, of
    published forms and at sides of its own, is None for a network the table has not.
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
    table9: Decode | None

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
    backbone_table9: Decode | None

    def grid(self) -> Grid:
        """A row for each network and size, the conventions under it."""
        table = Grid(
            f"Networks on {self.backbone} (deep stem, output stride 8) · N = 1, 3 channels · float32 · "
            f"inference · {self.classes} classes",
            list(HEADINGS),
        )
        table.groups.append(Group("", [_cells(table, network) for network in self.networks]))
        table.notes += [
            "MACs: multiply-accumulates of every convolution and matrix product, every call. Leaf rule: "
            "Table 10's rule, leaf modules alone, last call wins, on the published form of context modules "
            "that have one. Increment: the network without its backbone; no auxiliary head. Peak: predicted, "
            "above weights and input.",
            "Counted, not run: latency and device memory are not measured.",
        ]
        if any(network.table9 for network in self.networks):
            sides = " and ".join(f"{side}×{side}" for side in TABLE9_SIDES)
            table.notes.append(
                "Table 9: held, as by `ctxbench paper table9`, against every way tried to count the "
                f"increment of published forms at {sides}."
            )
        if self.backbone_table9:
            table.findings.append(
                f"{self.backbone} alone, {self.backbone_table9.printed} G in Table 9: {self.backbone_table9}."
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
                    "flops_verdict": table9.verdict if table9 else None,
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
    table9 = network.table9
    if table9 is None:
        return [Cell(text) for text in (*shown, EMPTY, EMPTY)]
    note = table.footnote(f"{network.model} {table9.printed} G: {table9}.")
    return [*map(Cell, (*shown, table9.printed)), Cell(table9.verdict, note=note)]


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

    ``context`` and its options are RecoNet's, as in :func:`~ctxbench.networks.build_network`. The
    networks of Table 9 (its backbone, 21 classes, TGM+TRM in RecoNet) are held against its numbers.

    Raises UserError for a name, an option or a size that does not fit.
    """
    shapes = [size if isinstance(size, tuple) else (size, size) for size in sizes]
    for height, width in shapes:
        if min(height, width) < MIN_SIDE:
            raise UserError(f"a network takes sides of at least {MIN_SIDE}, not {height}×{width}")
    own_context = context is None and not context_options
    as_printed = own_context and (backbone, classes) == (TABLE9_BACKBONE, VOC_CLASSES)
    printed = {plain_name(row["method"]): row["flops_g"] for row in rows(9)} if as_printed else {}
    networks: list[NetworkCost] = []
    for model in models:
        table9 = decode(printed[model], increments(model)) if model in printed else None
        build = partial(
            build_network,
            model,
            classes,
            backbone=backbone,
            context=context,
            context_options=context_options,
            auxiliary=False,
        )
        for shape in shapes:
            fast = partial(build, crop=shape)
            recorded = trace(fast, (1, 3, *shape))
            leaves = paper.count(partial(_published, fast, shape, context_options), (1, 3, *shape))["leaves"]
            shares = views.by_module(recorded)
            inside = sum(share.macs for share in shares if share.key.startswith(BACKBONE))
            by_rule = sum(flops for path, (flops, _) in leaves.items() if not path.startswith(BACKBONE))
            body_params = sum(parameter.numel() for parameter in body(backbone).parameters())
            networks.append(
                NetworkCost(
                    model=model,
                    context=context or "",
                    height=shape[0],
                    width=shape[1],
                    backbone_gmacs=inside / 1e9,
                    increment_gmacs=(views.macs(recorded) - inside) / 1e9,
                    increment_leaf_gflops=by_rule / 1e9,
                    backbone_params=body_params,
                    head_params=recorded.params - body_params,
                    peak_infer_mib=views.peak_bytes(recorded) / MIB,
                    table9=table9,
                )
            )
    backbone_table9 = decode(printed["resnet-101"], backbone_alone()) if as_printed else None
    return NetworkCosts(backbone, classes, tuple(networks), backbone_table9)


def _published(
    build: Callable[[], Segmenter], shape: tuple[int, int], options: Mapping[str, Any]
) -> nn.Module:
    size = feature_size(shape[0]), feature_size(shape[1])
    return in_published_form(build(), size, **options)
