import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ctxbench.data.augment import normalise
from ctxbench.data.readers.synthetic import FAR, KEY_WIDTH, KEYS, PATTERNS, SIDE, Synthetic
from ctxbench.errors import UserError
from ctxbench.networks import Segmenter, build_network


def key_columns(dataset: Synthetic, index: int) -> tuple[slice, str]:
    """Where the key lies and its colour, read from the image alone: only the key is coloured."""
    pixels = np.array(dataset.image(index), np.int64)
    colourful = np.ptp(pixels.mean(0), axis=1) > 30
    columns = np.flatnonzero(colourful)
    mean = pixels[np.ptp(pixels, axis=2) > 80].mean(0)
    nearest = min(KEYS, key=lambda name: float(np.abs(mean - KEYS[name]).sum()))
    return slice(int(columns[0]), int(columns[-1]) + 1), nearest


def test_a_sample_depends_on_seed_split_and_index_alone() -> None:
    train = Synthetic("train")
    again = pickle.loads(pickle.dumps(train))
    others = [again.image(9), Synthetic("train").image(3)]  # nothing carries over from what was drawn before
    assert others[1].tobytes() == train.image(3).tobytes()
    assert (again.mask(3) == train.mask(3)).all()
    for other in (others[0], Synthetic("val").image(3), Synthetic("train", seed=1).image(3)):
        assert other.tobytes() != train.image(3).tobytes()


def test_a_mask_is_its_callers_own() -> None:
    dataset = Synthetic("val")
    dataset.mask(0)[:] = 7
    assert (dataset.mask(0) != 7).any()


def test_every_class_is_in_both_splits() -> None:
    for split in ("train", "val"):
        dataset = Synthetic(split)
        seen = np.unique(np.concatenate([np.unique(dataset.mask(i)) for i in range(64)]))
        assert seen.tolist() == list(range(len(dataset.classes)))


def test_the_class_is_the_pattern_with_the_keys_colour() -> None:
    dataset = Synthetic("val")
    for index in range(16):
        _, colour = key_columns(dataset, index)
        regions = np.unique(dataset.mask(index))[1:]
        assert {dataset.classes[label] for label in regions} <= {f"{p}, {colour} key" for p in PATTERNS}


@pytest.mark.parametrize(
    ("model", "options"), [("fcn", {}), ("reconet", {"context": "none", "global_pool": False})]
)
def test_without_context_no_region_sees_the_key(model: str, options: dict[str, Any]) -> None:
    assert key_is_seen(tiny(model, **options)) == 0.0


def test_with_context_a_region_may_see_the_key() -> None:
    assert key_is_seen(tiny("reconet")) > 0.0


def tiny(model: str, **options: Any) -> Segmenter:
    return build_network(model, 9, backbone="resnet-tiny", channels=8, crop=SIDE, **options).eval()


def key_is_seen(network: Segmenter) -> float:
    """The largest gradient of an image's logits in its regions by a pixel of its key."""
    dataset = Synthetic("val")
    images = torch.stack([normalise(dataset.image(index)) for index in range(3)]).requires_grad_()
    regions = torch.from_numpy(np.stack([dataset.mask(index) for index in range(3)])) > 0
    logits = network(images)
    assert isinstance(logits, torch.Tensor)
    (gradient,) = torch.autograd.grad(logits.movedim(1, 0)[:, regions].abs().sum(), images)
    assert gradient.abs().amax((1, 2, 3)).min() > 0
    return max(float(gradient[index, ..., key_columns(dataset, index)[0]].abs().max()) for index in range(3))


def test_no_region_is_nearer_to_the_key_than_said() -> None:
    dataset = Synthetic("val")
    for index in range(len(dataset)):
        columns, _ = key_columns(dataset, index)
        region = np.flatnonzero(dataset.mask(index).any(0))
        assert columns.stop - columns.start == KEY_WIDTH
        assert min(abs(region.min() - columns.stop), abs(columns.start - 1 - region.max())) >= FAR


def test_a_mirrored_image_is_a_sample_as_good() -> None:
    left = [key_columns(Synthetic("train"), index)[0].start == 0 for index in range(32)]
    assert any(left)
    assert not all(left)


def test_predictions_go_through_a_file(tmp_path: Path) -> None:
    dataset = Synthetic("val")
    path = tmp_path / f"{dataset.stem(5)}.png"
    dataset.encode(dataset.mask(5)).save(path)
    assert path.name == "val_0005.png"
    assert (dataset.decode(path) == dataset.mask(5)).all()


def test_another_split_is_refused() -> None:
    with pytest.raises(UserError, match="no split 'test'; its splits: train, val"):
        Synthetic("test")
