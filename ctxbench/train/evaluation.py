"""Evaluate a training run's network, in one process or several."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ctxbench.data import DATASETS, open_dataset
from ctxbench.data.augment import normalise
from ctxbench.data.check import readable
from ctxbench.data.dataset import Labels, SegmentationSet
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import Evaluation, in_words
from ctxbench.evaluate.files import write_with_pictures
from ctxbench.evaluate.loop import evaluate
from ctxbench.evaluate.predict import Setting, predict
from ctxbench.evaluate.predictions import Progress
from ctxbench.train.launch import failures
from ctxbench.train.launch.engine import device_of, fabric_of, is_rank_zero, precision_of
from ctxbench.train.launch.ranks import launched
from ctxbench.train.run import TrainedRun


def open_split(
    name: str, root: Path | None, split: str | None, skip_bad: bool
) -> tuple[SegmentationSet, tuple[str, ...]]:
    """A data set, by default the split it is usually evaluated on, and the samples left out as unreadable."""
    usual = DATASETS[name].eval_split if name in DATASETS else None
    dataset = open_dataset(name, root, split or usual)
    if not skip_bad:
        return dataset, ()
    dataset, bad = readable(dataset)
    return dataset, tuple(bad)


def evaluate_run(
    run: TrainedRun,
    dataset: SegmentationSet,
    *,
    setting: Setting,
    which: Literal["best", "last"] = "last",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    batch: int = 1,
    workers: int = 0,
    skipped: tuple[str, ...] = (),
    save_predictions: bool = False,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a run's network on ``dataset``; the evaluation says which folder it was written to.

    ``out`` is by default a folder of the run, named by data set, split, weights, setting and precision. In it
    are the evaluation, a picture of some images, and, where asked for, the predictions. With several
    ``devices``, every process returns, and the first has written. A network that knows a background before
    the classes of ``dataset`` never predicts it: its score is left out.

    Raises UserError where the run has no such weights, or they are for other classes, and as
    :func:`ctxbench.evaluate.loop.evaluate` does.
    """
    checkpoint = run.checkpoint(which)
    knows_background = checkpoint.classes == ["background", *dataset.classes]
    if not knows_background:
        _check_classes(run, checkpoint.classes, dataset)
    if not dataset.labelled and not save_predictions:
        raise UserError(f"{dataset.name} {dataset.split} has no truth: its predictions can only be saved")
    network: nn.Module = run.network(which, checkpoint)
    if knows_background:
        network = _WithoutBackground(network, len(dataset.classes))
    words = [dataset.name, dataset.split, which, in_words(setting.scales, setting.flip, setting.sliding)]
    words += [] if setting.precision == "32-true" else [setting.precision]
    name = re.sub(r"[^\w.]+", "-", " ".join(words))
    folder = out or run.folder / "evaluations" / name
    engine = run.config.changed(device=device, devices=devices, precision=setting.precision)
    kind = device_of(engine)
    fabric = fabric_of(engine, kind, precision_of(engine, kind))
    advice = "evaluate with fewer --devices or --workers, or a smaller --batch"
    with failures.of_finished_run(), launched(fabric, engine, lambda: advice):
        place = str(fabric.device)
        evaluation = evaluate(
            network,
            dataset,
            scales=setting.scales,
            flip=setting.flip,
            sliding=setting.sliding,
            device=place,
            precision=setting.precision,
            batch=batch,
            workers=workers,
            save=folder / "predictions" if save_predictions else None,
            progress=progress if is_rank_zero() else None,
        )
    evaluation = replace(
        evaluation,
        network=run.config.title,
        backbone=run.config.backbone,
        checkpoint=f"{which}, iteration {checkpoint.iteration}" + ", background left out" * knows_background,
        chosen_among=_chosen_among(run, dataset) if which == "best" else 0,
        skipped=skipped,
    )

    def labels(index: int) -> Labels:
        image = normalise(dataset.image(index))[None].to(place)  # (1, 3, H, W)
        with failures.of_finished_run():
            array: Labels = predict(network, image, setting)[0].to(torch.uint8).cpu().numpy()  # (H, W)
        return array

    if is_rank_zero():
        write_with_pictures(folder, evaluation, dataset, labels)
    return replace(evaluation, folder=folder)


class _WithoutBackground(nn.Module):
    """A network whose first class, the background, is no choice: of K classes where it has K + 1."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, K, H, W)."""
        logits: Tensor = self.network(images)  # (N, K + 1, H, W)
        return logits[:, 1:]


def _chosen_among(run: TrainedRun, dataset: SegmentationSet) -> int:
    config = run.config
    chosen_by = (config.dataset, config.eval_split or DATASETS[config.dataset].eval_split)
    return len(run.evaluations()) if chosen_by == (dataset.name, dataset.split) else 0


def _check_classes(run: TrainedRun, classes: list[str], dataset: SegmentationSet) -> None:
    for number, (trained, wanted) in enumerate(zip(classes, dataset.classes, strict=False)):
        if trained != wanted:
            raise UserError(
                f"{run.folder} was trained for other classes than {dataset.name}'s: "
                f"class {number} is {trained}, not {wanted}"
            )
    if len(classes) != len(dataset.classes):
        counts = f"{len(classes)} classes, {dataset.name} has {len(dataset.classes)}"
        raise UserError(f"{run.folder} was trained for {counts}")
