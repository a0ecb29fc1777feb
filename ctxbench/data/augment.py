"""What a training sample goes through: random scale, crop, flip and colour (paper, section 4.1).

In the shape comments: H, W are the height and width of the image, h, w those of the part of the scaled image
that is kept, crop the side of the square that is returned.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ctxbench.data.dataset import IGNORE, Labels

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB values in 0–1, with which every backbone was pre-trained."""


def normalise(image: Image.Image) -> Tensor:
    """An RGB image as a float32 (3, H, W): minus ImageNet's mean, divided by its standard deviation."""
    pixels = torch.from_numpy(np.array(image))  # (H, W, 3)
    pixels = pixels.permute(2, 0, 1).to(torch.float32, copy=True)  # (3, H, W)
    # MEAN and STD are of values in 0–1, the pixels are in 0–255
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))  # (3, 1, 1)
    return pixels.contiguous().sub_(mean).div_(std)


@dataclass(frozen=True)
class Augment:
    """Random scale, crop, flip and colour of an image and its mask.

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

    def __call__(self, image: Image.Image, mask: Labels, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """An RGB image and its labels (H, W) to float32 (3, crop, crop) and int64 (crop, crop)."""
        (width, height), box = self._region(image.size, rng)
        image = image.resize((width, height), Image.Resampling.BILINEAR, box)  # (h, w)
        # labels are numbers, not intensities: between two classes there is no third
        labels = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST, box)  # (h, w)
        if self.flip and rng.random() < 0.5:
            image, labels = (each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in (image, labels))
        if self.colour:
            for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = enhance(image).enhance(rng.uniform(1 - self.colour, 1 + self.colour))
        pixels = torch.zeros(3, self.crop, self.crop)  # 0 is the mean colour once normalised
        target = torch.full((self.crop, self.crop), IGNORE)
        pixels[:, :height, :width] = normalise(image)  # (3, h, w)
        target[:height, :width] = torch.from_numpy(np.array(labels))  # (h, w)
        return pixels, target

    def _region(
        self, size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
        """The size (w, h) of a random crop of the scaled image, and the box of the original behind it.

        Resizing that box alone gives the same as resizing everything and cropping, without resampling pixels
        that are cut off afterwards. All pairs are in Pillow's order: width, height.
        """
        factor = rng.uniform(*self.scale)
        scaled = [max(1, round(side * factor)) for side in size]
        kept = [min(self.crop, side) for side in scaled]
        corner = [int(rng.integers(side - part + 1)) for side, part in zip(scaled, kept, strict=True)]
        left, top = (at * side / full for at, side, full in zip(corner, size, scaled, strict=True))
        right, bottom = (
            # rounding may put the far edge a hair beyond the image, which Pillow refuses
            min((at + part) * side / full, side)
            for at, part, side, full in zip(corner, kept, size, scaled, strict=True)
        )
        return (kept[0], kept[1]), (left, top, right, bottom)
