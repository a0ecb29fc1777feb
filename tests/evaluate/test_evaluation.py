"""An evaluation's tables beside the paper's, and its files."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import (
    FILES,
    PAPER_SCALES,
    PRINTED,
    Evaluation,
    read_evaluation,
    tables,
    write_evaluation,
)


def evaluation(dataset: str = "voc12", classes: int = 21, **changes: object) -> Evaluation:
    confusion = np.random.default_rng(0).integers(1, 50, (classes, classes)) + 500 * np.eye(
        classes, dtype=int
    )
    made = Evaluation(
        confusion=confusion,
        classes=tuple(f"class {k}" for k in range(classes)),
        dataset=dataset,
        split="val",
        images=1449,
        network="reconet",
        backbone="resnet101",
        scales=(1.0,),
        seconds=2.0,
        environment={"torch": "2"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def texts(made: Evaluation, table: int, group: int = 0) -> list[list[str]]:
    return [[cell.text for cell in row] for row in tables(made)[table].groups[group].rows]


def test_voc_stands_beside_table_1_class_by_class() -> None:
    rows = texts(evaluation(), 0)
    assert [row[2] for row in rows[:2]] == ["–", "93.7"]  # the background is not printed, then aero
    assert rows[20][2] == "83.1"  # tv
    assert texts(evaluation(), 0, 1)[0][:3] == ["mean", f"{evaluation().miou:.2f}", "85.6"]
    assert "test, 1456 images" in str(evaluation())


def test_voc_val_stands_beside_table_9_at_the_same_scales() -> None:
    single = texts(evaluation(), 1)
    assert single[-1] == ["RecoNet", "ResNet-101", "–", "81.40"]
    multiple = texts(evaluation(scales=PAPER_SCALES, flip=True), 1)
    assert multiple[-1][3] == "82.13"
    assert len(single) == len(multiple) == 7  # the bare backbone has no score


def test_sift_flow_stands_beside_table_5() -> None:
    made = evaluation("sift_flow", 33, split="test", images=200)
    assert texts(made, 1)[-1] == ["RecoNet", "–", "89.6", "46.8"]
    assert texts(made, 1, 1)[0][1:] == ["resnet101", f"{made.pixel_accuracy:.2f}", f"{made.miou:.2f}"]


@pytest.mark.parametrize("dataset", list(PRINTED))
def test_every_data_set_of_the_paper_has_its_table(dataset: str) -> None:
    rows = texts(evaluation(dataset, PRINTED[dataset].classes), 1)
    assert {"RecoNet"} <= {row[0] for row in rows}


def test_a_data_set_the_paper_does_not_have_stands_alone() -> None:
    assert [group.label for group in tables(evaluation("folder", 3))[1].groups] == [""]


def test_the_same_setting_is_said_to_be_the_same() -> None:
    notes = tables(evaluation())[1].notes
    assert "same split, images, classes, evaluation and backbone" in notes[-1]


def test_every_difference_from_the_print_is_named() -> None:
    made = evaluation("ade20k", 150, split="train", images=12, backbone="resnet50", network="mine")
    note = tables(made)[1].notes[-1]
    assert note == (
        "The printed numbers are of another setting: split (train; printed: val); "
        "images (12; printed: 2000); evaluation (single scale; printed: multi-scale and flip); "
        "backbone (resnet50; printed: ResNet-101)."
    )


def test_weights_that_these_images_chose_are_no_setting_of_the_papers() -> None:
    note = tables(evaluation(chosen_among=4))[1].notes[-1]
    assert "another setting: weights (the best of 4 evaluations on these images; the paper" in note


def test_a_mean_says_over_how_many_classes() -> None:
    confusion = np.diag([4, 2, 0])
    made = evaluation("folder", 3, confusion=confusion)
    assert (made.miou, made.counted) == (100, 2)
    assert "over the 2 of 3 classes" in str(made)


def test_without_truth_nothing_is_measured_and_it_says_so(tmp_path: Path) -> None:
    made = evaluation("folder", 3, confusion=np.zeros((3, 3), np.int64))
    assert math.isnan(made.miou)
    assert "Not measured: no pixel" in str(made)
    write_evaluation(tmp_path, made)
    assert json.loads((tmp_path / "metrics.json").read_text())["miou_pct"] is None


def test_files_hold_the_evaluation(tmp_path: Path) -> None:
    made = evaluation(scales=PAPER_SCALES, flip=True, sliding=512, skipped=("a", "b"), checkpoint="best")
    assert {path.name for path in write_evaluation(tmp_path / "new", made)} == set(FILES)
    back = read_evaluation(tmp_path / "new")
    assert np.array_equal(back.confusion, made.confusion)
    assert str(back) == str(made)
    assert replace(back, confusion=made.confusion).__dict__ == made.__dict__


def test_tables_are_written_in_every_form(tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluation())
    assert "| class 20 |" in (tmp_path / "per_class.md").read_text()
    assert r"\toprule" in (tmp_path / "per_class.tex").read_text()
    assert (tmp_path / "per_class.csv").read_text().startswith("class,iou_pct,")


def damage_json(folder: Path) -> str:
    (folder / "metrics.json").write_text("{")
    return "metrics.json is not"


def forget_a_field(folder: Path) -> str:
    known = json.loads((folder / "metrics.json").read_text())
    del known["dataset"]
    (folder / "metrics.json").write_text(json.dumps(known))
    return "dataset"


def another_matrix(folder: Path) -> str:
    np.save(folder / "confusion.npy", np.zeros((2, 2), np.int64))
    return r"\(2, 2\) for 21 classes"


def a_later_matrix(folder: Path) -> str:
    np.save(folder / "confusion.npy", np.ones((21, 21), np.int64))
    return "of two evaluations"


def no_matrix(folder: Path) -> str:
    (folder / "confusion.npy").unlink()
    return "confusion.npy"


@pytest.mark.parametrize("spoil", [damage_json, forget_a_field, another_matrix, a_later_matrix, no_matrix])
def test_a_damaged_folder_is_named(tmp_path: Path, spoil: object) -> None:
    write_evaluation(tmp_path, evaluation())
    assert callable(spoil)
    with pytest.raises(UserError, match=spoil(tmp_path)):
        read_evaluation(tmp_path)


def test_a_failure_without_a_system_error_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(*_: object) -> None:
        raise OSError("512 requested and 0 written")  # as NumPy says of a full disk

    monkeypatch.setattr(np, "save", cut_short)
    with pytest.raises(UserError, match=r"cannot write .*confusion\.npy: 512 requested and 0 written"):
        write_evaluation(tmp_path, evaluation())
