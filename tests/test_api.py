"""The Python interface, on numbers that were worked out by hand (units: one product 512→512 at 64×64)."""

import doctest
import importlib
import inspect
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import current_process
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ctxbench
from ctxbench import api
from ctxbench.subject.case import Case
from ctxbench.subject.cases import cases

ROOT = Path(__file__).resolve().parent.parent
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


@pytest.mark.parametrize("module", UNIFORM_GMACS)
def test_published_forms_have_the_uniform_counts_of_the_literature(module: str) -> None:
    expected = UNIFORM_GMACS[module]
    decimals = len(str(expected).partition(".")[2])
    counted = ctxbench.count(module, preset="table10", implementation="published")
    assert round(counted.macs / 1e9, decimals) == expected
    assert not counted.unknown_ops


@pytest.mark.parametrize("preset", [None, "table10"])
@pytest.mark.parametrize("module", UNIFORM_GMACS)
def test_fast_forms_never_cost_more_and_are_wholly_understood(module: str, preset: str | None) -> None:
    fast, published = (
        ctxbench.count(module, preset=preset, implementation=form) for form in ("fast", "published")
    )
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


def test_a_batch_to_be_found_is_of_profile_alone() -> None:
    with pytest.raises(ctxbench.UserError, match="a sweep has one batch, a whole number, not 'fit:1MiB'"):
        ctxbench.sweep("se", axis="size", values=[8, 16, 32], batch="fit:1MiB")
    with pytest.raises(ctxbench.UserError, match=r"a shape is \(N, C, H, W\), not \('fit:1MiB', 8, 8, 8\)"):
        ctxbench.count("se", ("fit:1MiB", 8, 8, 8))


def test_huge_shapes_are_counted_at_once() -> None:
    shape = (1, 2048, 256, 256)
    n, c = 256 * 256, 2048
    assert ctxbench.trace("nonlocal", shape).ops
    assert ctxbench.count("nonlocal", shape).macs == 2 * c * c * n + n * n * c


VERBS = [name for name, home in ctxbench._HOME.items() if home == "ctxbench.api"]


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
    swept = cases(["a2net", "emau"], preset="table10", channels=[64, 128], sizes=[8, (6, 9)])
    assert len(swept) == 8
    a2net = [case for case in swept if case.module == "a2net"]
    assert [case.options["attention_channels"] for case in a2net] == [32, 32, 64, 64]
    assert (swept[1].height, swept[1].width) == (6, 9)
    (changed,) = cases(["reconet"], preset="table10", options={"rank": 8})
    assert changed.config == "rank=8"


def test_profile_measures_every_combination_of_its_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured: list[Case] = []

    def measure(wanted: list[Case], **_: object) -> None:
        measured.extend(wanted)
        raise ctxbench.UserError("enough")

    monkeypatch.setattr("ctxbench.measure.session.measure_cases", measure)
    lists = {
        "batch": [1, 8],
        "dtype": ["float32", "bfloat16"],
        "threads": [1, 2],
        "runtime": ["eager", "compile"],
    }
    where = 'not (dtype == "bf16" and runtime == "compile")'
    with pytest.raises(ctxbench.UserError, match="enough"):
        ctxbench.profile("emau", **lists, where=where, out=tmp_path / "run")  # type: ignore[arg-type]
    every = itertools.product(*lists.values())
    kept = [cell for cell in every if not (cell[1] == "bfloat16" and cell[3] == "compile")]
    assert [tuple(getattr(case, name) for name in lists) for case in measured] == kept
    (tmp_path / "cases.toml").write_text("[[case]]\nmodule = 'se'\nthreads = [1, 2]\n")
    with pytest.raises(ctxbench.UserError, match="enough"):
        ctxbench.profile(cases_file=tmp_path / "cases.toml", out=tmp_path / "run")
    assert [(case.module, case.threads) for case in measured[len(kept) :]] == [("se", 1), ("se", 2)]
    with pytest.raises(ctxbench.UserError, match="cases_file names its own modules"):
        ctxbench.profile("emau", cases_file=tmp_path / "cases.toml")


def test_the_public_names_are_all_there() -> None:
    assert set(ctxbench.__all__) == set(ctxbench._HOME)
    for name, home in ctxbench._HOME.items():
        public = getattr(ctxbench, name)
        if type(public) is ctxbench._Folder:  # a folder of the verb's name, which another test has imported
            public = ctxbench._loaded(name)
        assert inspect.isfunction(public) or inspect.isclass(public)
        assert public is getattr(importlib.import_module(home), name)
        assert public.__module__ == home
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
    profile = ctxbench.profile(
        [own], channels=[8], sizes=[(4, 5)], budget_s=0.05, counters=(), out=tmp_path / "run"
    )
    (row,) = profile.to_frame().to_dict("records")
    assert (row["module"], round(row["gmacs"] * 1e9), row["status"] in ("ok", "noisy")) == (
        "own_gate:Own",
        1280,
        True,
    )
    assert "Own" in str(profile)
    assert ctxbench.load_run(profile.folder).records == profile.records


STRANGERS = '''
import torch
from torch import nn

class Scale(nn.Module):
    def forward(self, x, gain):
        return x * gain

class Keywords(nn.Module):
    """A leaf that is called by keywords, an option named as one of ours, and one that takes nothing."""
    def __init__(self, channels, mode="plain", layout=1, name="k"):
        super().__init__()
        self.scale, self.mode, self.layout = Scale(), mode, layout
        self.conv = nn.Conv2d(channels, channels * layout, 1)
    def forward(self, x):
        return self.conv(self.scale(x=x, gain=2))

class Halts(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
    def forward(self, x):
        return self.conv(x) if x.abs().sum().item() > 0 else x

class Fails(nn.Module):
    def __init__(self, channels):
        super().__init__()
    def forward(self, x):
        raise KeyError("no such map")

class Leaves(nn.Module):
    def __init__(self, channels):
        raise SystemExit("bye")
'''


@pytest.fixture
def strangers(tmp_path: Path) -> str:
    (tmp_path / "strangers.py").write_text(STRANGERS)
    return str(tmp_path / "strangers.py")


@pytest.mark.parametrize("cls", ["Keywords", "Halts"])
def test_strangers_blocks_are_explained_whatever_a_counter_makes_of_them(strangers: str, cls: str) -> None:
    explained = ctxbench.explain(f"{strangers}:{cls}", (1, 8, 4, 5))
    assert explained.count.macs == 64 * 20
    assert explained.leaf_rule["gflops"] > 0
    assert set(explained.counters) == {"fvcore", "thop", "torch"}
    assert cls in str(explained)


def test_options_of_a_block_may_be_named_like_arguments_of_ours(strangers: str) -> None:
    options = {"mode": "gauss", "layout": 2, "name": "z"}
    assert ctxbench.count(f"{strangers}:Keywords", (1, 8, 4, 5), options=options).macs == 2 * 64 * 20


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda file: ctxbench.count(f"{file}:Fails", (1, 8, 4, 5)), "Fails fails on N C H W: KeyError"),
        (
            lambda file: ctxbench.count(f"{file}:Leaves", (1, 8, 4, 5)),
            "Leaves cannot be built: .*bye",
        ),
        (lambda file: ctxbench.trace("emau", (8, 4, 5)), "a shape is"),
        (lambda file: ctxbench.trace("emau", (1, 8, 4, 5), dtype="int4"), "unknown dtype"),
        (lambda file: ctxbench.trace(Gate(8), (1, 8, 4, 5), layout="nhwc"), "unknown layout"),
        (lambda file: ctxbench.trace(Gate(8), (1, 8, 4, 5), options={"k": 3}), "built already"),
        (lambda file: ctxbench.trace("emau", (1, 8, 4, 5), options={"channels": 3}), "channels is no option"),
        (lambda file: ctxbench.profile([Gate(8)]), "give a name or a class"),
        (
            lambda file: ctxbench.explain("emau", (1, 8, 4, 5), counters=["foo"]),
            "unknown counter 'foo'; one of",
        ),
        (lambda file: ctxbench.count("emau", (1, 8.0, 4, 5)), "channels must be a positive integer, not 8.0"),
        (
            lambda file: ctxbench.decode("emau", "1G", shape=(1, 8)),
            r"a shape is \(N, C, H, W\), not \(1, 8\)",
        ),
        (lambda file: ctxbench.count_networks("fcn", sizes="64"), "sides of at least 65, not 64×64"),
        (lambda file: ctxbench.count_networks("fcn", sizes=[True]), "sides of at least 65, not True×True"),
        (lambda file: ctxbench.compare("a", "b", threshold=float("nan")), "the threshold must be 0 or more"),
        (lambda file: ctxbench.evaluate(), "either a training run's folder or a folder of predictions"),
        (lambda file: ctxbench.profile("emauu"), "did you mean emau"),
    ],
)
def test_plain_mistakes_are_answered_in_one_line(
    strangers: str, ask: Callable[[str], object], said: str
) -> None:
    with pytest.raises(ctxbench.UserError, match=said) as error:
        ask(strangers)
    assert "\n" not in str(error.value)


SCRIPT = """
import ctxbench
from torch import nn

@ctxbench.register("mine")
class Mine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
    def forward(self, x):
        return self.conv(x)

def main():
    print(ctxbench.count("mine", (1, 8, 4, 5)).macs)
    run = ctxbench.profile("mine", channels=8, sizes=[(4, 5)], budget_s=0.05, counters=(), out="registered")
    print([(record.status, record.macs) for record in run.records])

if __name__ == "__main__":
    main()
"""


def test_a_module_registered_in_a_script_is_used_in_that_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join(str(ROOT / part) for part in ("", "modules"))
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.splitlines() == ["1280", "[('ok', 1280)]"], ran.stderr


def test_a_script_without_a_main_guard_is_told_to_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_process()._config, "daemon", True)  # as in the worker that imports the script
    with pytest.raises(ctxbench.UserError, match="put it under if __name__ == '__main__'"):
        ctxbench.profile("emau")


class NoGradient(nn.Module):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


def test_a_block_for_inference_alone_is_counted_and_says_so() -> None:
    counted = ctxbench.count(NoGradient(), (1, 8, 4, 5))
    assert (counted.flops, counted.bwd_macs, counted.act_bytes) == (160, None, None)
    assert "forward and backward" in counted.note
    assert "–" in str(counted)


def test_a_name_is_one_block_and_a_preset_another() -> None:
    """AFNB as published is the whole block; the preset has the core that a table of its own is about."""
    published, (core,) = cases("afnb")[0], cases("afnb", preset="table10")
    assert (published.options, published.config) == ({}, "")
    assert core.options == {"key_channels": 256, "value_channels": 256, "norm": False, "fuse": False}
    whole, part = ctxbench.count("afnb"), ctxbench.count("afnb", preset="table10")
    assert whole.macs > 3 * part.macs
    assert [case.module for case in cases()] == [case.module for case in cases(preset="table10")]
    with pytest.raises(
        ctxbench.UserError, match="the preset table10 has no 'cbam'; it has reconet, nonlocal"
    ):
        cases("cbam", preset="table10")
    with pytest.raises(ctxbench.UserError, match="no preset named 'table11'; presets: table10"):
        cases("afnb", preset="table11")


def test_a_case_of_a_preset_is_the_same_case_spelled_out() -> None:
    (of_preset,) = cases("latentgnn", preset="table10")
    (spelled_out,) = cases("latentgnn", options=of_preset.options)
    assert spelled_out == of_preset
    assert spelled_out.id == of_preset.id
    assert spelled_out.rule_options == of_preset.rule_options != {}


def test_a_sweep_writes_what_it_was_asked_to(tmp_path: Path) -> None:
    swept = ctxbench.sweep("se", axis="channels", values=[16, 32, 64], size=8, out=tmp_path / "swept")
    assert {"sweep.csv", "sweep.md", "sweep.tex", "sweep.png"} <= {
        p.name for p in (tmp_path / "swept").iterdir()
    }
    assert len(swept.to_frame()) == 3


def test_a_folder_with_the_name_of_a_verb_is_that_verb(tmp_path: Path) -> None:
    importlib.import_module("ctxbench.report.run")  # binds the folder where the verb is looked up
    with pytest.raises(ctxbench.UserError, match="holds no run"):
        ctxbench.report(tmp_path)
    assert inspect.signature(ctxbench.report) == inspect.signature(api.report)


def test_an_option_is_for_every_module_or_for_the_one_it_names() -> None:
    options = {"reconet.rank": 8, "EMAU.bases": 16}
    first, second = cases(["reconet", "ctxbench_modules.emanet:EMAU"], options=options)
    assert (first.options, second.options) == ({"rank": 8}, {"bases": 16})
    with pytest.raises(ctxbench.UserError, match="'afnb', which is not among reconet"):
        cases("reconet", options={"afnb.fuse": True})


def test_the_examples_in_docstrings_do_as_they_say() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for name in VERBS for test in finder.find(getattr(api, name), name) if test.examples]
    assert {test.name for test in tests} >= {"count", "register_formula"}
    for test in tests:
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.parametrize("name", VERBS)
def test_every_argument_of_a_verb_is_an_explicit_keyword_with_a_type(name: str) -> None:
    for parameter in inspect.signature(getattr(api, name)).parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD
        assert parameter.annotation is not parameter.empty
