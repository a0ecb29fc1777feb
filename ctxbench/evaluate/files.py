"""The files of an evaluation: written, and read back."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ctxbench.data.dataset import Labels, SegmentationSet
from ctxbench.errors import UserError, in_one_line
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.pictures import evenly_spaced, write_pictures
from ctxbench.files import write_text, writing, written_whole
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.typed import json_value

FILES = ("metrics.json", "confusion.npy", "per_class.csv", "per_class.md", "per_class.tex")
PICTURED = 4
"""Images drawn with truth, prediction and error: so many, evenly spaced over the split."""


def write_evaluation(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write :data:`FILES` into ``folder``, made where it is missing; each is whole or as it was.

    Raises UserError where they cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    grids = evaluation.grids()
    labels = (f"tab:{evaluation.dataset}-classes", f"tab:{evaluation.dataset}")
    draw: dict[str, Callable[[], str]] = {
        "metrics.json": lambda: json.dumps(_metrics(evaluation), indent=1, allow_nan=False) + "\n",
        "per_class.csv": lambda: str(evaluation.to_frame().to_csv(index=False)),
        "per_class.md": lambda: "\n".join(map(grid_markdown, grids)),
        "per_class.tex": lambda: "\n".join(map(grid_latex, grids, (g.title for g in grids), labels)),
    }
    path = folder / "confusion.npy"
    with written_whole(path) as new, new.open("wb") as file:
        np.save(file, evaluation.confusion)
    return [path, *(write_text(folder / name, make()) for name, make in draw.items())]


def _metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The scores, and every field but the matrix."""
    return {
        "miou_pct": _or_null(evaluation.miou),
        "reported_miou_pct": _or_null(evaluation.reported_miou),
        "pixel_accuracy_pct": _or_null(evaluation.pixel_accuracy),
        "classes_in_mean": evaluation.counted,
        "images_per_s": evaluation.images / evaluation.seconds if evaluation.seconds else None,
        **{
            each.name: getattr(evaluation, each.name)
            for each in fields(evaluation)
            if each.name not in ("confusion", "folder")
        },
    }


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else value


def write_with_pictures(
    folder: Path, evaluation: Evaluation, dataset: SegmentationSet, labels: Callable[[int], Labels]
) -> None:
    """Write an evaluation, and a picture of some images, whose predictions (H×W) ``labels`` gives by index.

    Raises UserError where they cannot be written.
    """
    write_evaluation(folder, evaluation)
    drawn = {index: labels(index) for index in evenly_spaced(len(dataset), PICTURED)}
    write_pictures(folder / "pictures.png", dataset, drawn)


def read_evaluation(folder: Path) -> Evaluation:
    """Read what :func:`write_evaluation` wrote. Raises UserError naming a file that is not right."""
    path = folder / "metrics.json"
    try:
        stored = json_value(path.read_text(encoding="utf-8"))
        path = folder / "confusion.npy"
        confusion = np.load(path, allow_pickle=False)
        path = folder / "metrics.json"
        # the scores beside the fields are there for people; what is not a field is passed over
        evaluation = msgspec.convert(
            {**stored, "confusion": confusion, "folder": folder},
            Evaluation,
            strict=True,
            dec_hook=lambda _, value: value,
        )
    except (OSError, ValueError, TypeError, msgspec.ValidationError) as error:
        raise UserError(f"{path} is not the file of an evaluation: {in_one_line(error)}") from error
    path = folder / "confusion.npy"
    if evaluation.confusion.shape != (len(evaluation.classes),) * 2:
        raise UserError(f"{path} is {evaluation.confusion.shape} for {len(evaluation.classes)} classes")
    if stored.get("miou_pct") != _or_null(evaluation.miou):
        raise UserError(f"{path} and metrics.json are of two evaluations: evaluate again")
    return evaluation
