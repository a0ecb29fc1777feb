"""Evaluate a network on every image of a data set, in one process or several; save its predictions.

Padding (see :mod:`ctxbench.evaluate.predict`) is neither counted nor saved. N images of H × W pixels go
through the network together; K classes.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ctxbench.data.dataset import SegmentationSet
from ctxbench.data.loader import eval_loader
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.evaluate.predict import Precision, Setting, predict
from ctxbench.evaluate.predictions import Progress, save_prediction
from ctxbench.measure.environment import environment

HELD = 8
"""Batches' worth of images that may wait for others of their size, which bounds memory."""


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
    ``save`` is a folder for the predictions: see
    :func:`~ctxbench.evaluate.predictions.prediction_folder`. The network is moved to ``device``; each part
    of it is left in the mode it was in.

    Raises UserError for scales, a window or a precision that :class:`Setting` refuses, a batch below 1, other
    classes than the network's, a device that is not there, a sample that cannot be read, scores that are no
    numbers, and files that cannot be written.
    """
    setting = Setting(scales, flip, sliding, precision)
    if batch < 1:
        raise UserError(f"a batch has at least one image, not {batch}")
    classes = len(dataset.classes)
    if (predicted := getattr(network, "classes", classes)) != classes:
        raise UserError(f"the network knows {predicted} classes, {dataset.name} has {classes}")
    described = environment(device)
    rank, world_size = _rank_and_world_size()
    confusion = torch.zeros(classes, classes, dtype=torch.int64, device=device)  # (K, K)
    share, done = len(range(rank, len(dataset), world_size)), 0
    error: UserError | None = None
    network.to(device)
    began = time.perf_counter()
    try:
        with _in_eval_mode(network):
            loaded = eval_loader(dataset, rank=rank, world=world_size, workers=workers)
            for indices, images, masks in _batches(loaded, batch):
                labels = predict(network, images.to(device), setting)  # (N, 3, H, W) to (N, H, W)
                confusion += confusion_matrix(masks.to(device), labels, classes)
                if save is not None:
                    for index, prediction in zip(indices, labels.to(torch.uint8).cpu().numpy(), strict=True):
                        save_prediction(save, dataset, index, prediction)
                done += len(indices)
                if progress is not None:
                    progress(done, share)
    except UserError as met:  # kept until all have come to the exchange: the others would wait there for ever
        error = met
    return Evaluation(
        confusion=_sum_over_processes(confusion.cpu(), error, world_size).numpy(),
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
        processes=world_size,
        environment=described,
    )


def _rank_and_world_size() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _sum_over_processes(confusion: Tensor, error: UserError | None, world_size: int) -> Tensor:
    """The sum of all processes' matrices (K, K); raises the first UserError that any of them met, in all."""
    gathered = [(confusion, error)] * world_size
    if world_size > 1:
        torch.distributed.all_gather_object(gathered, (confusion, error))
    for _, met in gathered:
        if met is not None:
            raise met
    return torch.stack([counts for counts, _ in gathered]).sum(0)  # (world_size, K, K) to (K, K)


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
    """Samples of one size, as N indices, images (N, 3, H, W) and masks (N, H, W)."""
    indices, images, masks = zip(*samples, strict=True)
    return indices, torch.stack(images), torch.stack(masks)  # (N, 3, H, W), (N, H, W)
