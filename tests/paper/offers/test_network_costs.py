"""What the paper adds to a table of whole networks: its Table 9, beside networks that are in it alone."""

from dataclasses import replace
from typing import Any

import pytest

from ctxbench.networks.cost import NetworkCost, NetworkCosts
from ctxbench.networks.counting import network_costs
from ctxbench.paper.increments import backbone_alone
from ctxbench.paper.offers.network_costs import decoded, network_extra

RECONET = NetworkCost(
    model="reconet", height=65, width=65, backbone="resnet101", classes=21, backbone_macs=1,
    backbone_params=1, increment_macs=1, increment_leaf_flops=1, head_params=1, peak_infer_bytes=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def reconet() -> NetworkCosts:
    return network_costs(["reconet"])


def test_the_printed_number_its_verdict_and_its_counting_stand_beside(reconet: NetworkCosts) -> None:
    text = str(reconet)
    for part in (
        "41.9",
        "reproduced¹",
        "¹ reconet 41.9 G: Table 10's rule, no classifier, at 512×512; 3 of",
        "Leaf rule: Table 10's rule, leaf modules alone",
        "resnet101 alone, 190.6 G in Table 9: Table 10's rule, at 513×513; 1 of 4 ways tried.",
    ):
        assert part in " ".join(text.split())
    (row,) = reconet.to_frame().to_dict("records")
    assert (row["printed_gflops"], row["flops_verdict"]) == ("41.9", "reproduced")
    assert row["fits"] == str(decoded(reconet.networks[0]))


def test_the_counts_beside_it_are_the_tables_own(reconet: NetworkCosts) -> None:
    assert reconet.networks[0].backbone_macs == backbone_alone()[512].macs


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet50"},
        {"classes": 19},
        {"context": "emau"},
        {"context_options": {"rank": 3}},
        {"model": "fcn"},
    ],
)
def test_another_network_has_no_printed_number(change: dict[str, Any]) -> None:
    network = replace(RECONET, **change)
    assert decoded(network) is None
    extra = network_extra(NetworkCosts(network.backbone, network.classes, (network,)))
    assert [column.name for column in extra.columns] == ["increment_leaf_gflops"]
    assert not extra.notes
    assert bool(extra.findings) == (network.model == "fcn")  # on the table's backbone


def test_the_tables_note_comes_where_one_of_several_is_in_it() -> None:
    fcn = replace(RECONET, model="fcn")
    costs = NetworkCosts("resnet101", 21, (fcn, RECONET))
    rows = costs.grids()[0].groups[0].rows
    assert [cell.text for cell in rows[0]][-2:] == ["–", "–"]
    assert [cell.text for cell in rows[1]][-2:] == ["41.9", "reproduced"]
    assert costs.grids()[0].notes[-1].startswith("Table 9: held, as by `ctxbench paper table9`")
