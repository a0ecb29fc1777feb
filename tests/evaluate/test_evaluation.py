"""An evaluation's tables, what a paper on the shelf adds to them, and its files."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctxbench import shelf
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import MULTI_SCALES, Evaluation
from ctxbench.evaluate.files import FILES, read_evaluation, write_evaluation
from ctxbench.evaluate.tables import ClassRow, score_table
from ctxbench.table.column import Column, Extra
from ctxbench.table.grid import Grid


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
    return [[cell.text for cell in row] for row in made.grids()[table].groups[group].rows]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No paper is on the shelf."""
    monkeypatch.setattr(shelf, "offers", lambda kind: [])


@pytest.mark.usefixtures("bare")
def test_without_a_paper_the_tables_are_whole_and_name_none() -> None:
    made = evaluation()
    classes, scores = made.grids()
    assert [heading.line for heading in classes.headings] == [
        "class",
        "IoU this run (%)",
        "accuracy this run (%)",
        "pixels in truth (%)",
    ]
    assert [len(group.rows) for group in classes.groups] == [21, 1]
    assert scores.title == "mIoU and pixel accuracy"
    assert [cell.text for cell in scores.groups[0].rows[0]] == [
        "reconet", "resnet101", f"{made.pixel_accuracy:.2f}", f"{made.miou:.2f}"
    ]  # fmt: skip
    assert "Table" not in str(made)


@pytest.mark.usefixtures("bare")
def test_classes_have_their_scores_and_the_mean_theirs() -> None:
    confusion = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    made = evaluation("folder", 3, confusion=confusion)
    assert texts(made, 0) == [
        ["class 0", "50.00", "75.00", "40.00"],
        ["class 1", "57.14", "66.67", "60.00"],
        ["class 2", "–", "–", "0.00"],
    ]
    assert texts(made, 0, 1) == [["mean", "53.57", "70.83", ""]]


def a_papers_extra(made: Evaluation) -> Extra[ClassRow]:
    """A second, tiny paper: it prints one class's IoU, and of the others says why not."""
    printed: Column[ClassRow] = Column(
        "theirs", "IoU", lambda row: "51.0" if row.number == 1 else None, "Table A", "%",
        kind="text", beside="iou_pct", why=lambda row: "Table A has one class.",
    )  # fmt: skip
    last: Column[ClassRow] = Column("rank", "rank", lambda row: row.number, kind="int")
    return Extra([last, printed], ["A note."], [f"A finding on {made.dataset}."])


def a_papers_sheets(made: Evaluation) -> list[Grid]:
    return [score_table("Beside Table A", [("", made.score_rows)])] if made.dataset == "theirs" else []


def test_a_paper_adds_columns_where_they_belong_and_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = {"class_extra": [a_papers_extra], "evaluation_sheets": [a_papers_sheets]}
    monkeypatch.setattr(shelf, "offers", lambda kind: offers[kind])
    classes, sheet = evaluation("theirs", 3).grids()
    assert [heading.name for heading in classes.headings] == [
        "class", "iou_pct", "theirs", "accuracy_pct", "truth_pct", "rank"
    ]  # fmt: skip
    assert [row[2].text for row in classes.groups[0].rows] == ["–", "51.0", "–"]
    assert classes.footnotes == ["Table A has one class."]
    mean = [cell.text for cell in classes.groups[1].rows[0]]
    assert (mean[0], mean[2], mean[4]) == ("mean", "–", "")
    assert classes.notes[0] == "A note."
    assert classes.findings == ["A finding on theirs."]
    assert sheet.title == "Beside Table A"
    assert evaluation("other", 3).grids()[1].title == "mIoU and pixel accuracy"


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
    made = evaluation(scales=MULTI_SCALES, flip=True, sliding=512, skipped=("a", "b"), checkpoint="best")
    assert {path.name for path in write_evaluation(tmp_path / "new", made)} == set(FILES)
    back = read_evaluation(tmp_path / "new")
    assert np.array_equal(back.confusion, made.confusion)
    assert str(back) == str(made)
    assert replace(back, confusion=made.confusion, folder=None).__dict__ == made.__dict__
    assert back.folder == tmp_path / "new"


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


def a_field_of_another_type(folder: Path) -> str:
    known = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**known, "images": "many"}))
    return r"metrics\.json is not .*Expected `int`, got `str` - at `\$\.images`"


def a_list(folder: Path) -> str:
    (folder / "metrics.json").write_text("[1]")
    return r"metrics\.json is not the file of an evaluation"


def another_matrix(folder: Path) -> str:
    np.save(folder / "confusion.npy", np.zeros((2, 2), np.int64))
    return r"\(2, 2\) for 21 classes"


def a_later_matrix(folder: Path) -> str:
    np.save(folder / "confusion.npy", np.ones((21, 21), np.int64))
    return "of two evaluations"


def no_matrix(folder: Path) -> str:
    (folder / "confusion.npy").unlink()
    return "confusion.npy"


@pytest.mark.parametrize(
    "spoil",
    [damage_json, forget_a_field, a_field_of_another_type, a_list, another_matrix, a_later_matrix, no_matrix],
)
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
