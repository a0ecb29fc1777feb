"""What a training sample goes through: random scale, crop, flip and colour (paper, section 4.1)."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ctxbench.data.dataset import IGNORE

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB values in 0–1: what every backbone's weights were trained with."""


def normalise(image: Image.Image) -> Tensor:
    """An RGB image as a float32 tensor (3, H, W), less ImageNet's mean, over its standard deviation."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).to(torch.float32, copy=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))
    return pixels.contiguous().sub_(mean).div_(std)


@dataclass(frozen=True)
class Augment:
    """Random scale, crop, flip and colour of an image with its mask.

    Args:
        crop: side in pixels of the square that is cut out. An image smaller than it after scaling is padded
            on the right and below, with the mean colour and the ignore label.
        scale: the image is resized by a factor drawn uniformly from this range, the mask with it.
        flip: whether half of the samples are mirrored left to right.
        colour: brightness, contrast and saturation are each multiplied by a factor drawn uniformly from
            1 - colour to 1 + colour; 0 leaves them.

    """

    crop: int
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    colour: float = 0.0

    def __call__(
        self, image: Image.Image, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """An RGB image and its labels (uint8, H×W) to float32 (3, crop, crop) and int64 (crop, crop)."""
        factor = rng.uniform(*self.scale)
        whole = [max(1, round(side * factor)) for side in image.size]
        seen = [min(self.crop, side) for side in whole]
        corner = [rng.integers(side - part + 1) for side, part in zip(whole, seen, strict=True)]
        # the part of the original behind the crop: no pixel is resampled that is then cut off
        left, top, right, bottom = (
            place * side / scaled
            for places in (corner, np.add(corner, seen))
            for place, side, scaled in zip(places, image.size, whole, strict=True)
        )
        box = (left, top, min(right, image.width), min(bottom, image.height))
        image = image.resize((seen[0], seen[1]), Image.Resampling.BILINEAR, box)
        labels = Image.fromarray(mask).resize((seen[0], seen[1]), Image.Resampling.NEAREST, box)
        if self.flip and rng.random() < 0.5:
            image, labels = (each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in (image, labels))
        if self.colour:
            for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = enhance(image).enhance(rng.uniform(1 - self.colour, 1 + self.colour))
        pixels = torch.zeros(3, self.crop, self.crop)  # 0 is the mean colour once normalised
        target = torch.full((self.crop, self.crop), IGNORE)
        pixels[:, : seen[1], : seen[0]] = normalise(image)
        target[: seen[1], : seen[0]] = torch.from_numpy(np.array(labels))
        return pixels, target
