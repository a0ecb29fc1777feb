"""Pictures of predictions: which images, which colours, and whole files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctxbench.data.dataset import IGNORE, VOID_COLOUR, Labels, SegmentationSet
from ctxbench.errors import UserError
from ctxbench.evaluate.pictures import WRONG, colours, errors, evenly_spaced, legend_of, write_pictures

TRUTH = np.array([[0, 1, 2, IGNORE]], np.uint8).repeat(6, 0)


class Striped(SegmentationSet):
    """Three images with a stripe for each class, and an ignored one."""

    def __init__(self) -> None:
        super().__init__("striped", "val", ["sky", "sea", "sand", "snow"])

    def __len__(self) -> int:
        return 3

    def stem(self, index: int) -> str:
        return f"image_{index}"

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (4, 6), (100, 50, 200))

    def mask(self, index: int) -> Labels:
        return TRUTH


@pytest.mark.parametrize(
    ("count", "wanted", "indices"), [(9, 3, [0, 3, 6]), (2, 4, [0, 1]), (445, 4, [0, 111, 222, 333])]
)
def test_images_are_evenly_spaced_evenly(count: int, wanted: int, indices: list[int]) -> None:
    assert evenly_spaced(count, wanted) == indices


def test_classes_have_the_colours_of_the_data_set() -> None:
    dataset = Striped()
    assert colours(TRUTH, dataset)[0].tolist() == [*map(list, dataset.palette[:3]), list(VOID_COLOUR)]


def test_only_wrong_pixels_with_a_truth_are_red() -> None:
    prediction = np.zeros_like(TRUTH)
    row = errors(Striped().image(0), TRUTH, prediction)[0].tolist()
    assert row[1:] == [list(WRONG), list(WRONG), list(VOID_COLOUR)]
    assert len(set(row[0])) == 1  # grey


def test_the_legend_names_what_is_seen() -> None:
    patches = legend_of(Striped(), np.unique(TRUTH))
    assert [patch.get_label() for patch in patches] == ["sky", "sea", "sand", "ignored"]


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "p.png", Striped(), {0: TRUTH, 2: np.full_like(TRUTH, 3)})
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        two = picture.height
    with Image.open(write_pictures(path, Striped(), {1: TRUTH})) as picture:
        assert picture.height < two
    with pytest.raises(UserError, match="cannot write"):
        write_pictures(tmp_path / "none" / "p.png", Striped(), {0: TRUTH})
    assert [file.name for file in tmp_path.iterdir()] == ["p.png"]
