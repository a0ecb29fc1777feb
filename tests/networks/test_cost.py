"""Whole networks' costs against closed forms, and against what Table 9 prints."""

import csv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ctxbench.cli import app
from ctxbench.errors import UserError
from ctxbench.networks.cost import NetworkCosts, network_costs

CLASSES, RANK, C = 21, 64, 512


def up(side: int, stride: int) -> int:
    return -(-side // stride)


def backbone_gmacs(layers: tuple[int, ...], width: int, side: int) -> float:
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
    return total / 1e9


def reconet_macs(side: int) -> tuple[int, int]:
    """RecoNet's head on 2048 channels: convolutions without the classifier, and TGM + TRM as one product."""
    h = up(side, 8)
    convolutions = h * h * (9 * 2048 * C + 3 * C * C) + C * C
    return convolutions, RANK * (C * C + 2 * h * h) + RANK * C * h * h


@pytest.fixture(scope="module")
def reconet() -> NetworkCosts:
    return network_costs(["reconet"])


def test_the_backbone_in_both_conventions(reconet: NetworkCosts) -> None:
    layers = (3, 4, 23, 3)
    tried = {reading.words: reading.gflops for reading in reconet.backbone_table9.tried}
    for side in ("512×512", "513×513"):
        assert tried[f"MACs, at {side}"] == pytest.approx(backbone_gmacs(layers, 64, int(side[:3])))
        assert tried[f"Table 10's rule, at {side}"] > tried[f"MACs, at {side}"]
    assert reconet.networks[0].backbone_gmacs == tried["MACs, at 512×512"]
    assert tried["MACs, at 512×512"] == pytest.approx(184.33, abs=0.005)
    assert tried["MACs, at 513×513"] == pytest.approx(189.889, abs=0.0005)
    assert reconet.backbone_table9.printed == "190.6"
    assert str(reconet.backbone_table9) == "Table 10's rule, at 513×513; 1 of 4 ways tried"


def test_reconets_increment_in_both_conventions(reconet: NetworkCosts) -> None:
    (network,) = reconet.networks
    convolutions, context = reconet_macs(512)
    positions = 64 * 64
    classifier = positions * C * CLASSES
    assert network.increment_gmacs * 1e9 == pytest.approx(convolutions + classifier + context)
    # the leaf rule: batch norm 2, ReLU 1, biases 1, a global pooling (W + 1) times its output, Table 10's TGM
    table10 = RANK * (C * C + 2 * 64 * 64) + 2 * C * 64 * 64
    norms = 2 * 3 * positions * C
    gpm = C + (64 + 1) * C
    leaf = convolutions + norms + gpm + table10
    first = network.table9.fitting[0]
    assert first.words == "Table 10's rule, no classifier, at 512×512"
    assert first.gflops * 1e9 == pytest.approx(leaf, rel=1e-12)
    with_classifier = leaf + classifier + positions * CLASSES
    assert network.increment_leaf_gflops * 1e9 == pytest.approx(with_classifier, rel=1e-12)
    assert network.table9.printed == "41.9"


def test_it_reads_as_a_table_and_as_a_frame(reconet: NetworkCosts) -> None:
    text = str(reconet)
    for part in (
        "512×512",
        "184.3",
        "42.07",
        "41.95",
        "41.9",
        "reproduced¹",
        "¹ reconet 41.9 G: Table 10's rule, no classifier, at 512×512; 3 of",
        "not measured",
    ):
        assert part in text
    (row,) = reconet.to_frame().to_dict("records")
    (network,) = reconet.networks
    assert row["increment_gmacs"] == network.increment_gmacs
    assert (row["printed_gflops"], row["flops_verdict"]) == ("41.9", "reproduced")
    assert row["fits"] == str(network.table9)
    assert row["backbone"] == "resnet101"


@pytest.mark.parametrize(("size", "side"), [(65, 9), ((128, 128), 16)])
def test_another_backbone_has_no_printed_number(size: int | tuple[int, int], side: int) -> None:
    costs = network_costs(["fcn"], sizes=[size], backbone="resnet-tiny", classes=5)
    (network,) = costs.networks
    height = network.height
    assert (network.height, network.width) == (size if isinstance(size, tuple) else (size, size))
    assert network.backbone_gmacs == pytest.approx(backbone_gmacs((1, 1, 1, 1), 16, height))
    assert network.increment_gmacs * 1e9 == pytest.approx(side**2 * (9 * 512 * 512 + 512 * 5))
    assert network.head_params == 9 * 512 * 512 + 2 * 512 + 512 * 5 + 5
    assert network.table9 is None
    assert costs.backbone_table9 is None
    assert network.peak_infer_mib * 2**20 >= 4 * 5 * height**2
    assert costs.to_frame()["printed_gflops"].isna().all()


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
    assert fast.increment_gmacs < published.increment_gmacs
    assert fast.increment_leaf_gflops == published.increment_leaf_gflops


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
        (["--model", ","], "--model takes names"),
    ],
)
def test_the_command_line_refuses_what_it_would_ignore(arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(app, ["profile", *arguments])
    assert isinstance(ran.exception, UserError)
    assert said in str(ran.exception)
