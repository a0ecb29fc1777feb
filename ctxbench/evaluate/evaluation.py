"""What came out of an evaluation: the confusion matrix, how it came about, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ctxbench import shelf
from ctxbench.data import DATASETS
from ctxbench.evaluate import metrics
from ctxbench.evaluate.tables import ClassRow, ScoreRow, class_table, score_table
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result

MULTI_SCALES = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
"""What papers on segmentation mean by multi-scale evaluation: these times the original size."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """A confusion matrix (int64, K × K: rows the truth, columns the prediction) and how it came about.

    ``scales`` is empty where the predictions came from a folder, which ``checkpoint`` then names. ``skipped``
    names images left out as unreadable. ``chosen_among`` is how many evaluations on these same images chose
    the weights, 0 where none did. ``seconds`` are of everything from the first image read to the last pixel
    counted. ``str()`` is its tables.
    """

    confusion: metrics.Counts
    classes: tuple[str, ...]
    dataset: str
    split: str
    images: int
    network: str
    seconds: float
    scales: tuple[float, ...] = ()
    flip: bool = False
    sliding: int | None = None
    backbone: str = ""
    checkpoint: str = ""
    chosen_among: int = 0
    device: str = ""
    precision: str = ""
    batch: int = 1
    processes: int = 1
    skipped: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    """Where its files lie, once they do."""

    @property
    def miou(self) -> float:
        """Mean IoU in % over :attr:`counted` classes; NaN where no pixel has a truth."""
        return metrics.miou(self.confusion)

    @property
    def reported_share(self) -> Fraction:
        """What papers multiply the mean IoU of this data set's classes by before they print it: 1, mostly."""
        return DATASETS[self.dataset].reported_share if self.dataset in DATASETS else Fraction(1)

    @property
    def reported_miou(self) -> float:
        """:attr:`miou` times :attr:`reported_share`, which is what stands beside papers' numbers."""
        return self.miou * float(self.reported_share)

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels recognised, in %; NaN where no pixel has a truth."""
        return metrics.pixel_accuracy(self.confusion)

    @property
    def iou(self) -> metrics.Scores:
        """IoU of each class in %, (K,); NaN for a class in neither truth nor prediction."""
        return metrics.iou(self.confusion)

    @property
    def counted(self) -> int:
        """The number of classes in the mean: those that occur in truth or prediction."""
        return int(np.count_nonzero(~np.isnan(self.iou)))

    @property
    def setting(self) -> str:
        """Scales, flip and windows in words."""
        return in_words(self.scales, self.flip, self.sliding)

    @property
    def about(self) -> str:
        """What was evaluated, on what, and how, in one line."""
        network = ", ".join(filter(None, (self.network, self.backbone, self.checkpoint)))
        images = f"{self.images} images" + (f", {len(self.skipped)} skipped" if self.skipped else "")
        parts = (network, f"{self.dataset} {self.split}", images, self.setting)
        return " · ".join(filter(None, (*parts, self.device, self.precision)))

    @property
    def score_rows(self) -> list[ScoreRow]:
        """The scores over all classes as rows of a table; as papers print them first, where that differs."""
        plain_row = ScoreRow(self.network, self.backbone, self.pixel_accuracy, self.miou)
        if self.reported_share == 1:
            return [plain_row]
        count = len(self.classes)
        return [
            replace(
                plain_row,
                method=f"{self.network}, {count} classes × {self.reported_share}",
                miou_pct=self.reported_miou,
            ),
            replace(plain_row, method=f"{self.network}, {count} classes"),
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per class: IoU and accuracy in %, and pixels by truth, prediction and both."""
        return pd.DataFrame(
            {
                "class": self.classes,
                "iou_pct": self.iou,
                "accuracy_pct": metrics.class_accuracy(self.confusion),
                "truth_pixels": self.confusion.sum(1),
                "predicted_pixels": self.confusion.sum(0),
                "correct_pixels": np.diag(self.confusion),
            }
        )

    @property
    def headline(self) -> str:
        """What was evaluated, and its scores."""
        scores = f"mIoU {self.miou:.2f} %, pixel accuracy {self.pixel_accuracy:.2f} %"
        return f"{self.about}: {scores} over {self.counted} of {len(self.classes)} classes"

    def grids(self) -> list[Grid]:
        """The table of classes, and the scores over all.

        Papers on the shelf add to both: each offer ``class_extra`` takes the evaluation and returns an
        :class:`~ctxbench.table.column.Extra` for the table of classes. Each offer ``evaluation_sheets`` takes
        it and returns tables that hold its scores beside others; where there is one, our own, which holds
        nothing else, is left out.
        """
        extras = [offer(self) for offer in shelf.offers("class_extra")]
        sheets: list[Grid] = [sheet for offer in shelf.offers("evaluation_sheets") for sheet in offer(self)]
        mean = ClassRow("mean", None, self.miou, metrics.mean(metrics.class_accuracy(self.confusion)), None)
        classes = class_table(self.about, self._class_rows(), mean, extras, self._what_the_mean_is())
        return [classes, *(sheets or [score_table("mIoU and pixel accuracy", [("", self.score_rows)])])]

    def _class_rows(self) -> list[ClassRow]:
        truth_pixels = self.confusion.sum(1)
        truth_pct = 100 * truth_pixels / max(1, truth_pixels.sum())
        accuracy_pct = metrics.class_accuracy(self.confusion)
        columns = zip(self.classes, self.iou, accuracy_pct, truth_pct, strict=True)
        return [ClassRow(name, number, *values) for number, (name, *values) in enumerate(columns)]

    def _what_the_mean_is(self) -> str:
        if not self.confusion.any():
            return "Not measured: no pixel of these images has a label."
        mean = (
            f"The mean IoU is over the {self.counted} of {len(self.classes)} classes that occur in "
            "truth or prediction; pixels with the ignore label count nowhere."
        )
        if self.reported_share == 1:
            return mean
        reported_as = DATASETS[self.dataset].reported_as
        return f"{mean} Times {self.reported_share} it is {self.reported_miou:.2f} %, {reported_as}."


def in_words(scales: tuple[float, ...], flip: bool, sliding: int | None) -> str:
    """How images are segmented: "single scale", "multi-scale and flip" for the usual six, or in full."""
    if not scales:
        return "predictions made elsewhere"
    if scales == MULTI_SCALES and flip:
        words = "multi-scale and flip"
    else:
        factors = ", ".join(f"{scale:g}" for scale in scales)
        words = ("single scale" if scales == (1.0,) else f"scales {factors}") + ", flip" * flip
    return words if sliding is None else f"{words}, windows of {sliding}"
