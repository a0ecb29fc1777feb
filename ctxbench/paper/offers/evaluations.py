"""What the paper adds to the tables of an evaluation: its printed scores, where it reports the data set.

Section 4.1: it is evaluated at six scales and flipped, and the backbone is ResNet-101 unless a table says
another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ctxbench.evaluate.evaluation import MULTI_SCALES, Evaluation, in_words
from ctxbench.evaluate.predictions import VOC
from ctxbench.evaluate.tables import ClassRow, ScoreRow, score_table
from ctxbench.paper import printed
from ctxbench.table.column import Column, Extra
from ctxbench.table.grid import Grid

PAPERS_SETTING = in_words(MULTI_SCALES, flip=True, sliding=None)
SINGLE_SCALE = in_words((1.0,), flip=False, sliding=None)


@dataclass(frozen=True)
class Printed:
    """Where and how the paper reports a data set: its table, and what it was evaluated on."""

    table: int
    split: str
    images: int
    classes: int
    backbone: str = "ResNet-101"
    also_single_scale: bool = False
    share: Fraction = Fraction(1)
    """What the mean over the classes was multiplied by."""
    remark: str = ""
    """Of what the printed numbers most likely are, where the paper does not say."""


CONTEXT = Printed(
    3, "val", 5105, 59,
    share=Fraction(59, 60),
    remark="The paper says 60 classes, as the works it follows do (EncNet, CFNet, APCNet), and the author of "
    "the code of these and of the released RecoNet says that such a number is the mean over 59 classes, "
    "without the background, × 59/60 (PyTorch-Encoding, issue 179): so that one stands beside the printed "
    "numbers, and a mean over 60 predicted classes is another quantity. `ctxbench eval RUN --classes59` has "
    "it.",
)  # fmt: skip
PRINTED = {
    **dict.fromkeys(VOC, Printed(9, "val", 1449, 21, also_single_scale=True)),
    "pascal_context": CONTEXT,
    "pascal_context59": CONTEXT,
    "coco_stuff": Printed(4, "test", 1000, 171),
    "sift_flow": Printed(5, "test", 500, 33, backbone=""),
    "ade20k": Printed(6, "val", 2000, 150),
}
"""By data set; for VOC12 Table 9, since Tables 1 and 2 are of a test set that only its server can score."""


def class_extra(evaluation: Evaluation) -> Extra[ClassRow]:
    """Table 1's column, which prints the IoU of each of VOC's classes."""
    if evaluation.dataset not in VOC:
        return Extra()
    column: Column[ClassRow] = Column(
        "printed_pct", "IoU", _table1_score(), "Table 1", "%",
        kind="text", beside="iou_pct",
        why=lambda row: "Table 1 leaves the background out of its rows; VOC's mean has it in.",
    )  # fmt: skip
    note = (
        "Table 1 is RecoNet's on VOC12 test, 1456 images, multi-scale and flip, ResNet-101, which only "
        "VOC's server can score; this run is what the line above says."
    )
    return Extra([column], [note])


def _table1_score() -> Callable[[ClassRow], str]:
    """Take RecoNet's printed IoU of a class, or of the mean; of the background, class 0, there is none."""
    *classes, mean = (row["RecoNet"] for row in printed.rows(1))
    by_number = dict(enumerate(classes, start=1))
    return lambda row: mean if row.number is None else by_number.get(row.number, "")


def evaluation_sheets(evaluation: Evaluation) -> list[Grid]:
    """The evaluation's scores beside the rows of the table that reports its data set, where one does."""
    reported = PRINTED.get(evaluation.dataset)
    if reported is None:
        return []
    rows = _printed_rows(evaluation, reported)
    table = score_table(
        f"Beside Table {reported.table} of the paper",
        [("printed", rows), ("this run", evaluation.score_rows)],
    )
    table.notes += [f"This run: {evaluation.about}.", _whether_alike(evaluation, reported)]
    table.notes += [reported.remark] if reported.remark else []
    return [table]


def _printed_rows(evaluation: Evaluation, reported: Printed) -> list[ScoreRow]:
    column = "miou"
    if reported.also_single_scale:
        column = "miou_ss" if _is_single_scale(evaluation) else "miou_ms_flip"
    return [
        ScoreRow(
            row["method"],
            # a table of both scales is of one backbone, which its rows do not repeat
            row.get("backbone") or (reported.backbone if reported.also_single_scale else ""),
            row.get("pixel_acc", ""),
            row[column],
        )
        for row in printed.rows(reported.table)
        if row[column] or not reported.also_single_scale
    ]


def _is_single_scale(evaluation: Evaluation) -> bool:
    return evaluation.scales == (1.0,) and not evaluation.flip


def differences(evaluation: Evaluation, reported: Printed) -> list[str]:
    """Say in what an evaluation's numbers and the printed ones are not of the same thing."""
    single = reported.also_single_scale and _is_single_scale(evaluation)
    settings = {
        "split": (evaluation.split, reported.split),
        "images": (str(evaluation.images), str(reported.images)),
        "classes": (
            _times(len(evaluation.classes), evaluation.reported_share),
            _times(reported.classes, reported.share),
        ),
        "evaluation": (evaluation.setting, SINGLE_SCALE if single else PAPERS_SETTING),
        "backbone": (evaluation.backbone or "not known", reported.backbone),
    }
    different = [
        f"{name} ({here}; printed: {there})"
        for name, (here, there) in settings.items()
        if there and here.lower() != there.lower().replace("resnet-", "resnet")
    ]
    if evaluation.chosen_among:
        best = f"the best of {evaluation.chosen_among} evaluations on these images"
        different.append(f"weights ({best}; the paper does not say)")
    return different


def _times(classes: int, share: Fraction) -> str:
    return str(classes) if share == 1 else f"{classes} × {share}"


def _whether_alike(evaluation: Evaluation, reported: Printed) -> str:
    unsaid = "" if reported.backbone else " The table names no backbone."
    different = differences(evaluation, reported)
    if not different:
        return f"The printed numbers are of the same split, images, classes, evaluation and backbone.{unsaid}"
    return f"The printed numbers are of another setting: {'; '.join(different)}.{unsaid}"
