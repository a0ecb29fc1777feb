"""Predictions in files: where they lie in a data set's own layout, how they are written, and their score."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ctxbench.data.dataset import IGNORE, Labels, SegmentationSet
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.files import write_with_pictures
from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.files import writing, written_whole

VOC = ("voc12", "voc12aug")
"""Data sets whose server scores predictions in a layout of its own."""

Progress = Callable[[int, int], None]
"""Called with how many images are done, of how many, in this process."""


def prediction_folder(root: Path, dataset: SegmentationSet) -> Path:
    """Where predictions lie under ``root``: in VOC's server layout for VOC, in ``root`` itself for others.

    VOC's competition 6 allows training data from outside, and ImageNet's weights are that.
    """
    if dataset.name in VOC:
        return root / "results" / "VOC2012" / "Segmentation" / f"comp6_{dataset.split}_cls"
    return root


def save_prediction(root: Path, dataset: SegmentationSet, index: int, labels: Labels) -> None:
    """Write one prediction (H×W, classes) as ``STEM.png`` in the data set's own layout. Raises UserError."""
    path = prediction_folder(root, dataset) / f"{dataset.stem(index)}.png"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as new:
        dataset.encode(labels).save(new, format="PNG")


def prediction_files(folder: Path, dataset: SegmentationSet) -> list[Path]:
    """Each sample's prediction, in ``folder`` or where :func:`prediction_folder` says, by its stem.

    PNG files, or .mat files where the data set's masks are that. Raises UserError where some are missing.
    """
    home = prediction_folder(folder, dataset)
    home = home if home.is_dir() else folder
    by_stem = {
        path.relative_to(home).with_suffix("").as_posix(): path
        for suffix in (".mat", ".png")  # of a stem that has both, the PNG
        for path in home.rglob(f"*{suffix}")
    }
    stems = [dataset.stem(index) for index in range(len(dataset))]
    if missing := [stem for stem in stems if stem not in by_stem]:
        raise UserError(f"{home} lacks {len(missing)} of {len(stems)} predictions, {missing[0]}.png first")
    return [by_stem[stem] for stem in stems]


def evaluate_predictions(
    folder: Path,
    dataset: SegmentationSet,
    *,
    skipped: tuple[str, ...] = (),
    out: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Count the predictions in ``folder``, in the data set's own layout, whoever made them.

    A pixel that is predicted to be ignored must be ignored in the truth. ``skipped`` names images that are
    left out of ``dataset``. With ``out``, the evaluation and a picture of some images are written there.

    Raises UserError naming a prediction that is missing, of another size, or holds what is no class.
    """
    classes = len(dataset.classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)  # (K, K)
    began = time.perf_counter()
    files = prediction_files(folder, dataset)
    for index, path in enumerate(files):
        truth = dataset.mask(index)
        prediction = _prediction(path, dataset, truth)
        confusion += confusion_matrix(
            torch.from_numpy(truth).long(), torch.from_numpy(prediction).long(), classes
        )
        if progress is not None:
            progress(index + 1, len(dataset))
    evaluation = Evaluation(
        confusion=confusion.numpy(),
        classes=tuple(dataset.classes),
        dataset=dataset.name,
        split=dataset.split,
        images=len(dataset),
        network="predictions",
        checkpoint=str(folder),
        seconds=time.perf_counter() - began,
        skipped=skipped,
    )
    if out is not None:
        write_with_pictures(out, evaluation, dataset, lambda index: dataset.decode(files[index]))
    return evaluation


def _prediction(path: Path, dataset: SegmentationSet, truth: Labels) -> Labels:
    """Read a prediction (H×W) and check that it can be counted against ``truth`` (H×W)."""
    prediction = dataset.decode(path)
    if truth.shape != prediction.shape:
        sizes = ["x".join(map(str, labels.shape)) for labels in (prediction, truth)]
        raise UserError(f"{path} is {sizes[0]}, its image {sizes[1]} (H x W)")
    if np.any((prediction == IGNORE) & (truth != IGNORE)):
        raise UserError(f"{path} has pixels without a class where the truth has one")
    return prediction
