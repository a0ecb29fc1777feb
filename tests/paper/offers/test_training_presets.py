"""The settings that the paper offers for training, held against what it says and prints."""

import pytest

from ctxbench.data import DATASETS
from ctxbench.paper import printed
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.train.presets import presets

# of section 4.1 and 4.2
SCHEDULE = {
    "coco": (0.004, 30),
    "voc12aug": (0.001, 80),
    "voc12": (1e-5, 50),
    "pascal_context": (0.001, 80),
    "pascal_context59": (0.001, 80),
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
    info = DATASETS[name]
    assert {config.train_split or info.train_split, info.eval_split} <= set(info.splits)


@pytest.mark.parametrize(
    ("name", "table"),
    [("voc12", 2), ("pascal_context59", 3), ("coco_stuff", 4), ("sift_flow", 5), ("ade20k", 6)],
)
def test_presets_promise_what_the_paper_printed(name: str, table: int) -> None:
    rows = [row for row in printed.rows(table) if row["method"] == "RecoNet"]
    scores = [row["miou"] for row in rows if row.get("backbone", "ResNet-101") == "ResNet-101"]
    assert PRESETS[name].expected.startswith(f"{scores[0]} % mIoU")
    assert f"Table {table}" in PRESETS[name].expected


@pytest.mark.parametrize("name", SCHEDULE)
def test_new_layers_learn_ten_times_as_fast_which_is_not_the_papers(name: str) -> None:
    assert PRESETS[name].config.head_lr_factor == 10
    assert "ten times that, which is not in the paper" in PRESETS[name].source


def test_they_stand_on_the_shelf_beside_the_generated_sets() -> None:
    others = {name: preset for name, preset in presets().items() if name not in PRESETS}
    assert list(others) == ["synthetic"]
    assert presets() == {**others, **PRESETS}
