"""From images to the class of every pixel: at one scale or several, flipped, by windows.

Images are segmented at their own size. One with a side below what the network takes (65, or the window's
side) is padded on the right and below with zeros, the mean colour, and its logits are cut back.

N images of H × W pixels, K classes; h × w is the size that a network or a window is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.errors import UserError

SMALLEST = 65
"""The least side a network takes, in pixels: 9 positions at stride 8, corners aligned."""
STRIP = 1 << 18
"""Scores that are compared at a time: so many fit a core's cache."""
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Precisions by Lightning's names, and what matrix products and convolutions run in."""


@dataclass(frozen=True)
class Setting:
    """How an image is segmented.

    The class of a pixel is the greatest of the probabilities (softmax), averaged over the windows that hold
    it, then, resized to the original, over scales and flips.

    Args:
        scales: factors of the original size; each is resized to bilinearly, corners aligned.
        flip: whether each is also segmented mirrored, left to right.
        sliding: the side in pixels of square windows, a stride of two thirds of it apart, the last ones
            at the border; None segments the whole image at once.
        precision: one of :data:`AUTOCAST`.

    Raises:
        UserError: one of them makes no sense.

    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    sliding: int | None = None
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise UserError(f"scales are positive numbers, one at least; not {self.scales}")
        if self.sliding is not None and self.sliding < SMALLEST:
            raise UserError(f"a window is {SMALLEST} pixels wide at least, not {self.sliding}")
        if self.precision not in AUTOCAST:
            raise UserError(f"no precision {self.precision!r}; one of {', '.join(AUTOCAST)}")


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, setting: Setting = Setting()) -> Tensor:
    """The class of every pixel: normalised images (N, 3, H, W) to int64 (N, H, W).

    ``network`` is in eval mode and maps (N, 3, h, w), sides of at least 65, to logits (N, K, h, w).

    Raises UserError where a pixel's greatest score is no number.
    """
    if setting.scales == (1.0,) and not setting.flip and setting.sliding is None:
        return _greatest(_logits(network, images, setting))  # softmax would not change the order
    views = (_at_scale(network, images, scale, setting) for scale in setting.scales)
    return _greatest(reduce(torch.add, views))


def _greatest(scores: Tensor) -> Tensor:
    """The class with the greatest score, the first of equals: (N, K, H, W) to int64 (N, H, W).

    On a CPU torch's argmax takes several times as long along a dimension that is not the last.
    """
    images, classes, _, width = scores.shape
    rows = max(1, STRIP // (images * classes * width))
    falling = torch.arange(classes, 0, -1, dtype=scores.dtype, device=scores.device)  # K, K - 1, …, 1
    falling = falling.view(-1, 1, 1)  # (K, 1, 1)
    strips = torch.split(scores, rows, 2)  # (N, K, rows, W) each
    marks = torch.cat([_mark(strip, falling) for strip in strips], 1)  # (N, H, W)
    if not marks.all():
        raise UserError("the network's scores are no numbers: its training diverged, or 16-mixed overflowed")
    return classes - marks.long()  # K - (K - k) = k


def _mark(scores: Tensor, falling: Tensor) -> Tensor:
    """What ``falling`` has for the first class with the greatest score, (N, H, W); 0 where a score is NaN.

    A NaN is the greatest, by amax, and equals nothing, not even itself: no class is marked then.
    """
    greatest = torch.eq(scores, scores.amax(1, keepdim=True), out=torch.empty_like(scores))  # (N, K, H, W)
    return greatest.mul_(falling).amax(1)


def _at_scale(network: nn.Module, images: Tensor, scale: float, setting: Setting) -> Tensor:
    """Probabilities (N, K, H, W) at one scale, summed with those of the mirrored image where asked for."""
    scaled = _resize(images, [max(1, round(side * scale)) for side in images.shape[2:]])  # (N, 3, h, w)
    scores = _probabilities(network, scaled, setting)  # (N, K, h, w)
    if setting.flip:
        scores += _probabilities(network, scaled.flip(3), setting).flip(3)
    return _resize(scores, images.shape[2:])  # (N, K, H, W)


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size)."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)


def _padded(images: Tensor, side: int) -> Tensor:
    """(N, 3, H, W) to (N, 3, max(H, side), max(W, side))."""
    height, width = images.shape[2:]
    missing = (0, max(side - width, 0), 0, max(side - height, 0))
    return functional.pad(images, missing) if any(missing) else images


def _logits(network: nn.Module, images: Tensor, setting: Setting) -> Tensor:
    """(N, 3, H, W), of any size, to (N, K, H, W)."""
    kind = AUTOCAST[setting.precision]
    with torch.autocast(images.device.type, dtype=kind, enabled=kind is not None):
        logits: Tensor = network(_padded(images, SMALLEST))
    height, width = images.shape[2:]
    return logits[..., :height, :width]


def _probabilities(network: nn.Module, images: Tensor, setting: Setting) -> Tensor:
    """(N, 3, H, W) to float32 (N, K, H, W) that sums to 1 over K."""
    if setting.sliding is None:
        return _logits(network, images, setting).float().softmax(1)
    window = setting.sliding
    padded = _padded(images, window)
    total: Tensor | None = None  # (N, K, H, W) of the padded image; K is known after the first window
    count = padded.new_zeros(padded.shape[2:])  # (H, W): how many windows hold each position
    for top in _starts(padded.shape[2], window):
        for left in _starts(padded.shape[3], window):
            here = (..., slice(top, top + window), slice(left, left + window))
            scores = _logits(network, padded[here], setting).float().softmax(1)  # (N, K, window, window)
            if total is None:
                total = scores.new_zeros(*scores.shape[:2], *padded.shape[2:])
            total[here] += scores
            count[here] += 1
    assert total is not None
    return (total / count)[..., : images.shape[2], : images.shape[3]]  # (N, K, H, W)


def _starts(length: int, window: int) -> list[int]:
    """Where windows begin along a side of ``length``, ``window`` at least."""
    last = length - window
    return [*range(0, last, window * 2 // 3), last]
