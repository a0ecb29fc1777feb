"""The shipped tables: read, sourced, stated; the networks written for them; the page of their audits."""

import csv
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from ctxbench.audit.literature import paper_table, papers, words
from ctxbench.audit.networks import agents, efficientvit
from ctxbench.audit.networks.pyramids import HVT, Classifier, body
from ctxbench.audit.networks.resnets import MobileNetV2, ResNet
from ctxbench.audit.networks.segmenters import SemanticFPN, UPerHead, hamnet, light_ham, upernet
from ctxbench.audit.networks.swins import swin_v2
from ctxbench.audit.rows import UNSTATED, Row
from ctxbench.errors import UserError
from ctxbench.subject import bind, resolve
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SINGLE
from ctxbench.table.markdown import escape

ROOT = Path(__file__).parents[2]
REPORTS = [path for path in sorted((ROOT / "reports" / "audit").glob("*.csv")) if path.stem in papers()]


@pytest.mark.parametrize("paper", papers())
def test_a_shipped_table_is_read_whole_and_says_where(paper: str) -> None:
    table = paper_table(paper)
    assert table.rows
    assert not table.problems
    for row in table.rows:
        assert ";" in row.source, row.label
        assert row.is_verified == ("from memory" not in row.source), row.label


def test_each_paper_has_words_and_says_what_was_found_where_it_was_looked_at() -> None:
    said = words()
    assert sorted(said) == papers()
    looked = {path.stem for path in REPORTS if any(row["verified"] == "True" for row in rows_of(path))}
    assert {paper for paper, of in said.items() if of.found} == looked


STATED = [
    pytest.param(row, id=f"{paper}: {row.label}")
    for paper in papers()
    for row in paper_table(paper).rows
    if row.subject != UNSTATED
]


def package_of(row: Row) -> str:
    """Whose network a row names; empty for a built-in block."""
    place = resolve.parts(row.subject).place
    return "timm" if place.endswith(".swins") else place.partition(".")[0]


@pytest.mark.parametrize("row", STATED)
def test_what_a_row_names_is_there(row: Row) -> None:
    if (package := package_of(row)) and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    assert resolve.load(row.subject).maker


@pytest.mark.parametrize(
    ("head", "resized"),
    [
        (UPerHead([8] * 4), 512 * (4 * 4 + (256 + 64 + 16) + 3 * 256)),  # pooled, top down, together
        (SemanticFPN([8] * 4), 256 * (256 + 64 + 16) + 128 * (256 + 320 + 336 + 3 * 256)),
    ],
)
def test_a_head_resizes_what_mmsegmentations_does(
    head: nn.Module, resized: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def interpolate(*args: object, real: object = functional.interpolate, **options: object) -> Tensor:
        out: Tensor = real(*args, **options)  # type: ignore[operator]
        seen.append(out.numel())
        return out

    monkeypatch.setattr(functional, "interpolate", interpolate)
    with torch.no_grad():
        head.eval()([torch.zeros(1, 8, side, side) for side in (16, 8, 4, 2)])
    assert sum(seen) == resized


@pytest.mark.slow
@pytest.mark.parametrize("row", STATED)
def test_what_a_row_names_is_built_and_maps_its_input(row: Row) -> None:
    if (package := package_of(row)) and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    assert row.shape is not None
    binding = None if bind.is_built_in(row.subject) else bind.bound(row.subject, {}, None, row.shape)
    batch, channels, height, width = row.shape
    form = bind.implementations(row.subject)[0] if binding is None else SINGLE
    case = Case(
        resolve.canonical(row.subject), channels, height, width, {}, form, batch=batch, binding=binding
    )
    with torch.device("meta"):
        module = build_case(case)
    assert isinstance(module, nn.Module)


def counted(module: nn.Module) -> tuple[int, float]:
    """Parameters and MACs at 224×224; the module is on the meta device."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.empty(1, 3, 224, 224))
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops() / 2


VIT = 196 * 384 * (3 * 384 + 384 + 2 * 1536 + 2 * 196)
"""MACs of a layer of DeiT-S, of 196 rows."""
AGENT_DEIT = 12 * 384 * (197 * (4 * 384 + 2 * 1536 + 4 * 49) + 196 * 9) + 196 * 768 * 384 + 384_000
"""MACs of DeiT-S with 49 agents, of 197 rows, with a depthwise 3×3 of 196 of them."""
SWIN_T = 4_490_566_656 + sum(
    layers * rows * channels * (4 * number + 9 - 2 * 49)
    for layers, rows, channels, number in ((2, 56**2, 96, 9), (2, 28**2, 192, 16), (6, 14**2, 384, 49))
)
"""MACs of timm's Swin-T, with agents and a depthwise 3×3 in place of the products of 7×7 windows."""
NETWORKS = (
    (lambda: ResNet(50, "se"), 28_088_024, 4.0917e9),
    (lambda: ResNet(50, caffe=True), 25_557_032, 3.85797e9),
    (lambda: Classifier("van_b0"), 4_105_800, 8.64224e8),
    (lambda: HVT(0), 22_049_896, 12 * VIT + 196 * 768 * 384 + 384_000),
    (lambda: efficientvit.Segmenter("b0", "cityscapes"), 682_608 + 24_083, 105_068_544),
    (lambda: agents.network("deit_small"), 22_050_664 + 12 * 49_704, AGENT_DEIT),
)
MORE = (
    (lambda: ResNet(18), 11_689_512, 1.81407e9),
    (lambda: ResNet(101), 44_549_160, 7.80141e9),
    (lambda: ResNet(50, groups=32, width=4), 25_028_904, 4.23048e9),
    (lambda: MobileNetV2("triplet", {"kernel_size": 3}), 3_505_892, 3.01917e8),
    (lambda: MobileNetV2("triplet", {"kernel_size": 7}), 3_509_972, 3.06998e8),
    (lambda: Classifier("nat_tiny"), 27_901_582, 4.29523e9),
    (lambda: efficientvit.Segmenter("b3", "ade20k"), 38_997_440 + 548_758, 4_244_212_224),
    (lambda: efficientvit.Segmenter("l1", "ade20k"), 38_037_280 + 2_372_246, 6_955_447_296),
    (lambda: agents.network("swin_tiny"), 28_288_354 + 2 * 9_147 + 2 * 21_066 + 6 * 92_364, SWIN_T),
)
"""What makes each, and its parameters and MACs at 224×224, by hand or as torchvision and timm have them.

EfficientViT's are timm's of the backbone, and by hand of the head.
"""


@pytest.mark.parametrize(
    ("make", "parameters", "macs"),
    [*NETWORKS, *(pytest.param(*network, marks=pytest.mark.slow) for network in MORE)],
)
def test_the_networks_have_the_parameters_and_macs_that_they_should(
    make: object, parameters: int, macs: float
) -> None:
    with torch.device("meta"):
        module = make()  # type: ignore[operator]
    assert counted(module) == (parameters, pytest.approx(macs, rel=2e-6))


class Biased(nn.Module):
    """An attention of SwinV2 as far as its position bias goes: 2 → 8 → 3 at 5×5 offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.cpb_mlp = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3, bias=False))
        self.register_buffer("relative_coords_table", torch.rand(1, 5, 5, 2))
        self.q = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.q(x) + self.cpb_mlp(self.relative_coords_table).sum((0, 1, 2))  # type: ignore[no-any-return]


def test_the_position_biases_of_swin_v2_are_there_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Biased()
    x = torch.rand(7, 3)
    before = own(x), sum(p.numel() for p in own.parameters())
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=lambda name: own))
    network = swin_v2("swinv2_tiny_window16_256")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert torch.equal(network(x), before[0])
    assert counter.get_total_flops() == 2 * 7 * 3 * 3
    assert sum(p.numel() for p in network.parameters()) == before[1]


@pytest.mark.parametrize("head", [light_ham, upernet, hamnet])
def test_a_segmenter_is_its_backbone_and_a_head_at_the_images_size(head: object) -> None:
    with torch.device("meta"):
        module = head("van_b0").eval()  # type: ignore[operator]
        assert module(torch.empty(1, 3, 64, 96)).shape == (1, 150, 64, 96)


@pytest.mark.parametrize("name", ["van_b0", "pvt_tiny", "p2t_tiny", "nat_mini", "cswin_tiny"])
def test_a_backbone_has_the_strides_asked_for(name: str) -> None:
    with torch.device("meta"):
        maps = body(name, (4, 2, 1, 1)).eval()(torch.empty(1, 3, 224, 224))
    assert [tuple(each.shape[2:]) for each in maps] == [(56, 56), (28, 28), (28, 28), (28, 28)]


@pytest.mark.parametrize(
    ("name", "dataset", "said"), [("b4", "ade20k", "'b4'.*l1$"), ("b1", "voc", "ade20k$")]
)
def test_an_efficientvit_that_is_none_is_told_with_those_there_are(
    name: str, dataset: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        efficientvit.Segmenter(name, dataset)


def test_a_network_of_agents_that_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match="'deit_large'; there are: deit_tiny, "):
        agents.network("deit_large")


def test_a_gates_options_are_not_lost() -> None:
    with torch.device("meta"), pytest.raises(TypeError, match="kernel_size"):
        ResNet(18, "se", options={"kernel_size": 3})


def test_the_light_ham_of_van_base_has_the_parameters_counted_by_hand() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in light_ham("van_b2").parameters()) == 27_423_958


def test_stripes_attend_within_their_columns_and_rows() -> None:
    """A change at one position reaches its column of ``split`` and its row, and the 3×3 around, alone."""
    from ctxbench.audit.networks.mixers import CrossStripes

    torch.manual_seed(0)
    mix = CrossStripes(8, 2, 2).eval().double()
    x = torch.randn(1, 8, 6, 6, dtype=torch.float64)
    y = x.clone()
    y[..., 3, 0] += 1
    changed = (mix(x) - mix(y)).abs().amax((0, 1)) > 1e-12  # (6, 6)
    reached = torch.zeros(6, 6, dtype=torch.bool)
    reached[:, 0:2] = reached[2:4, :] = True
    assert torch.equal(changed, reached)


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no table of 'ccnett'; did you mean ccnet\? there are: agent, "):
        paper_table("ccnett")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_page_has_every_number_that_was_read_and_counted_and_no_other(path: Path) -> None:
    page = (ROOT / "docs" / "audits.md").read_text(encoding="utf-8")
    section = page.partition(f'## <a id="{path.stem}"></a>')[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| ")]
    expected = [
        f"| {escape(row['row'])} | {row['printed']} {row['kind']} | {row['verdict']} |"
        for row in rows_of(path)
        if row["verified"] == "True" and row["verdict"] != "not counted"
    ]
    found = [line for line in shown if not line.startswith(("| row |", "|---"))]
    assert len(found) == len(expected)
    for line in expected:
        assert any(row.startswith(line) for row in found), line


def test_a_report_is_of_rows_that_are_shipped() -> None:
    """Each number that a report has is printed in the paper's table, of the same subject."""
    for path in REPORTS:
        shipped = {(row.label, row.source) for row in paper_table(path.stem).rows}
        for row in rows_of(path):
            label = row["row"].removesuffix(" (unverified)")
            assert (label, row["source"]) in shipped, (path.stem, label)
            assert not row["chance"] or 0 <= float(row["chance"]) <= 1
            assert not row["times_macs"] or math.isfinite(float(row["times_macs"]))
