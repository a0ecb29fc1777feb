"""Sub-attention maps of a training run's network, drawn over an image beside its truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from ctxbench.data.reading import read_image
from ctxbench.errors import UserError
from ctxbench.evaluate.attention import attention_module, heat_maps, random_ranks, write_attention
from ctxbench.evaluate.pictures import Pixels, colours
from ctxbench.files import writing
from ctxbench.train.evaluation import open_split
from ctxbench.train.launch import failures
from ctxbench.train.run import TrainedRun

OWN_CODING = ("ade20k_full", "coco")
"""Data sets whose masks are not coded as their predictions are."""


def draw_attention(
    folder: Path,
    image: Path,
    *,
    ranks: Sequence[int] = (),
    truth: Path | None = None,
    which: Literal["best", "last"] = "best",
    out: Path | None = None,
) -> Path:
    """Draw the maps of a run's network over the image in a file; return the picture's path.

    ``ranks`` are by default those of :func:`~ctxbench.evaluate.attention.random_ranks`; ``truth`` is a mask
    file of the run's data set.

    Raises UserError where the run has no such weights or maps, a file cannot be read or written, or the data
    set is one of ``OWN_CODING`` and ``truth`` is given.
    """
    run = TrainedRun(folder)
    network = run.network(which)
    ranks = ranks or random_ranks(attention_module(network).rank)
    pixels = read_image(image)
    truth_pixels = None if truth is None else _truth(run, truth, pixels)
    path = out or folder / "attention" / f"{image.stem}.png"
    with failures.of_finished_run():
        maps = heat_maps(network, pixels, ranks)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return write_attention(path, pixels, maps, ranks, truth_pixels)


def _truth(run: TrainedRun, mask: Path, image: Image.Image) -> Pixels:
    """The mask in colours, H×W×3, checked to be of the image's size."""
    config = run.config
    if config.dataset in OWN_CODING:
        raise UserError(f"{mask}: a mask of {config.dataset} has a coding of its own; leave out --truth")
    root = None if config.root is None else Path(config.root)
    dataset, _ = open_split(config.dataset, root, config.eval_split, skip_bad=False)
    labels = dataset.decode(mask)
    if labels.shape != (image.height, image.width):
        sizes = [f"{height}x{width}" for height, width in (labels.shape, (image.height, image.width))]
        raise UserError(f"{mask} is {sizes[0]}, the image {sizes[1]} (H x W)")
    return colours(labels, dataset)
