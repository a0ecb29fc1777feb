"""Sub-attention maps A_i · X of a network over an image: what each of its rank-1 parts activates.

A module shows them if it has ``sub_attention(x, index) -> Tensor``, the map A_i for its input x in x's shape
(N, C, h, w), and ``rank``, how many there are. The first such module in the network is looked into.

An image has H × W pixels, its features C channels at h × w positions; R maps are drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from ctxbench.errors import UserError
from ctxbench.evaluate.pictures import Pixels, show, write_png
from ctxbench.evaluate.predict import SMALLEST, predict
from ctxbench.table.style import STYLE, canvas

MAPS_BY_DEFAULT = 4
"""Maps that are drawn where no ranks are named."""
MOST = 64
"""Maps that are drawn at the most: a picture of more is wider than matplotlib draws and people look at."""
COLOURS = "inferno"


def attention_module(network: nn.Module) -> Any:
    """The first module with ``sub_attention`` and ``rank``. Raises UserError where there is none."""
    for module in network.modules():
        if hasattr(module, "sub_attention") and hasattr(module, "rank"):
            return module
    raise UserError("the network has no module with sub-attention maps; one trained with context reconet has")


def random_ranks(rank: int, seed: int = 0) -> tuple[int, ...]:
    """Four of 0..rank-1 (or all, where they are fewer) at random, but seeded: always the same; in order."""
    chosen = np.random.default_rng(seed).choice(rank, min(MAPS_BY_DEFAULT, rank), replace=False)
    return tuple(sorted(chosen.tolist()))


def heat_maps(network: nn.Module, image: Image.Image, ranks: Sequence[int]) -> list[NDArray[np.float32]]:
    """The mean over channels of |A_i · X|, resized to the image, for each rank i, counted from 0: H×W each.

    ``network`` is in eval mode, and on the CPU. Raises UserError where it has no such maps, or not that many,
    and for more than ``MOST`` of them.
    """
    module = attention_module(network)
    if len(ranks) > MOST:
        raise UserError(f"at most {MOST} maps are drawn in one picture, not {len(ranks)}")
    if beyond := [rank for rank in ranks if not 0 <= rank < module.rank]:
        raise UserError(f"no sub-attention map {beyond[0]}: the network has 0 to {module.rank - 1}")
    inputs: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        predict(network, normalise(image)[None])
    finally:
        hook.remove()
    size = [max(side, SMALLEST) for side in (image.height, image.width)]
    x = inputs[0]  # (1, C, h, w)
    with torch.inference_mode():
        activated = [(module.sub_attention(x, i) * x).abs().mean(1) for i in ranks]  # R of (1, h, w)
        heat = torch.stack(activated, 1)  # (1, R, h, w)
        resized = functional.interpolate(heat, size, mode="bilinear", align_corners=True)[0]  # (R, H, W)
    # a small image was padded to the least size that a network takes: its maps are cut back
    return [each[: image.height, : image.width].numpy() for each in resized]


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
    grey = np.asarray(image.convert("L").convert("RGB")) / 255  # (H, W, 3)
    scale = ScalarMappable(Normalize(0, 1), COLOURS)
    panels: list[tuple[str, Any]] = [("image", image)]
    if truth is not None:
        panels.append(("truth", truth))
    for rank, heat in zip(ranks, maps, strict=True):
        stretched = (heat - heat.min()) / max(float(np.ptp(heat)), 1e-12)  # (H, W); a flat map is 0 all over
        panels.append(
            (rf"$A_{{{rank}}} \cdot X$", 0.35 * grey + 0.65 * scale.to_rgba(stretched)[..., :3])
        )  # (H, W, 3)
    with rc_context(STYLE):
        figure = canvas(2.4 * len(panels) + 0.9, 2.25 * image.height / image.width + 0.4)
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, panel) in zip(row, panels, strict=True):
            show(axes, panel)
            axes.set_title(title)
        bar = figure.colorbar(scale, ax=row[-1], fraction=0.05, ticks=[0, 1])
        bar.ax.set_yticklabels(["least", "greatest"])
    return write_png(figure, path)
