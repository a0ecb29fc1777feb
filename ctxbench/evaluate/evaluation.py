"""What an evaluation found, with all that says of what; its tables, the paper's numbers beside; its files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ctxbench.errors import UserError, in_one_line
from ctxbench.evaluate import metrics
from ctxbench.files import write_text, writing, written_whole
from ctxbench.paper import printed
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.terminal import plain

PAPER_SCALES = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
"""Section 4.1: evaluated at these times the original size, and flipped."""
VOC = ("voc12", "voc12aug")
FILES = ("metrics.json", "confusion.npy", "per_class.csv", "per_class.md", "per_class.tex")


@dataclass(frozen=True)
class Printed:
    """Where and how the paper reports a data set: its table, and what it was evaluated on."""

    table: int
    split: str
    images: int
    classes: int
    backbone: str = "ResNet-101"
    also_single_scale: bool = False


PRINTED = {
    **dict.fromkeys(VOC, Printed(9, "val", 1449, 21, also_single_scale=True)),
    "pascal_context": Printed(3, "val", 5105, 60),
    "pascal_context59": Printed(3, "val", 5105, 60),
    "coco_stuff": Printed(4, "test", 1000, 171),
    "sift_flow": Printed(5, "test", 500, 33, backbone=""),
    "ade20k": Printed(6, "val", 2000, 150),
}
"""By data set; for VOC12 Table 9, since Tables 1 and 2 are of a test set that only its server can score."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A confusion matrix (int64, rows the truth, columns the prediction) and how it came about.

    ``scales`` is empty where the predictions came from a folder, which ``checkpoint`` then names. ``skipped``
    names images left out as unreadable. ``chosen_among`` is how many evaluations on these same images chose
    the weights, 0 where none did. Times are of everything from the first image read to the last pixel
    counted.
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

    @property
    def miou(self) -> float:
        """Mean IoU in % over :attr:`counted` classes; NaN where no pixel has a truth."""
        return metrics.miou(self.confusion)

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels recognised, in %; NaN where no pixel has a truth."""
        return metrics.pixel_accuracy(self.confusion)

    @property
    def iou(self) -> metrics.Scores:
        """IoU of each class in %; NaN for a class in neither truth nor prediction."""
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

    def __str__(self) -> str:
        return plain(tables(self))


def in_words(scales: tuple[float, ...], flip: bool, sliding: int | None) -> str:
    """How images are segmented: "single scale", "multi-scale and flip" for the paper's way, or in full."""
    if not scales:
        return "predictions made elsewhere"
    if scales == PAPER_SCALES and flip:
        words = "multi-scale and flip"
    else:
        factors = ", ".join(f"{scale:g}" for scale in scales)
        words = ("single scale" if scales == (1.0,) else f"scales {factors}") + ", flip" * flip
    return words if sliding is None else f"{words}, windows of {sliding}"


def tables(evaluation: Evaluation) -> list[Grid]:
    """The table of classes, in the shape of Table 1, and the headline beside the paper's printed rows."""
    return [_per_class(evaluation), _headline(evaluation)]


def _number(value: float) -> Cell:
    return Cell(EMPTY if np.isnan(value) else f"{value:.2f}")


def _per_class(evaluation: Evaluation) -> Grid:
    headings = [
        Heading("class", "class"),
        Heading("iou_pct", "IoU", "this run", "%"),
        Heading("accuracy_pct", "accuracy", "this run", "%"),
        Heading("truth_pct", "pixels", "in truth", "%"),
    ]
    frame = evaluation.to_frame()
    share = 100 * frame["truth_pixels"] / max(1, frame["truth_pixels"].sum())
    rows = [
        [Cell(name), *map(_number, values)]
        for name, *values in zip(
            evaluation.classes, frame["iou_pct"], frame["accuracy_pct"], share, strict=True
        )
    ]
    accuracy = frame["accuracy_pct"]
    mean = [_number(evaluation.miou), _number(float(accuracy.mean())), Cell("")]
    table = Grid(evaluation.about, headings)
    if evaluation.dataset in VOC:
        headings.insert(2, Heading("printed_pct", "IoU", "Table 1", "%"))
        *classes, last = (Cell(row["RecoNet"]) for row in printed.rows(1))
        for row, cell in zip(rows, [Cell(EMPTY, note=1), *classes], strict=True):
            row.insert(2, cell)
        mean.insert(1, last)
        table.footnote("Table 1 leaves the background out of its rows; VOC's mean has it in.")
        table.notes.append(
            "Table 1 is RecoNet's on VOC12 test, 1456 images, multi-scale and flip, ResNet-101, which only "
            "VOC's server can score; this run is what the line above says."
        )
    table.groups += [Group("", rows), Group("", [[Cell("mean"), *mean]])]
    table.notes.append(_mean_in_words(evaluation))
    return table


def _mean_in_words(evaluation: Evaluation) -> str:
    if not evaluation.confusion.any():
        return "Not measured: no pixel of these images has a label."
    return (
        f"The mean IoU is over the {evaluation.counted} of {len(evaluation.classes)} classes that occur in "
        "truth or prediction; pixels with the ignore label count nowhere."
    )


def _headline(evaluation: Evaluation) -> Grid:
    headings = [
        Heading("method", "method"),
        Heading("backbone", "backbone"),
        Heading("pixel_accuracy", "pixel accuracy", "", "%"),
        Heading("miou", "mIoU", "", "%"),
    ]
    row = [
        Cell(evaluation.network),
        Cell(evaluation.backbone or EMPTY),
        _number(evaluation.pixel_accuracy),
        _number(evaluation.miou),
    ]
    known = PRINTED.get(evaluation.dataset)
    if known is None:
        return Grid("mIoU and pixel accuracy", headings, [Group("", [row])])
    table = Grid(f"Beside Table {known.table} of the paper", headings)
    table.groups += [Group("printed", _printed_rows(evaluation, known)), Group("this run", [row])]
    table.notes += [f"This run: {evaluation.about}.", _in_what(evaluation, known)]
    return table


def _printed_rows(evaluation: Evaluation, known: Printed) -> list[list[Cell]]:
    column = "miou_ss" if evaluation.scales == (1.0,) and not evaluation.flip else "miou_ms_flip"
    return [
        [
            Cell(row["method"]),
            Cell(row.get("backbone") or known.also_single_scale * known.backbone or EMPTY),
            Cell(row.get("pixel_acc") or EMPTY),
            Cell(row[column if known.also_single_scale else "miou"] or EMPTY),
        ]
        for row in printed.rows(known.table)
        if not (known.also_single_scale and not row[column])
    ]


def differences(evaluation: Evaluation, known: Printed) -> list[str]:
    """Say in what the user's numbers and the paper's are not of the same thing: split, images, and so on."""
    single = known.also_single_scale and evaluation.scales == (1.0,) and not evaluation.flip
    setting = "single scale" if single else "multi-scale and flip"
    pairs = {
        "split": (evaluation.split, known.split),
        "images": (str(evaluation.images), str(known.images)),
        "classes": (str(len(evaluation.classes)), str(known.classes)),
        "evaluation": (evaluation.setting, setting),
        "backbone": (evaluation.backbone or "not known", known.backbone),
    }
    said = [
        f"{name} ({ours}; printed: {theirs})"
        for name, (ours, theirs) in pairs.items()
        if theirs and ours.lower() != theirs.lower().replace("resnet-", "resnet")
    ]
    if evaluation.chosen_among:
        best = f"the best of {evaluation.chosen_among} evaluations on these images"
        said.append(f"weights ({best}; the paper does not say)")
    return said


def _in_what(evaluation: Evaluation, known: Printed) -> str:
    unsaid = "" if known.backbone else " The table names no backbone."
    different = differences(evaluation, known)
    if not different:
        return f"The printed numbers are of the same split, images, classes, evaluation and backbone.{unsaid}"
    return f"The printed numbers are of another setting: {'; '.join(different)}.{unsaid}"


def write_evaluation(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write :data:`FILES` into ``folder``, made where it is missing; each is whole or as it was.

    Raises UserError where they cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = asdict(evaluation)
    del known["confusion"]
    scores = {
        "miou_pct": _or_null(evaluation.miou),
        "pixel_accuracy_pct": _or_null(evaluation.pixel_accuracy),
        "classes_in_mean": evaluation.counted,
        "images_per_s": evaluation.images / evaluation.seconds if evaluation.seconds else None,
    }
    grids = tables(evaluation)
    labels = (f"tab:{evaluation.dataset}-classes", f"tab:{evaluation.dataset}")
    draw: dict[str, Callable[[], str]] = {
        "metrics.json": lambda: json.dumps({**scores, **known}, indent=1, allow_nan=False) + "\n",
        "per_class.csv": lambda: str(evaluation.to_frame().to_csv(index=False)),
        "per_class.md": lambda: "\n".join(map(grid_markdown, grids)),
        "per_class.tex": lambda: "\n".join(map(grid_latex, grids, (g.title for g in grids), labels)),
    }
    path = folder / "confusion.npy"
    with written_whole(path) as new, new.open("wb") as file:
        np.save(file, evaluation.confusion)
    return [path, *(write_text(folder / name, make()) for name, make in draw.items())]


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else value


def read_evaluation(folder: Path) -> Evaluation:
    """Read what :func:`write_evaluation` wrote. Raises UserError naming a file that is not right."""
    path = folder / "metrics.json"
    names = {f.name for f in fields(Evaluation)}
    try:
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in scores.items() if name in names
        }
        path = folder / "confusion.npy"
        evaluation = Evaluation(confusion=np.load(path, allow_pickle=False), **known)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not the file of an evaluation: {in_one_line(error)}") from error
    if evaluation.confusion.shape != (len(evaluation.classes),) * 2:
        raise UserError(f"{path} is {evaluation.confusion.shape} for {len(evaluation.classes)} classes")
    if scores.get("miou_pct") != _or_null(evaluation.miou):
        raise UserError(f"{path} and metrics.json are of two evaluations: evaluate again")
    return evaluation
