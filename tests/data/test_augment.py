import numpy as np
import pytest
import torch
from PIL import Image

from ctxbench.data.augment import MEAN, STD, Augment, normalise
from ctxbench.data.dataset import IGNORE


def blocks(width: int, height: int, side: int = 16) -> tuple[Image.Image, np.ndarray]:
    """An image of grey blocks, and the mask that numbers them: 10 grey levels to a label."""
    labels = np.add.outer(np.arange(height) // side, np.arange(width) // side).astype(np.uint8)
    return Image.fromarray(labels * 10).convert("RGB"), labels


def grey(pixels: torch.Tensor) -> np.ndarray:
    """Normalised pixels (3, H, W) as grey levels (H, W) again."""
    return (pixels[0].double().numpy() * STD[0] + MEAN[0]) * 255


def test_normalise_takes_imagenets_mean_and_standard_deviation() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    normalised = normalise(Image.fromarray(pixels))
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous()
    expected = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(normalised.numpy(), expected, rtol=0, atol=1e-5)


def test_unscaled_and_uncropped_a_sample_is_itself() -> None:
    image, labels = blocks(64, 64)
    pixels, target = Augment(64, scale=(1.0, 1.0), flip=False)(image, labels, np.random.default_rng(0))
    assert (pixels == normalise(image)).all()
    assert target.dtype == torch.int64
    assert (target.numpy() == labels).all()


@pytest.mark.parametrize("size", [(150, 100), (90, 200), (33, 47)])
@pytest.mark.parametrize("crop", [64, 129])
def test_a_crop_is_that_of_the_whole_image_resized(size: tuple[int, int], crop: int) -> None:
    image, labels = blocks(*size)
    for seed in range(6):
        pixels, target = Augment(crop, flip=False)(image, labels, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        factor = rng.uniform(0.5, 2.0)
        width, height = (round(side * factor) for side in size)
        right, below = min(crop, width), min(crop, height)
        left, top = (int(rng.integers(side - seen + 1)) for side, seen in ((width, right), (height, below)))
        box = (left, top, left + right, top + below)
        whole = normalise(image.resize((width, height), Image.Resampling.BILINEAR).crop(box))
        mask = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST).crop(box)
        assert pixels.shape == (3, crop, crop)
        # resampled in two passes of 8 bits each, whose first is rounded elsewhere: one grey level
        assert np.abs(grey(pixels[:, :below, :right]) - grey(whole)).max() < 1.01
        assert (target[:below, :right].numpy() == np.array(mask)).mean() > 0.99  # ties at .5 apart
        assert (pixels[:, below:] == 0).all()
        assert (pixels[:, :, right:] == 0).all()
        assert (target[below:] == IGNORE).all()
        assert (target[:, right:] == IGNORE).all()


def test_image_and_mask_stay_together() -> None:
    image, labels = blocks(120, 90)
    augment = Augment(80)
    for seed in range(12):
        pixels, target = augment(image, labels, np.random.default_rng(seed))
        valid = target != IGNORE
        far = np.abs(grey(pixels) - 10 * target.numpy())[valid.numpy()]
        assert (far > 5.5).mean() < 0.1  # but for the blocks' blurred borders


def test_half_of_the_samples_are_mirrored() -> None:
    image, labels = blocks(32, 32)
    plain = Augment(32, scale=(1.0, 1.0), flip=False)
    mirrored = 0
    for seed in range(40):
        pixels, target = Augment(32, scale=(1.0, 1.0))(image, labels, np.random.default_rng(seed))
        still, still_target = plain(image, labels, np.random.default_rng(seed))
        if not (target == still_target).all():
            assert (pixels.flip(2) == still).all()
            assert (target.flip(1) == still_target).all()
            mirrored += 1
    assert 10 < mirrored < 30


def test_colour_changes_the_image_alone() -> None:
    image, labels = blocks(32, 32)
    image = Image.merge("RGB", (image.getchannel(0), Image.new("L", image.size, 90), image.getchannel(2)))
    outcomes = [
        Augment(32, scale=(1.0, 1.0), flip=False, colour=colour)(image, labels, np.random.default_rng(3))
        for colour in (0.0, 0.4)
    ]
    assert (outcomes[0][1] == outcomes[1][1]).all()
    assert (outcomes[0][0] - outcomes[1][0]).abs().max() > 0.1


def test_the_ignore_label_is_kept() -> None:
    image, _ = blocks(40, 40)
    labels = np.full((40, 40), IGNORE, np.uint8)
    _, target = Augment(40)(image, labels, np.random.default_rng(0))
    assert (target == IGNORE).all()
