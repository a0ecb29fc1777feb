"""The Python interface, on numbers that were worked out by hand (units: one product 512→512 at 64×64)."""

import importlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ctxbench
from ctxbench import api

UNIFORM_GMACS = {
    "nonlocal": 10.7374,
    "rcca": 3.2883,
    "emau": 3.0870,
    "latentgnn": 2.7869,
    "afnb": 2.3782,
    "a2net": 3.2212,
    "apcnet": 8.8138,
    "reconet": 0.15362,
}


@pytest.mark.parametrize("module", api.TABLE_10)
def test_published_forms_have_the_uniform_counts_of_the_literature(module: str) -> None:
    expected = UNIFORM_GMACS[module]
    decimals = len(str(expected).partition(".")[2])
    counted = ctxbench.count(module, implementation="published")
    assert round(counted.macs / 1e9, decimals) == expected
    assert not counted.unknown_ops


@pytest.mark.parametrize("module", api.TABLE_10)
def test_fast_forms_never_cost_more_and_are_wholly_understood(module: str) -> None:
    fast, published = (ctxbench.count(module, implementation=form) for form in ("fast", "published"))
    assert fast.macs <= published.macs
    assert fast.peak_infer_bytes <= published.peak_infer_bytes
    assert fast.params == published.params
    assert not fast.unknown_ops


def test_the_reconstruction_as_one_product_in_closed_form() -> None:
    r, c, h, w = 64, 512, 64, 64
    counted = ctxbench.count("reconet")
    assert counted.macs == r * (c * c + h * h + w * w) + r * c * h * w
    assert counted.params == r * (c * c + h * h + w * w) + r
    published = ctxbench.count("reconet", implementation="published")
    assert published.macs == r * (c * c + h * h + w * w) + r * (c * h + c * h * w)
    assert published.peak_infer_bytes >= 20 * counted.peak_infer_bytes


def test_huge_shapes_are_counted_at_once() -> None:
    shape = (1, 2048, 256, 256)
    n, c = 256 * 256, 2048
    assert ctxbench.trace("nonlocal", shape).ops
    assert ctxbench.count("nonlocal", shape).macs == 2 * c * c * n + n * n * c


class Gate(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.squeeze(x.mean((2, 3), keepdim=True)).sigmoid()


def test_a_module_that_exists_is_counted_and_left_alone() -> None:
    gate = Gate(8)
    before = {key: value.clone() for key, value in gate.state_dict().items()}
    counted = ctxbench.count(gate, (2, 8, 5, 6))
    assert counted.macs == 2 * 8 * 8
    assert all(torch.equal(value, before[key]) for key, value in gate.state_dict().items())


def test_results_are_tables_and_frames() -> None:
    counted = ctxbench.count(Gate(8), (1, 8, 5, 6))
    assert "Gate" in str(counted)
    assert counted.to_frame().loc[0, "macs"] == 64
    explained = ctxbench.explain("emau", (1, 16, 9, 7), counters=("thop", "torch"))
    text = str(explained)
    assert "thop gave nothing to these products: aten.bmm.default" in text
    assert "EMAUnit" in text
    frame = explained.to_frame()
    assert frame["macs"].sum() == explained.count.macs


def test_cases_spell_out_a_sweep_with_table_10s_proportions() -> None:
    cases = api.cases(["a2net", "emau"], channels=[64, 128], sizes=[8, (6, 9)], options=None)
    assert len(cases) == 8
    a2net = [case for case in cases if case.module == "a2net"]
    assert [case.options["attention_channels"] for case in a2net] == [32, 32, 64, 64]
    assert (cases[1].height, cases[1].width) == (6, 9)
    (changed,) = api.cases(["reconet"], options={"rank": 8})
    assert changed.config == "rank=8"


def test_the_public_names_are_all_there() -> None:
    for name in ctxbench.__all__:
        assert getattr(ctxbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ctxbench.nothing


def test_a_class_is_profiled_from_where_it_is_defined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_gate.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, dim):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(dim, dim, 1)\n"
        "    def forward(self, x):\n"
        "        return self.conv(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    own = importlib.import_module("own_gate").Own
    settings = ctxbench.Settings(budget_s=0.05, counters=())
    profile = ctxbench.profile([own], channels=[8], sizes=[(4, 5)], settings=settings, out=tmp_path / "run")
    (row,) = profile.to_frame().to_dict("records")
    assert (row["module"], round(row["gmacs"] * 1e9), row["status"] in ("ok", "noisy")) == (
        "own_gate:Own",
        1280,
        True,
    )
    assert "Own" in str(profile)
    assert ctxbench.load_run(profile.folder).records == profile.records
