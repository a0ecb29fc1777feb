"""Evaluate a network, or predictions in files, on every image of a data set; save predictions.

Padding (see :mod:`ctxbench.evaluate.predict`) is neither counted nor saved.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ctxbench.data.dataset import IGNORE, SegmentationSet
from ctxbench.data.loader import eval_loader
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import VOC, Evaluation
from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.evaluate.predict import Precision, Setting, predict
from ctxbench.files import writing, written_whole
from ctxbench.measure.environment import environment

HELD = 8
"""Batches' worth of images that may wait for others of their size, which bounds memory."""

Progress = Callable[[int, int], None]
"""Told how many images are done, of how many, in this process."""


def evaluate(
    network: nn.Module,
    dataset: SegmentationSet,
    *,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    sliding: int | None = None,
    device: str = "cpu",
    precision: Precision = "32-true",
    batch: int = 1,
    workers: int = 0,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Segment every image of ``dataset`` and count, see :class:`Setting` for how.

    Up to ``batch`` images of one size go through the network together; none is resized or padded for
    another's sake, so the batch changes no result (but for rounding, where a kernel sums in another order).
    Where torch.distributed is initialised, the processes share the images and all return the same.
    ``save`` is a folder for the predictions: see :func:`prediction_folder`. The network is moved to
    ``device``; each part of it is left in the mode it was in.

    Raises UserError for a setting, a device or a sample that will not do, and where files cannot be written.
    """
    setting = Setting(scales, flip, sliding, precision)
    if batch < 1:
        raise UserError(f"a batch has at least one image, not {batch}")
    known = getattr(network, "classes", len(dataset.classes))
    if known != len(dataset.classes):
        raise UserError(f"the network knows {known} classes, {dataset.name} has {len(dataset.classes)}")
    described = environment(device)
    rank, world = _rank_and_world()
    confusion = torch.zeros(len(dataset.classes), len(dataset.classes), dtype=torch.int64, device=device)
    mine, done = len(range(rank, len(dataset), world)), 0
    error: UserError | None = None
    network.to(device)
    began = time.perf_counter()
    try:
        with _in_eval_mode(network):
            loaded = eval_loader(dataset, rank=rank, world=world, workers=workers)
            for indices, images, masks in _batches(loaded, batch):
                labels = predict(network, images.to(device), setting)
                confusion += confusion_matrix(masks.to(device), labels, len(dataset.classes))
                if save is not None:
                    for index, prediction in zip(indices, labels.cpu().numpy(), strict=True):
                        save_prediction(save, dataset, index, prediction)
                done += len(indices)
                if progress is not None:
                    progress(done, mine)
    except UserError as one:  # the other processes must not wait for this one
        error = one
    return Evaluation(
        confusion=_together(confusion.cpu(), error, world).numpy(),
        classes=dataset.classes,
        dataset=dataset.name,
        split=dataset.split,
        images=len(dataset),
        network=type(network).__name__,
        seconds=time.perf_counter() - began,
        scales=scales,
        flip=flip,
        sliding=sliding,
        device=device,
        precision=precision,
        batch=batch,
        processes=world,
        environment=described,
    )


def _rank_and_world() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _together(confusion: Tensor, error: UserError | None, world: int) -> Tensor:
    """The sum of all processes' matrices; raises the first UserError that any of them met, in all."""
    found = [(confusion, error)] * world
    if world > 1:
        torch.distributed.all_gather_object(found, (confusion, error))
    for _, met in found:
        if met is not None:
            raise met
    return torch.stack([counts for counts, _ in found]).sum(0)


@contextmanager
def _in_eval_mode(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _batches(
    loaded: Iterable[tuple[int, Tensor, Tensor]], batch: int
) -> Iterator[tuple[tuple[int, ...], Tensor, Tensor]]:
    """Images of one size together, ``batch`` of them where so many come before too many others wait."""
    waiting: dict[torch.Size, list[tuple[int, Tensor, Tensor]]] = {}
    for sample in loaded:
        size = sample[1].shape
        waiting.setdefault(size, []).append(sample)
        if len(waiting[size]) == batch:
            yield _stacked(waiting.pop(size))
        elif sum(map(len, waiting.values())) >= HELD * batch:
            yield _stacked(waiting.pop(next(iter(waiting))))  # whose first has waited longest
    yield from map(_stacked, waiting.values())


def _stacked(samples: list[tuple[int, Tensor, Tensor]]) -> tuple[tuple[int, ...], Tensor, Tensor]:
    indices, images, masks = zip(*samples, strict=True)
    return indices, torch.stack(images), torch.stack(masks)


def prediction_folder(root: Path, dataset: SegmentationSet) -> Path:
    """Where predictions lie under ``root``: in VOC's server layout for VOC, in ``root`` itself for others.

    VOC's competition 6 allows training data from outside, and ImageNet's weights are that.
    """
    if dataset.name in VOC:
        return root / "results" / "VOC2012" / "Segmentation" / f"comp6_{dataset.split}_cls"
    return root


def save_prediction(root: Path, dataset: SegmentationSet, index: int, labels: np.ndarray) -> None:
    """Write one prediction (H×W, classes) as ``STEM.png`` in the data set's own layout. Raises UserError."""
    path = prediction_folder(root, dataset) / f"{dataset.stem(index)}.png"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as new:
        dataset.encode(labels.astype(np.uint8)).save(new, format="PNG")


def prediction_files(folder: Path, dataset: SegmentationSet) -> list[Path]:
    """Each sample's prediction, in ``folder`` or where :func:`prediction_folder` says, by its stem.

    PNG files, or .mat files where the data set's masks are that. Raises UserError where some are missing.
    """
    home = prediction_folder(folder, dataset)
    home = home if home.is_dir() else folder
    found = {
        path.relative_to(home).with_suffix("").as_posix(): path
        for suffix in (".mat", ".png")
        for path in home.rglob(f"*{suffix}")
    }
    stems = [dataset.stem(index) for index in range(len(dataset))]
    if missing := [stem for stem in stems if stem not in found]:
        raise UserError(f"{home} lacks {len(missing)} of {len(stems)} predictions, {missing[0]}.png first")
    return [found[stem] for stem in stems]


def score(folder: Path, dataset: SegmentationSet, *, progress: Progress | None = None) -> Evaluation:
    """Count the predictions in ``folder``, in the data set's own layout, whoever made them.

    A pixel that is predicted to be ignored must be ignored in the truth.

    Raises UserError naming a prediction that is missing, of another size, or holds what is no class.
    """
    classes = len(dataset.classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    began = time.perf_counter()
    for index, path in enumerate(prediction_files(folder, dataset)):
        truth, prediction = dataset.mask(index), dataset.decode(path)
        if truth.shape != prediction.shape:
            sizes = ["x".join(map(str, labels.shape)) for labels in (prediction, truth)]
            raise UserError(f"{path} is {sizes[0]}, its image {sizes[1]} (H x W)")
        if np.any((prediction == IGNORE) & (truth != IGNORE)):
            raise UserError(f"{path} has pixels without a class where the truth has one")
        counted, guessed = (torch.from_numpy(labels).long() for labels in (truth, prediction))
        confusion += confusion_matrix(counted, guessed, classes)
        if progress is not None:
            progress(index + 1, len(dataset))
    return Evaluation(
        confusion=confusion.numpy(),
        classes=dataset.classes,
        dataset=dataset.name,
        split=dataset.split,
        images=len(dataset),
        network="predictions",
        checkpoint=str(folder),
        seconds=time.perf_counter() - began,
    )
