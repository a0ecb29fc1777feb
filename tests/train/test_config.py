"""Settings: where each comes from, what is refused, and that a file holds them all."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctxbench.data import DATASETS
from ctxbench.errors import UserError
from ctxbench.paper import printed
from ctxbench.train.config import TrainConfig, assignments, configure, read_toml
from ctxbench.train.presets import PRESETS, configured

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


@pytest.mark.parametrize("layer", [{}, UNUSUAL, {"epochs": 3}, *(p.settings for p in PRESETS.values())])
def test_a_file_holds_all_of_a_configuration(layer: dict[str, Any]) -> None:
    config = configure(layer)
    again = configure(tomllib.loads(config.to_toml()))
    assert again == config
    assert again.digest == config.digest


def test_later_layers_are_first_in_right() -> None:
    config = configured({"dataset": "sift_flow", "lr": 0.1, "crop": 257}, {"lr": 0.2})
    assert (config.lr, config.crop, config.epochs) == (0.2, 257, PRESETS["sift_flow"].settings["epochs"])


def test_another_data_sets_preset_leaves_the_data_set() -> None:
    config = configured({"dataset": "folder"}, preset="ade20k")
    assert (config.dataset, config.lr) == ("folder", 0.01)
    with pytest.raises(UserError, match="no preset 'ade'; there are synthetic, "):
        configured(preset="ade")


def test_without_a_data_set_it_is_the_generated_one() -> None:
    assert configured() == PRESETS["synthetic"].config


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
        ({"lr": "fast"}, "lr is 'fast', not a finite number"),
        ({"batch": True}, "batch is True, not int"),
        ({"precision": "8"}, "precision is '8', not '32-true' or 'bf16-mixed' or '16-mixed'"),
        ({"lr": float("nan")}, "lr is nan, not a finite number"),
        ({"lr": 0}, "lr must be positive, not 0"),
        ({"evaluate_every": -1}, "evaluate_every must not be negative, as -1 is"),
        ({"crop": 64}, "crop must be at least 65 pixels, not 64"),
        ({"seed": 1 << 32}, r"seed must be below 2\*\*32, not 4294967296"),
        ({"momentum": -1}, "momentum is at least 0 and below 1, not -1"),
        ({"optimizer": "adamw", "momentum": 1}, "momentum is at least 0 and below 1, not 1"),
        ({"weight_decay": -1}, "weight_decay must not be negative, as -1 is"),
        ({"scale": [2.0, 0.5]}, r"scale is a range such as \[0.5, 2.0\], not \[2.0, 0.5\]"),
    ],
)
def test_what_makes_no_sense_is_named(layer: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        configure(layer)


def test_assignments_are_toml_or_bare_words() -> None:
    pairs = ["lr=1e-2", "flip=false", "dataset=sift_flow", "scale=[1.0, 1.5]", "root=C:\\a=b"]
    options = ["context_options.rank=32", "context_options.mode=fast"]
    assert assignments([*pairs, *options]) == {
        "lr": 0.01,
        "flip": False,
        "dataset": "sift_flow",
        "scale": [1.0, 1.5],
        "root": "C:\\a=b",
        "context_options": {"rank": 32, "mode": "fast"},
    }
    with pytest.raises(UserError, match=r"--set takes KEY=VALUE, such as lr=0\.01, not 'lr'"):
        assignments(["lr"])


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


# of section 4.1 and 4.2
SCHEDULE = {
    "coco": (0.004, 30),
    "voc12aug": (0.001, 80),
    "voc12": (1e-5, 50),
    "pascal_context": (0.001, 80),
    "coco_stuff": (0.001, 180),
    "ade20k": (0.01, 120),
    "sift_flow": (0.0025, 80),
}


@pytest.mark.parametrize("name", SCHEDULE)
def test_presets_are_the_papers(name: str) -> None:
    config = PRESETS[name].config
    assert (config.lr, config.epochs) == SCHEDULE[name]
    assert (config.batch, config.crop, config.scale, config.momentum) == (16, 512, (0.5, 2.0), 0.9)
    assert (config.weight_decay, config.power, config.aux_weight, config.colour) == (1e-4, 0.9, 0.2, 0)
    known = DATASETS[name]
    assert {config.train_split or known.train_split, known.eval_split} <= set(known.splits)


@pytest.mark.parametrize(
    ("name", "table"),
    [("voc12", 2), ("pascal_context", 3), ("coco_stuff", 4), ("sift_flow", 5), ("ade20k", 6)],
)
def test_presets_promise_what_the_paper_printed(name: str, table: int) -> None:
    rows = [row for row in printed.rows(table) if row["method"] == "RecoNet"]
    scores = [row["miou"] for row in rows if row.get("backbone", "ResNet-101") == "ResNet-101"]
    assert PRESETS[name].expected.startswith(f"{scores[0]} % mIoU")
    assert f"Table {table}" in PRESETS[name].expected
