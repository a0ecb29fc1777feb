"""Settings: where each comes from, what is refused, and that a file holds them all."""

import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from ctxbench.cli.values import options
from ctxbench.errors import UserError
from ctxbench.networks.resnet import Stem, StrideIn
from ctxbench.train.config import TrainConfig, assignments, configure
from ctxbench.train.presets import Preset, configured, presets
from ctxbench.typed import read_toml

UNUSUAL = {
    "model": "reconet",
    "context": "emau",
    "context_options": {"bases": 8},
    "scale": [0.75, 1.5],
    "iterations": 7,
    "root": "/data/a b",
    "lr": 1,
    "baseline": True,
}


@pytest.mark.parametrize("layer", [{}, UNUSUAL, {"epochs": 3}, *(p.settings for p in presets().values())])
def test_a_file_holds_all_of_a_configuration(layer: dict[str, Any]) -> None:
    config = configure(layer)
    again = configure(tomllib.loads(config.to_toml()))
    assert again == config
    assert again.digest == config.digest


def test_later_layers_take_precedence() -> None:
    config = configured({"dataset": "sift_flow", "lr": 0.1, "crop": 257}, {"lr": 0.2})
    assert (config.lr, config.crop, config.epochs) == (0.2, 257, presets()["sift_flow"].settings["epochs"])


def test_an_alias_of_a_context_module_is_no_other_training() -> None:
    config = configure({"context": "CrissCrossAttention"})
    assert config == configure({"context": "rcca"})
    assert config.context == "rcca"
    with pytest.raises(UserError, match="'danet' is more than one module: name pam or cam"):
        configure({"context": "danet"})


def test_another_data_sets_preset_leaves_the_data_set() -> None:
    config = configured({"dataset": "folder"}, preset="ade20k")
    assert (config.dataset, config.lr) == ("folder", 0.01)
    with pytest.raises(UserError, match="no preset named 'ade'; presets: synthetic, "):
        configured(preset="ade")


def test_without_a_data_set_it_is_the_generated_one() -> None:
    assert configured() == presets()["synthetic"].config


def test_a_paper_offers_presets_from_the_shelf(
    monkeypatch: pytest.MonkeyPatch, install_paper: Callable[[str, str], None]
) -> None:
    offer = types.ModuleType("a_second_paper")
    offer.PRESETS = {  # type: ignore[attr-defined]
        name: Preset(name, {"dataset": name, "lr": 0.125}, "", "", "", "") for name in ("zoo", "synthetic")
    }
    monkeypatch.setitem(sys.modules, "a_second_paper", offer)
    offer.OFFERS = {"training_presets": "a_second_paper:PRESETS"}  # type: ignore[attr-defined]
    assert "zoo" not in presets()
    install_paper("a_second_paper", "a_second_paper:OFFERS")
    assert configured({"dataset": "zoo"}).lr == 0.125
    assert configured().lr == 0.005  # the generated set's own stands


def test_epochs_and_iterations_hide_each_other_by_layer() -> None:
    assert configure({"iterations": 9}, {"epochs": 2}).iterations == 0
    assert configure({"epochs": 2}, {"iterations": 9}).iterations == 9
    with pytest.raises(UserError, match="not both"):
        configure({"epochs": 2, "iterations": 9})


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"weight_decy": 0.1}, "no setting 'weight_decy'; did you mean weight_decay"),
        ({"zzz": 1}, "no setting 'zzz'; there are model, context, "),
        ({"lr": "fast"}, "lr is 'fast', not a positive number"),
        ({"batch": True}, "batch is True, not a positive whole number"),
        ({"precision": "8"}, "precision is '8', not '32-true', 'bf16-mixed' or '16-mixed'"),
        ({"stem": "shallow"}, "stem is 'shallow', not 'deep', 'deep-narrow' or 'plain'"),
        ({"lr": float("nan")}, "lr is nan, not a positive number"),
        ({"aux_weight": float("inf")}, "aux_weight is inf, not a finite number"),
        ({"lr": 0}, "lr is 0, not a positive number"),
        ({"epochs": 10**400}, "epochs is 1000*, not a positive number"),
        ({"evaluate_every": -1}, "evaluate_every is -1, not a whole number from 0 up"),
        ({"crop": 64}, "crop is 64, not a whole number of at least 65 pixels"),
        ({"seed": 1 << 32}, r"seed is 4294967296, not a whole number from 0 up, and below 2\*\*32"),
        ({"momentum": -1}, "momentum is -1, not a number from 0 up, and below 1"),
        ({"optimizer": "adamw", "momentum": 1.0}, "momentum is 1.0, not a number from 0 up, and below 1"),
        ({"weight_decay": -1}, "weight_decay is -1, not a number from 0 up"),
        ({"dilations": [2, 0]}, r"dilations is \[2, 0\], not a list of positive whole numbers"),
        ({"scale": [2.0, 0.5]}, r"scale is \[2.0, 0.5\], not a range such as \[0.5, 2.0\]"),
        ({"scale": [0.5]}, r"scale is \[0.5\], not a range"),
        ({"scale": [0.5, "x"]}, r"scale is \[0.5, 'x'\], not a range"),
        ({"flip": "no"}, "flip is 'no', not true or false"),
        ({"root": 3}, "root is 3, not a text"),
        ({"context_options": 3}, "context_options is 3, not a table of options"),
        ({"context_options": {"rank": None}}, "context_options.rank is None, which config.toml cannot hold"),
        ({"context_options": {"bins": [1, {2}]}}, r"context_options.bins is \[1, \{2\}\], which config.toml"),
    ],
)
def test_what_makes_no_sense_is_named(layer: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        configure(layer)


def test_assignments_are_toml_or_bare_words() -> None:
    pairs = ["lr=1e-2", "flip=false", "dataset=sift_flow", "scale=[1.0, 1.5]", "root=C:\\a=b"]
    of_context = ["context_options.rank=32", "context_options.mode=fast", "context_options.bins=(1, 2)"]
    assert assignments([*pairs, *of_context]) == {
        "lr": 0.01,
        "flip": False,
        "dataset": "sift_flow",
        "scale": [1.0, 1.5],
        "root": "C:\\a=b",
        "context_options": {"rank": 32, "mode": "fast", "bins": (1, 2)},
    }
    with pytest.raises(UserError, match=r"--set takes KEY=VALUE, such as lr=0\.01, not 'lr'"):
        assignments(["lr"])


@pytest.mark.parametrize("text", ["False", "false", "True", "1e-3", "[1, 2]", "'a b'", "word", "a=b", "-3"])
def test_an_option_is_typed_as_profile_types_it(text: str) -> None:
    assert assignments([f"context_options.flag={text}"]) == {"context_options": options([f"flag={text}"])}


def test_a_setting_is_checked_where_it_is_changed() -> None:
    assert TrainConfig().changed(devices=2) == replace(TrainConfig(), devices=2)
    with pytest.raises(UserError, match="devices is 0, not a positive whole number"):
        TrainConfig().changed(devices=0)


def test_the_choices_are_the_backbones() -> None:
    declared = get_type_hints(TrainConfig)
    assert (declared["stem"], declared["stride_in"]) == (Stem, StrideIn)


REPORTS = Path(__file__).resolve().parents[2] / "reports"
RUNS = sorted(REPORTS.rglob("config.toml"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.parent.relative_to(REPORTS)))
def test_runs_of_earlier_versions_are_still_read(path: Path) -> None:
    """A run of an ablation has the digest in its folder's name."""
    config = configure(read_toml(path))
    assert tomllib.loads(config.to_toml()) == read_toml(path)
    if "ablation" in path.parts:
        digest = replace(config, seed=0, init=None).digest
        assert path.parent.name.startswith(f"{digest}-seed{config.seed}")


def test_a_wrong_setting_is_refused_before_torch_is_imported() -> None:
    code = (
        "import sys\nfrom ctxbench.cli import main\n"
        "sys.argv = ['ctxbench', 'train', '--set', 'weight_decy=1']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "2 False\n"
    assert "did you mean weight_decay" in process.stderr


def test_files_that_are_no_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.toml: No such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("lr = ")
    with pytest.raises(UserError, match=r"bad.toml is no TOML: Invalid value"):
        read_toml(tmp_path / "bad.toml")


def test_the_digest_tells_what_trains_other_weights() -> None:
    config = TrainConfig()
    assert replace(config, workers=3, root="elsewhere", devices=1).digest == config.digest
    assert replace(config, seed=1).digest != config.digest
    assert replace(config, context_options={"rank": 1}).digest != config.digest


def test_the_baseline_is_the_network_without_context() -> None:
    config = configure(UNUSUAL)
    bare = config.without_context
    assert (bare.context, bare.context_options, bare.global_pool, bare.baseline) == ("none", {}, False, False)
    kept = {"context": config.context, "context_options": config.context_options}
    assert replace(bare, global_pool=True, baseline=True, **kept) == config


def test_every_setting_and_every_preset_is_described_in_the_page() -> None:
    page = (REPORTS.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    settings, _, offered = page.partition("## Presets")
    offered, _, _ = offered.partition("## Networks")
    rows = [line.split(" | ") for line in settings.splitlines() if line.startswith("| `")]
    assert [row[0].split("`")[1] for row in rows] == [item.name for item in fields(TrainConfig)]
    assert [row for row in rows if not row[-1].strip(" |")] == []
    by_name = {line.split("`")[1]: line for line in offered.splitlines() if line.startswith("| `")}
    assert list(by_name) == list(presets())
    for name, preset in presets().items():
        for text in (preset.source, preset.expected, preset.cost, preset.command):
            assert text
            assert text in by_name[name]
