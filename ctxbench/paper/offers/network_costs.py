"""What the paper adds to a table of whole networks: its Table 9, where that has a network counted there.

A network is the table's on its backbone, with its 21 classes and the model's own context module. What is
printed for each, and what the networks built here give of it:

============== ======== ====================================================================================
model          printed  here
============== ======== ====================================================================================
pspnet         +77.5 G  at 512×512: the 3×3 of 4096 to 512 channels, the pooled 1×1s and the classifier
deeplabv3plus  +84.1 G  85.2 G at 513×513
danet          +117.3 G with the products of the position attention counted twice, and those of the channel
                        attention not at all
psanet         +56.3 G  no configuration that is known gives it
ccnet          +65.3 G  it has room for less than half of what follows the attention here
emanet         +43.1 G  at 513×513, with EMAU's published form; it has no room for the released code's 3×3 of
                        512 to 256 channels before the classifier
reconet        +41.9 G  by Table 10's rule, with the 1×1 of 1536 to 512 channels that the paper calls "the
                        final prediction", without the classifier
============== ======== ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from ctxbench.networks.cost import LEAF_RULE, NetworkCost, NetworkCosts
from ctxbench.paper.increments import (
    TABLE9_BACKBONE,
    TABLE9_SIDES,
    VOC_CLASSES,
    Decode,
    backbone_alone,
    decode,
    increments,
)
from ctxbench.paper.printed import plain_name, rows
from ctxbench.table.column import Column, Extra

TABLES_RULE = replace(LEAF_RULE, about=LEAF_RULE.about.replace(": ", ": Table 10's rule, ", 1))
"""The leaf rule's column, as the paper's readers know it."""


def decoded(network: NetworkCost) -> Decode | None:
    """The decoding of what Table 9 prints for a network; None where it has no such network.

    It is of published forms and at sides of its own, whatever the network's size.
    """
    return _decoded(network.model) if _as_printed(network) else None


@cache
def _decoded(model: str) -> Decode | None:
    printed = {plain_name(row["method"]): row["flops_g"] for row in rows(9)}
    return decode(printed[model], increments(model)) if model in printed else None


def _as_printed(network: NetworkCost) -> bool:
    own_context = not network.context and not network.context_options
    return own_context and (network.backbone, network.classes) == (TABLE9_BACKBONE, VOC_CLASSES)


def _of_decoding(take: Callable[[Decode], Any]) -> Callable[[NetworkCost], Any]:
    def value(network: NetworkCost) -> Any:
        decoding = decoded(network)
        return None if decoding is None else take(decoding)

    return value


def _fits(network: NetworkCost) -> str:
    decoding = decoded(network)
    return "" if decoding is None else f"{network.model} {decoding.printed} G: {decoding}."


COLUMNS: tuple[Column[NetworkCost], ...] = (
    Column(
        "printed_gflops", "Table 9", _of_decoding(lambda decoding: decoding.printed), "printed", "G",
        kind="text",
    ),
    Column(
        "flops_verdict", "Table 9", _of_decoding(lambda decoding: decoding.verdict), "verdict",
        kind="text", note=_fits,
    ),
    Column("fits", "", _of_decoding(str), kind="text"),
)  # fmt: skip


def network_extra(costs: NetworkCosts) -> Extra[NetworkCost]:
    """The columns of Table 9, where it has one of the networks; the backbone's finding, where it is its."""
    columns, notes, findings = [TABLES_RULE], [], []
    if any(map(decoded, costs.networks)):
        columns += COLUMNS
        sides = " and ".join(f"{side}×{side}" for side in TABLE9_SIDES)
        notes.append(
            "Table 9: held, as by `ctxbench paper table9`, against every way tried to count the "
            f"increment of published forms at {sides}."
        )
    if any(map(_as_printed, costs.networks)):
        backbone = decode(_printed_backbone(), backbone_alone())
        findings.append(f"{costs.backbone} alone, {backbone.printed} G in Table 9: {backbone}.")
    return Extra(columns, notes, findings)


def _printed_backbone() -> str:
    return next(row["flops_g"] for row in rows(9) if row["is_increment_over_backbone"] != "1")
