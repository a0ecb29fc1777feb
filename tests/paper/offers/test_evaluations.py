"""An evaluation beside what the paper prints of its data set."""

import pytest
from evaluate.test_evaluation import evaluation, texts

from ctxbench.evaluate.evaluation import MULTI_SCALES
from ctxbench.paper.offers.evaluations import PRINTED


def test_voc_stands_beside_table_1_class_by_class() -> None:
    rows = texts(evaluation(), 0)
    assert [row[2] for row in rows[:2]] == ["–", "93.7"]  # the background is not printed, then aero
    assert rows[20][2] == "83.1"  # tv
    assert texts(evaluation(), 0, 1)[0][:3] == ["mean", f"{evaluation().miou:.2f}", "85.6"]
    assert "test, 1456 images" in str(evaluation())


def test_voc_val_stands_beside_table_9_at_the_same_scales() -> None:
    single = texts(evaluation(), 1)
    assert single[-1] == ["RecoNet", "ResNet-101", "–", "81.40"]
    multiple = texts(evaluation(scales=MULTI_SCALES, flip=True), 1)
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
    assert [group.label for group in evaluation("folder", 3).grids()[1].groups] == [""]


def test_the_same_setting_is_said_to_be_the_same() -> None:
    notes = evaluation().grids()[1].notes
    assert "same split, images, classes, evaluation and backbone" in notes[-1]


def test_every_difference_from_the_print_is_named() -> None:
    made = evaluation("ade20k", 150, split="train", images=12, backbone="resnet50", network="mine")
    note = made.grids()[1].notes[-1]
    assert note == (
        "The printed numbers are of another setting: split (train; printed: val); "
        "images (12; printed: 2000); evaluation (single scale; printed: multi-scale and flip); "
        "backbone (resnet50; printed: ResNet-101)."
    )


def test_weights_that_these_images_chose_are_no_setting_of_the_papers() -> None:
    note = evaluation(chosen_among=4).grids()[1].notes[-1]
    assert "another setting: weights (the best of 4 evaluations on these images; the paper" in note


def test_of_pascal_context_it_is_said_which_mean_stands_beside_the_print() -> None:
    made = evaluation("pascal_context59", 59, images=5105, scales=MULTI_SCALES, flip=True)
    table = made.grids()[1]
    scaled, plain = texts(made, 1, 1)
    assert scaled[0].endswith("59 classes × 59/60")
    assert scaled[3] == f"{made.miou * 59 / 60:.2f}" == f"{made.reported_miou:.2f}"
    assert (plain[0].endswith("59 classes"), plain[3]) == (True, f"{made.miou:.2f}")
    assert "same split, images, classes" in table.notes[-2]
    assert "so that one stands beside the printed numbers" in table.notes[-1]
    assert f"Times 59/60 it is {made.reported_miou:.2f} %" in made.grids()[0].notes[-1]
    sixty = evaluation("pascal_context", 60, images=5105, scales=MULTI_SCALES, flip=True)
    assert sixty.reported_miou == sixty.miou
    assert len(texts(sixty, 1, 1)) == 1
    assert "another setting: classes (60; printed: 59 × 59/60)" in sixty.grids()[1].notes[-2]
    assert "--classes59" in sixty.grids()[1].notes[-1]
