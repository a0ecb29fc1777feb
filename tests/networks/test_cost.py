"""Whole networks' costs against closed forms, their table, and what a paper on the shelf adds to it."""

import csv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ctxbench import shelf
from ctxbench.cli import app
from ctxbench.errors import UserError
from ctxbench.networks.cost import NetworkCost, NetworkCosts
from ctxbench.networks.counting import network_costs
from ctxbench.table.column import Column, Extra

CLASSES, RANK, C = 21, 64, 512


def up(side: int, stride: int) -> int:
    return -(-side // stride)


def backbone_macs(layers: tuple[int, ...], width: int, side: int) -> int:
    """Convolutions of a deep-stem ResNet at output stride 8."""
    half, quarter, eighth = (up(side, stride) ** 2 for stride in (2, 4, 8))
    total = half * 9 * (3 * width + width * width + width * 2 * width)
    inputs = 2 * width
    for i, blocks in enumerate(layers):
        planes, out = width * 2**i, 4 * width * 2**i
        before, after = (quarter, quarter if i == 0 else eighth) if i < 2 else (eighth, eighth)
        total += before * inputs * planes + after * (9 * planes * planes + planes * out + inputs * out)
        total += (blocks - 1) * after * (out * planes + 9 * planes * planes + planes * out)
        inputs = out
    return total


def reconet_macs(side: int) -> tuple[int, int]:
    """RecoNet's head on 2048 channels: convolutions without the classifier, and TGM + TRM as one product."""
    h = up(side, 8)
    convolutions = h * h * (9 * 2048 * C + 3 * C * C) + C * C
    return convolutions, RANK * (C * C + 2 * h * h) + RANK * C * h * h


@pytest.fixture(scope="module")
def reconet() -> NetworkCosts:
    return network_costs(["reconet"])


def leaf_flops(side: int) -> int:
    """RecoNet's head by the leaf rule, classifier included."""
    positions, convolutions = up(side, 8) ** 2, reconet_macs(side)[0]
    # batch norm 2, ReLU 1, a global pooling (W + 1) times its output; of TGM + TRM the matrix products twice
    norms = 2 * 3 * positions * C
    pooling = C + (up(side, 8) + 1) * C
    context = RANK * (C * C + 2 * positions) + 2 * C * positions
    classifier = positions * C * CLASSES + positions * CLASSES
    return convolutions + norms + pooling + context + classifier


def test_the_backbone_is_its_closed_form(reconet: NetworkCosts) -> None:
    (network,) = reconet.networks
    assert network.backbone_macs == backbone_macs((3, 4, 23, 3), 64, 512)
    assert network.backbone_macs == pytest.approx(184.33e9, abs=0.005e9)


def test_reconets_increment_in_both_conventions(reconet: NetworkCosts) -> None:
    (network,) = reconet.networks
    convolutions, context = reconet_macs(512)
    assert network.increment_macs == convolutions + 64 * 64 * C * CLASSES + context
    assert network.increment_leaf_flops == leaf_flops(512)


def test_it_reads_as_a_table_and_as_a_frame(reconet: NetworkCosts) -> None:
    text = str(reconet)
    for part in ("512×512", "184.3", "42.07", "41.95", "not measured"):
        assert part in text
    (row,) = reconet.to_frame().to_dict("records")
    (network,) = reconet.networks
    assert row["increment_gmacs"] * 1e9 == pytest.approx(network.increment_macs, rel=1e-15)
    assert row["peak_infer_mib"] * 2**20 == network.peak_infer_bytes
    assert (row["backbone"], row["classes"], row["height"]) == ("resnet101", 21, 512)


def made(**changes: Any) -> NetworkCosts:
    counts: dict[str, Any] = {
        "model": "mine", "height": 65, "width": 97, "backbone": "resnet-tiny", "classes": 3,
        "backbone_macs": 1_500_000_000, "backbone_params": 1_234_567, "increment_macs": 20_000_000,
        "increment_leaf_flops": 30_000_000, "head_params": 89_000, "peak_infer_bytes": 3 * 2**20,
    }  # fmt: skip
    return NetworkCosts("resnet-tiny", 3, (NetworkCost(**{**counts, **changes}),))


def test_without_a_paper_the_table_is_whole_and_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "offers", lambda kind: [])
    grid = made().grids()[0]
    assert [cell.text for cell in grid.groups[0].rows[0]] == [
        "mine", "65×97", "1.500", "1.235", "0.02000", "0.03000", "0.08900", "3.000"
    ]  # fmt: skip
    assert grid.notes[0].startswith("MACs: multiply-accumulates")
    assert "Leaf rule: leaf modules alone, last call wins" in grid.notes[0]
    assert "Table" not in str(made())
    assert list(made().to_frame().columns)[-3:] == ["backbone_params", "head_params", "peak_infer_mib"]


def another_extra(costs: NetworkCosts) -> Extra[NetworkCost]:
    """A second, tiny paper: it prints one network, calls the peak by its own name, and finds something."""
    peak: Column[NetworkCost] = Column(
        "peak_infer_mib", "memory", lambda cost: cost.peak_infer_bytes, unit="B"
    )
    printed: Column[NetworkCost] = Column(
        "theirs", "Table A", lambda cost: "1.5", "printed", "G", kind="text"
    )
    raw: Column[NetworkCost] = Column("why", "", lambda cost: f"{cost.model} is theirs", kind="text")
    return Extra([peak, printed, raw], ["A note."], ["A finding."])


def test_a_paper_adds_columns_renames_ours_and_keeps_some_to_the_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "offers", lambda kind: [another_extra] if kind == "network_extra" else [])
    grid = made().grids()[0]
    assert [heading.line for heading in grid.headings][-2:] == ["memory (B)", "Table A printed (G)"]
    assert [cell.text for cell in grid.groups[0].rows[0]][-1] == "1.5"
    assert (grid.notes[-1], grid.findings) == ("A note.", ["A finding."])
    (row,) = made().to_frame().to_dict("records")
    assert (row["theirs"], row["why"], row["peak_infer_mib"]) == ("1.5", "mine is theirs", 3 * 2**20)


@pytest.mark.parametrize(("size", "side"), [(65, 9), ((128, 128), 16)])
def test_another_backbone_has_no_printed_number(size: int | tuple[int, int], side: int) -> None:
    costs = network_costs(["FCNHead"], sizes=[size], backbone="resnet-tiny", classes=5)
    assert costs.networks[0].model == "fcn"
    (network,) = costs.networks
    height = network.height
    assert (network.height, network.width) == (size if isinstance(size, tuple) else (size, size))
    assert network.backbone_macs == backbone_macs((1, 1, 1, 1), 16, height)
    assert network.increment_macs == side**2 * (9 * 512 * 512 + 512 * 5)
    assert network.head_params == 9 * 512 * 512 + 2 * 512 + 512 * 5 + 5
    assert network.peak_infer_bytes >= 4 * 5 * height**2
    assert "printed_gflops" not in costs.to_frame()
    assert "Table 9" not in str(costs)


def test_too_small_an_input_is_refused() -> None:
    with pytest.raises(UserError, match="at least 65, not 64×100"):
        network_costs(["fcn"], sizes=[(64, 100)])


def test_the_command_line_counts_and_exports(tmp_path: Path) -> None:
    small = ["profile", "--model", "reconet", "--backbone", "resnet-tiny", "--size", "65x97"]
    files = [part for kind in ("json", "csv", "md", "tex") for part in (f"--{kind}", str(tmp_path / kind))]
    ran = CliRunner().invoke(app, [*small, "--context", "emau", "-o", "bases=4", *files])
    assert ran.exception is None
    assert "reconet (emau)" in ran.stdout
    (row,) = csv.DictReader((tmp_path / "csv").read_text().splitlines())
    assert (row["context"], row["height"], row["width"]) == ("emau", "65", "97")
    for kind in ("json", "md", "tex"):
        assert "emau" in (tmp_path / kind).read_text()


def test_an_implementation_of_the_context_module_can_be_chosen() -> None:
    small: dict[str, Any] = {"sizes": [65], "backbone": "resnet-tiny", "context": "reconet"}
    fast, published = (
        network_costs(["reconet"], context_options={"implementation": form}, **small).networks[0]
        for form in ("fast", "published")
    )
    assert fast.increment_macs < published.increment_macs
    assert fast.increment_leaf_flops == published.increment_leaf_flops


BLOCKS = """
from torch import nn


class Asks(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        y = self.conv(x)
        return y if y.sum() > 0 else -y


class Shrinks(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.out_channels = channels
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        return self.pool(x)
"""


def test_a_context_module_of_ones_own_is_tried_among_fake_tensors(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    small: dict[str, Any] = {"sizes": [65], "backbone": "resnet-tiny"}
    plain, own = (
        network_costs(["reconet"], context=context, **small).networks[0]
        for context in ("none", f"{tmp_path}/blocks.py:Asks")
    )
    assert own.head_params - plain.head_params == 2 * C * C + C  # its own 1x1, and the fusion's wider input
    with pytest.raises(UserError, match=r"Shrinks maps .* in a head it must keep"):
        network_costs(["reconet"], context=f"{tmp_path}/blocks.py:Shrinks", **small)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "reconet", "emau"], "leave out modules"),
        (["--model", "reconet", "--channels", "64", "--out", "x"], "leave out --channels, --out"),
        (["--backbone", "resnet50"], "go with --model"),
        (["--model", "fcn", "--context", "emau"], "not for fcn"),
        (["--model", ","], "a list of nothing"),
    ],
)
def test_the_command_line_refuses_what_it_would_ignore(arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(app, ["profile", *arguments])
    assert isinstance(ran.exception, UserError)
    assert said in str(ran.exception)
