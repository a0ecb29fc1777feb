"""Sub-attention maps A_i · X of a network over an image, as in the paper's figure 5.

A module shows them if it has ``sub_attention(x, index) -> Tensor``, the map A_i for its input x in x's shape
(N, C, H, W), and ``rank``, how many there are. The first such module in the network is looked into.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.data.augment import normalise
from ctxbench.data.reading import read_image
from ctxbench.errors import UserError
from ctxbench.evaluate.pictures import Pixels, colours, show, write_png
from ctxbench.evaluate.predict import SMALLEST, predict
from ctxbench.files import writing
from ctxbench.table.style import STYLE, canvas
from ctxbench.train.evaluation import open_split
from ctxbench.train.run import TrainedRun

SHOWN = 4
"""As many as figure 5 shows of them."""
COLOURS = "inferno"
OWN_CODING = ("ade20k_full", "coco")
"""Data sets whose masks are not coded as their predictions are."""


def attention_module(network: nn.Module) -> Any:
    """The first module with ``sub_attention`` and ``rank``. Raises UserError where there is none."""
    for module in network.modules():
        if hasattr(module, "sub_attention") and hasattr(module, "rank"):
            return module
    raise UserError("the network has no module with sub-attention maps; one trained with context reconet has")


def random_ranks(rank: int, seed: int = 0) -> tuple[int, ...]:
    """Four of 0..rank-1 (or all, where they are fewer) at random, as in the paper, but seeded; in order."""
    chosen = np.random.default_rng(seed).choice(rank, min(SHOWN, rank), replace=False)
    return tuple(sorted(chosen.tolist()))


def heat_maps(network: nn.Module, image: Image.Image, ranks: Sequence[int]) -> list[NDArray[np.float32]]:
    """The mean over channels of |A_i · X|, resized to the image, for each rank i, counted from 0: H×W each.

    ``network`` is in eval mode, and on the CPU. Raises UserError where it has no such maps, or not that many.
    """
    module = attention_module(network)
    if beyond := [rank for rank in ranks if not 0 <= rank < module.rank]:
        raise UserError(f"no sub-attention map {beyond[0]}: the network has 0 to {module.rank - 1}")
    inputs: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        predict(network, normalise(image)[None])
    finally:
        hook.remove()
    size = [max(side, SMALLEST) for side in (image.height, image.width)]
    with torch.inference_mode():
        heat = torch.stack([(module.sub_attention(inputs[0], i) * inputs[0]).abs().mean(1) for i in ranks], 1)
        resized = functional.interpolate(heat, size, mode="bilinear", align_corners=True)[0]
    return [each[: image.height, : image.width].numpy() for each in resized]


def look(
    folder: Path,
    image: Path,
    *,
    ranks: Sequence[int] = (),
    truth: Path | None = None,
    which: Literal["best", "last"] = "best",
    out: Path | None = None,
) -> Path:
    """Draw the maps of a run's network over the image in a file; return the picture's path.

    ``ranks`` are by default those of :func:`random_ranks`; ``truth`` is a mask file of the run's data set.

    Raises UserError where the run has no such weights or maps, a file cannot be read or written, or the data
    set is one of ``OWN_CODING`` and ``truth`` is given.
    """
    run = TrainedRun(folder)
    network = run.network(which)
    ranks = ranks or random_ranks(attention_module(network).rank)
    pixels = read_image(image)
    drawn = None if truth is None else _truth(run, truth, pixels)
    path = out or folder / "attention" / f"{image.stem}.png"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return write_attention(path, pixels, heat_maps(network, pixels, ranks), ranks, drawn)


def _truth(run: TrainedRun, mask: Path, image: Image.Image) -> Pixels:
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


def write_attention(
    path: Path,
    image: Image.Image,
    maps: Sequence[NDArray[np.float32]],
    ranks: Sequence[int],
    truth: Pixels | None = None,
) -> Path:
    """Draw the image, its truth in colours where it is given, and the maps over the image in grey, as PNG.

    Each map is stretched from its least to its greatest value. Raises UserError where it cannot be written.
    """
    grey = np.asarray(image.convert("L").convert("RGB")) / 255
    scale = ScalarMappable(Normalize(0, 1), COLOURS)
    panels: list[tuple[str, Any]] = [("image", image)]
    if truth is not None:
        panels.append(("truth", truth))
    for rank, heat in zip(ranks, maps, strict=True):
        stretched = (heat - heat.min()) / max(float(np.ptp(heat)), 1e-12)
        panels.append((rf"$A_{{{rank}}} \cdot X$", 0.35 * grey + 0.65 * scale.to_rgba(stretched)[..., :3]))
    with rc_context(STYLE):
        figure = canvas(2.4 * len(panels) + 0.9, 2.25 * image.height / image.width + 0.4)
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, panel) in zip(row, panels, strict=True):
            show(axes, panel)
            axes.set_title(title)
        bar = figure.colorbar(scale, ax=row[-1], fraction=0.05, ticks=[0, 1])
        bar.ax.set_yticklabels(["least", "greatest"])
    return write_png(figure, path)
