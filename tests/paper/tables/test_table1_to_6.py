"""Tables 1 to 6: where a run is placed, and what is said of it beside the print."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import MULTI_SCALES, Evaluation
from ctxbench.evaluate.files import write_evaluation
from ctxbench.paper import printed
from ctxbench.paper.offers.evaluations import PRINTED
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.paper.own_runs import REPORTED, OwnRun, place, read_runs
from ctxbench.paper.sheet import VERDICTS, write_sheet
from ctxbench.paper.tables.table1_to_6 import commands, miou_columns, results_table
from ctxbench.table.terminal import plain
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.presets import configured


def scoring(miou: float, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A confusion matrix in which every class has an IoU of ``miou`` %."""
    hits = round(10_000 * miou)
    matrix = hits * np.eye(classes, dtype=np.int64)
    return matrix + np.roll(np.eye(classes, dtype=np.int64), 1, axis=1) * ((1_000_000 - hits) // 2)


def own(dataset: str, miou: float = 50.0, *, known_training: bool = True, **changes: Any) -> OwnRun:
    """A run in the paper's setting but for ``changes`` of its evaluation; its training known or not."""
    known = PRINTED[dataset]
    classes = 60 if dataset == "pascal_context" else known.classes
    evaluation = Evaluation(
        confusion=scoring(miou, classes),
        classes=tuple(f"class {k}" for k in range(classes)),
        dataset=dataset,
        split=known.split,
        images=known.images,
        network="reconet",
        backbone="resnet101",
        checkpoint="last",
        scales=MULTI_SCALES,
        flip=True,
        seconds=1.0,
    )
    preset = PRESETS[dataset].settings
    config = configure(preset, {"weights": "resnet101.pth"}) if known_training else None
    return OwnRun(Path(f"runs/{dataset}"), replace(evaluation, **changes), config)


def verdict(run: OwnRun, table: int) -> tuple[str, str]:
    row = results_table(table, [run], source="here").frame.iloc[-1]
    return row["miou_verdict"], row["miou_reason"]


def test_the_matrix_scores_what_it_says() -> None:
    assert own("ade20k", 45.54).evaluation.miou == pytest.approx(45.54, abs=0.005)


def test_the_same_number_in_the_papers_setting_is_reproduced() -> None:
    assert verdict(own("ade20k", 45.54), 6) == ("reproduced", "")


def test_another_number_differs_by_signed_points() -> None:
    assert verdict(own("ade20k", 45.04), 6) == ("differs", "−0.50 points, in the paper's setting")
    table = results_table(6, [own("ade20k", 46.04)], source="here")
    assert "differs by +0.50" in plain([table.grid])


def test_the_printed_decimals_decide() -> None:
    assert place(54.84, "54.8", []).verdict == "reproduced"
    assert place(54.84, "54.80", []).verdict == "differs"
    assert place(54.86, "54.8", []).verdict == "differs"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scales": (1.0,), "flip": False}, "evaluation (single scale; printed: multi-scale and flip)"),
        ({"network": "danet"}, "network (danet; printed: RecoNet)"),
        ({"backbone": "resnet152"}, "backbone (resnet152; printed: ResNet-101)"),
    ],
)
def test_the_same_number_in_another_setting_is_not_reproduced(change: dict[str, Any], words: str) -> None:
    found, reason = verdict(own("ade20k", 45.54, **change), 6)
    assert found == "differs"
    assert reason == f"prints the same, in another setting: {words}"


def other(model: str, dataset: str, miou: float, **changes: Any) -> OwnRun:
    """A run of another network, trained as ``ctxbench train MODEL --dataset …`` does."""
    run = own(dataset, miou, network=model, **changes)
    return replace(run, config=configured({"model": model, "dataset": dataset, "weights": "resnet101.pth"}))


@pytest.mark.parametrize(
    ("model", "table", "dataset", "miou", "backbone", "method"),
    [
        ("encnet", 6, "ade20k", 44.65, "resnet101", "EncNet"),
        ("cfnet", 6, "ade20k", 42.87, "resnet50", "CFNet"),
        ("pspnet", 6, "ade20k", 43.29, "resnet101", "PSPNet"),
        ("dmnet", 3, "pascal_context59", 54.4 * 60 / 59, "resnet101", "DMNet"),
    ],
)
def test_another_network_is_placed_on_its_own_printed_row(
    model: str, table: int, dataset: str, miou: float, backbone: str, method: str
) -> None:
    """In the schedule of RecoNet's paper, which is not known to be its authors', nothing is reproduced."""
    found = verdict(other(model, dataset, miou, backbone=backbone), table)
    schedule = f"schedule (the RecoNet paper's; printed: that of {method}'s authors)"
    assert found == ("differs", f"prints the same, in another setting: {schedule}")


def test_table_1_places_another_network_on_its_own_column() -> None:
    sheet = results_table(1, [other("apcnet", "voc12aug", 84.2)], source="here")
    assert sheet.frame.set_index("class").loc["mIoU", "run1_printed_pct"] == 84.2
    assert sheet.frame.set_index("class").loc["bird", "run1_printed_pct"] == 84.5


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (1, "PSPNet (pspnet), EncNet (encnet), APCNet (apcnet), CFNet (cfnet), DMNet (dmnet)."),
        (3, "PSPNet (pspnet), EncNet (encnet), DANet (danet), CFNet (cfnet), DMNet (dmnet)."),
        (4, "DANet (danet), EMANet (emanet)."),
        (6, "PSPNet (pspnet), EncNet (encnet), CFNet (cfnet), CCNet (ccnet)."),
    ],
)
def test_the_methods_that_can_be_trained_here_are_named(table: int, said: str) -> None:
    (note,) = [note for note in results_table(table, [], source="here").grid.notes if "train MODEL" in note]
    assert said in note
    assert PRESETS[REPORTED[table].preset].command.split("train ")[1] in note


def test_each_backbone_has_its_own_printed_row() -> None:
    assert verdict(own("ade20k", 43.40, backbone="resnet50"), 6)[0] == "reproduced"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "adamw"}, "optimizer (adamw; paper: sgd)"),
        ({"stem": "plain"}, "stem (plain; paper: deep)"),
        ({"lr": 0.02}, "lr (0.02; paper: 0.01)"),
        ({"context_options": {"rank": 16}}, "context_options ({'rank': 16}; paper: {'rank': 64})"),
        ({"global_pool": False}, "global_pool (False; paper: True)"),
        ({"dilations": (2, 8, 16)}, "dilations ((2, 8, 16); paper: (2, 4, 4))"),
        ({"iterations": 9}, "epochs (None; paper: 120); iterations (9; paper: 0)"),
        ({"weights": None}, "backbone from random weights (the paper does not say)"),
    ],
)
def test_another_training_is_named(settings: dict[str, Any], words: str) -> None:
    run = own("ade20k", 45.54)
    assert run.config is not None
    run = replace(run, config=replace(run.config, **settings))
    assert verdict(run, 6) == ("differs", f"prints the same, in another setting: {words}")


def test_the_papers_rank_written_out_is_the_papers_setting() -> None:
    run = own("ade20k", 45.54)
    assert run.config is not None
    run = replace(run, config=replace(run.config, context_options={"rank": 64}, train_split="train"))
    assert verdict(run, 6) == ("reproduced", "")


def test_of_an_unknown_training_nothing_is_reproduced() -> None:
    assert verdict(own("ade20k", 45.54, known_training=False), 6) == (
        "differs",
        "prints the same, in another setting: training not known",
    )


@pytest.mark.parametrize("table", [1, 2])
def test_a_part_of_voc_is_not_comparable_and_says_the_counts(table: int) -> None:
    sheet = results_table(table, [own("voc12aug", 85.6, images=724)], source="here")
    assert "724 images of the 1449 in voc12aug val, so not comparable." in sheet.grid.footnotes
    last = sheet.frame.iloc[-1]
    key = "run1" if table == 1 else "miou"
    assert last[f"{key}_verdict"] == "not measured"
    assert last[f"{key}_pct"] == pytest.approx(85.6, abs=0.01)
    assert pd.isna(last[f"{key}_difference_points"])


def test_what_was_trained_on_is_not_comparable() -> None:
    run = own("voc12", 99.0)
    assert run.config is not None
    assert run.config.train_split == "trainval"
    assert verdict(run, 2)[1].startswith("trained on trainval, so on what it is evaluated on")


def test_table_1_has_a_column_for_each_run() -> None:
    runs = [own("voc12aug", 80.0), own("voc12aug", 72.8)]
    sheet = results_table(1, runs, source="here")
    assert [heading.line for heading in sheet.grid.headings[-4:]] == [
        "run 1 IoU (%)",
        "run 1 verdict",
        "run 2 IoU (%)",
        "run 2 verdict",
    ]
    boat = sheet.frame.set_index("class").loc["boat"]
    assert boat["RecoNet_pct"] == 72.8
    assert boat["run1_difference_points"] == pytest.approx(7.2, abs=0.01)
    assert boat["run2_verdict"] == "differs"  # it prints the same, but is of val, and the paper's of test
    assert "prints the same" in boat["run2_reason"]
    assert len(sheet.frame) == 21


def test_table_1_places_a_class_beside_its_name() -> None:
    matrix = np.diag(np.arange(1, 22) * 100)
    matrix[0, 1:] = 5  # background taken for each class: the IoU grows with the class's number
    run = own("voc12aug", confusion=matrix)
    column = results_table(1, [run], source="here").frame.set_index("class")["run1_pct"]
    assert column["aero"] == pytest.approx(100 * 200 / 205)
    assert column["tv"] == pytest.approx(100 * 2100 / 2105)
    assert column["mIoU"] == pytest.approx(run.evaluation.miou)


def test_a_class_that_does_not_occur_is_not_measured() -> None:
    matrix = scoring(50, 21)
    matrix[20], matrix[:, 20] = 0, 0
    last = results_table(1, [own("voc12aug", confusion=matrix)], source="here").frame.set_index("class")
    assert last.loc["tv", "run1_verdict"] == "not measured"
    assert "no pixel" in str(last.loc["tv", "run1_reason"])


def test_table_5_has_verdicts_on_both_metrics() -> None:
    sheet = results_table(5, [own("sift_flow", 46.8, images=200)], source="here")
    last = sheet.frame.iloc[-1]
    assert last["miou_verdict"] == last["pixel_acc_verdict"] == "differs"
    assert "images (200; printed: 500)" in last["setting"]
    assert last["pixel_acc_difference_points"] == pytest.approx(last["pixel_acc_pct"] - 89.6)


@pytest.mark.parametrize("table", range(1, 7))
def test_without_a_run_nothing_is_measured_and_the_command_is_said(table: int, tmp_path: Path) -> None:
    sheet = results_table(table, [], source="here")
    assert (sheet.frame.iloc[-1].filter(like="verdict") == "not measured").all()
    assert f"ctxbench paper table{table} --run" in plain([sheet.grid]).replace("\n ", " ")
    names = {path.name for path in write_sheet(sheet, tmp_path)}
    assert names == {f"table{table}.{kind}" for kind in ("csv", "md", "tex", "png", "svg")}


def test_the_printed_rows_stand_as_they_are_printed() -> None:
    rows = results_table(6, [], source="here").grid.groups[0].rows
    assert [row[5].text for row in rows] == [row["miou"] for row in printed.rows(6)]
    assert rows[0][5].text == "40.70"


def test_of_pascal_context_the_mean_of_59_classes_times_59_60_stands_beside_the_print() -> None:
    """54.8 × 60/59 = 55.73, of which the printed digits follow; the mean over 60 is another quantity."""
    fitting = own("pascal_context59", 55.73)
    assert verdict(fitting, 3) == ("reproduced", "")
    sheet = results_table(3, [fitting], source="here")
    assert sheet.frame.iloc[-1]["miou_pct"] == pytest.approx(55.73 * 59 / 60, abs=0.01)
    assert any("59 classes, without the background, × 59/60" in note for note in sheet.grid.notes)
    assert verdict(own("pascal_context59", 54.8), 3)[1].startswith("−0.91 points, in the paper's setting")
    sixty = verdict(own("pascal_context", 54.8), 3)
    assert sixty[0] == "differs"
    assert "classes (60; printed: 59 × 59/60)" in sixty[1]
    trained_on_60 = replace(fitting, config=own("pascal_context").config)
    assert "dataset (pascal_context; paper: pascal_context59)" in verdict(trained_on_60, 3)[1]
    assert not any("59/60" in note for note in results_table(6, [], source="here").grid.notes)


@pytest.mark.parametrize("table", [key for key in REPORTED if key != 9])
def test_a_run_of_another_data_set_is_refused_by_name(table: int) -> None:
    stranger = own("sift_flow") if table != 5 else own("ade20k")
    with pytest.raises(UserError, match=rf"{stranger.folder} is of \w+; table{table} is of"):
        results_table(table, [stranger], source="here")


def test_all_tables_place_each_run_where_it_belongs() -> None:
    runs = [own("ade20k"), own("voc12aug"), own("pascal_context59")]
    sheets = [results_table(n, runs, source="here", skip_other_datasets=True) for n in range(1, 7)]
    assert [sheet.name for sheet in sheets] == [f"table{n}" for n in range(1, 7)]
    placed = {s.name for s in sheets[1:] if "folder" in s.frame and s.frame["folder"].notna().any()}
    assert placed == {"table2", "table3", "table6"}
    assert "run1_pct" in sheets[0].frame
    assert "of the runs given none is of sift_flow" in plain([sheets[4].grid])
    assert "no evaluated run was given" in plain([results_table(5, [], source="here").grid])
    for sheet in sheets:
        assert set(sheet.verdicts.stack().dropna()) <= set(VERDICTS)


def test_a_run_is_said_to_be_evaluated_where_it_was() -> None:
    machine = {"gpu": "A GPU", "torch": "9.9+cu"}
    gpu = {"device": "cuda", "precision": "bf16-mixed", "environment": machine}
    on = "cuda (A GPU), bf16-mixed, torch 9.9+cu"
    one, three = own("voc12aug", **gpu), own("pascal_context", **gpu)
    table1, table3 = results_table(1, [one], source="here"), results_table(3, [three], source="here")
    assert set(table1.frame["run1_evaluated_on"]) == {on}
    assert table3.frame["evaluated_on"].iloc[-1] == on
    for sheet in (table1, table3):
        assert f"Run 1 was evaluated on {on}." in sheet.grid.notes


def test_table_9_takes_scores_by_network_and_scales() -> None:
    single = {"scales": (1.0,), "flip": False}
    runs = [
        own("voc12aug", 70.0, images=724, **single),
        own("voc12aug", 81.4, **single),
        own("voc12aug", 80.0),
        own("voc12aug", 80.59, network="deeplabv3plus"),
        own("voc12aug", network="fcn"),
    ]
    columns = miou_columns(runs)
    assert columns.keys() == {"reconet", "deeplabv3plus"}
    assert columns["reconet"]["miou_ss"].verdict == "reproduced"  # not the part of VOC that came first
    assert columns["reconet"]["miou_ms_flip"].difference == pytest.approx(-2.13, abs=0.01)
    assert columns["deeplabv3plus"].keys() == {"miou_ms_flip"}
    assert columns["deeplabv3plus"]["miou_ms_flip"].verdict == "reproduced"


def written(folder: Path, config: TrainConfig) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(config.to_toml())
    return folder


def test_a_training_is_read_with_its_evaluations_and_its_stages(tmp_path: Path) -> None:
    coco = written(tmp_path / "coco", configure(PRESETS["coco"].settings, {"weights": "a.pth"}))
    aug = written(tmp_path / "aug", configure(PRESETS["voc12aug"].settings, {"init": str(coco)}))
    last = configure(PRESETS["voc12"].settings, {"init": str(aug / "last.ckpt")})
    final = written(tmp_path / "final", last)
    evaluation = own("voc12").evaluation
    write_evaluation(final / "evaluation", replace(evaluation, scales=(1.0,)))
    write_evaluation(final / "evaluations" / "ms", evaluation)
    found = read_runs([final])
    assert [run.evaluation.scales for run in found] == [MULTI_SCALES, (1.0,)]
    assert found[0].config == last
    assert read_runs([final / "evaluations" / "ms"])[0].config == last
    assert "trained before" not in "".join(found[0].differing_settings(2))
    assert "trained before on (coco, voc12aug; paper: nothing)" in found[0].differing_settings(1)


def test_predictions_in_a_runs_folder_are_not_taken_for_the_runs(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", configure(PRESETS["ade20k"].settings))
    write_evaluation(folder / "evaluation", replace(own("ade20k").evaluation, scales=()))
    assert read_runs([folder])[0].config is None


def test_a_folder_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither an evaluation"):
        read_runs([tmp_path])
    folder = written(tmp_path / "run", configure(PRESETS["ade20k"].settings))
    with pytest.raises(UserError, match=f"ctxbench eval {folder} --ms-flip"):
        read_runs([folder])


def test_the_commands_train_evaluate_and_place() -> None:
    assert commands(4).split(" && ") == [
        PRESETS["coco_stuff"].command,
        "ctxbench eval runs/coco_stuff --ms-flip",
        "ctxbench paper table4 --run runs/coco_stuff",
    ]
