"""What the values of masks mean: decided for the whole set, or refused with the lines that decide."""

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from ctxbench.data import IGNORE, SegmentationSet, open_dataset
from ctxbench.errors import UserError

SIDE = 32


def halves(first: Any, second: Any, *spots: Any) -> np.ndarray:
    """A mask of two values, and ``spots`` of one pixel each."""
    mask = np.empty((SIDE, SIDE, *np.shape(first)), np.uint16 if np.max([first, second]) > 255 else np.uint8)
    mask[:, : SIDE // 2], mask[:, SIDE // 2 :] = first, second
    for place, value in enumerate(spots):
        mask[5 * place, 3] = value
    return mask


def folder(root: Path, *masks: Any, **lists: str) -> Path:
    """A data set of these masks, and files such as ``classes`` (classes.txt)."""
    for name, mask in enumerate(masks):
        picture = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", picture.size).save(root / f"images/{name}.png")
        picture.save(root / f"masks/{name}.png")
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(text)
    return root


def labels(dataset: SegmentationSet, index: int = 0) -> list[int]:
    """The labels of the left and the right half."""
    mask = dataset.mask(index)
    return [int(mask[-1, 0]), int(mask[-1, -1])]


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as raised:
        open_dataset("folder", root, "all")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def lines_named(message: str) -> list[str]:
    return re.findall(r"'([^']+)'", message)


@pytest.mark.parametrize(
    ("masks", "text", "classes", "expected"),
    [
        # masks, class list, classes, labels of the halves
        ([halves(0, 255)], "ground\nfigure\n", ("ground", "figure"), [0, 1]),
        ([halves(0, 0), halves(255, 255)], "ground\nfigure\n", ("ground", "figure"), [0, 0]),
        ([halves(0, 128)], "ground\nfigure\n", ("ground", "figure"), [0, 1]),
        ([halves(1, 2)], "ground\nfigure\n", ("ground", "figure"), [0, 1]),
        ([halves(0, 128)], None, ("0", "128"), [0, 1]),
        ([halves(1, 2)], None, ("1", "2"), [0, 1]),
        ([halves(0, 255)], None, ("0", "255"), [0, 1]),
        ([halves(0, 1), halves(2, 255)], None, ("0", "1", "2"), [0, 1]),
        ([halves(85, 170), halves(0, 170)], None, ("0", "85", "170"), [1, 2]),
        ([halves(0, 1000)], None, ("0", "1000"), [0, 1]),
        ([halves(0, 1000)], "ground\nfigure\n", ("ground", "figure"), [0, 1]),
        ([halves(0, 128), halves(0, 255)], "a\nb\nc\n", ("a", "b", "c"), [0, 1]),
        ([halves(1, 3), halves(2, 255)], "a\nb\nc\n", ("a", "b", "c"), [0, 2]),  # counted from 1
        ([halves(0, 2), halves(1, 255)], "a\nb\nc\n", ("a", "b", "c"), [0, 2]),  # counted from 0
        ([halves(0, 255)], "0 ground\n255 figure\n", ("ground", "figure"), [0, 1]),
        ([halves(0, 255)], "255 figure\n0 ground\n", ("figure", "ground"), [1, 0]),
        ([halves(7, 255)], "0-127 ground\n128-255 figure\n", ("ground", "figure"), [0, 1]),
        ([halves(3, 255)], "3 figure\n* ignored\n", ("figure",), [0, IGNORE]),
        ([halves(3, 9)], "3 figure\n* ground\n", ("figure", "ground"), [0, 1]),
        ([halves(3, 9)], "3 figure\n9 ignored\n", ("figure",), [0, IGNORE]),
    ],
)
def test_the_meaning_of_values(
    tmp_path: Path, masks: Sequence[Any], text: str | None, classes: tuple[str, ...], expected: list[int]
) -> None:
    dataset = open_dataset("folder", folder(tmp_path, *masks, **({"classes": text} if text else {})), "all")
    assert dataset.classes == classes
    assert labels(dataset) == expected
    assert dataset.meaning
    dataset.encode(dataset.mask(0)).save(tmp_path / "prediction.png")
    assert np.array_equal(dataset.decode(tmp_path / "prediction.png"), dataset.mask(0))


@pytest.mark.parametrize(
    ("masks", "text", "written"),
    [
        # masks, class list, lines that the refusal must name
        ([halves(0, 255, 1)], None, ["0 class0", "255 figure", "255 ignored"]),
        ([halves(0, 0, 3, 255)], None, ["255 figure", "255 ignored"]),
        ([halves(0, 255, 254)], None, ["0-127 background", "128-255 figure"]),
        ([halves(0, 255, 1)], "ground\nfigure\n", ["0 ground", "255 ignored"]),
        ([halves(0, 128), halves(0, 255)], None, ["128 class128", "255 figure", "255 ignored"]),
        ([halves(0, 1), halves(0, 255)], "a\nb\nc\n", ["0 a", "1 b", "255 c", "255 ignored"]),
        ([halves(255, 255)], None, ["255 figure", "255 ignored"]),
        ([halves(2, 255)], "a\nb\n", ["2 class2", "255 a", "255 ignored"]),
        ([halves(1, 255, 127)], "a\nb\n", ["0-128 a", "129-255 b"]),
        ([halves(1, 2)], "a\nb\nc\n", ["0 a", "1 b", "2 c", "1 a", "2 b", "3 c"]),
        ([halves(0, 1), halves(0, 7)], "a\nb\nc\n", ["0 a", "1 b", "7 c", "* ignored"]),
        ([halves(0, 1), halves(0, 2)], "a\nb\n", ["0 a", "1 b", "* ignored"]),
        ([halves(0, 2), halves(1, 2)], "a\nb\n", ["0 ignored", "1 a", "2 b"]),
        ([halves(0, 5)], "0 a\n1 b\n", ["0 a", "1 b", "* ignored"]),
    ],
)
def test_two_open_readings_are_refused_with_the_lines_that_decide(
    tmp_path: Path, masks: Sequence[Any], text: str | None, written: list[str]
) -> None:
    root = folder(tmp_path, *masks, **({"classes": text} if text else {}))
    if written[-1] == "* ignored" and text == "a\nb\n":
        written = ["0 ignored", "1 a", "2 b"]  # 0 to 2 for two names: one value has none
    message = refusal(root)
    assert str(root / "classes.txt") in message
    assert {*written} <= {*lines_named(message)}
    values = {}  # the lines as they are named, the last of two for one value
    for line in lines_named(message):
        values[line.partition(" ")[0]] = line
    (root / "classes.txt").write_text("\n".join([*values.values(), *["* ignored"] * ("*" not in values)]))
    if not np.equal(masks[0], IGNORE).all():
        assert open_dataset("folder", root, "all").mask(0).shape == (SIDE, SIDE)


def soft_disc(low: int, high: int, how: str) -> Image.Image:
    big = Image.new("L", (4 * 64, 4 * 64), low)
    ImageDraw.Draw(big).ellipse((40, 40, 200, 200), fill=high)
    if how == "jpeg":
        content = BytesIO()
        big.resize((64, 64), Image.Resampling.NEAREST).save(content, "JPEG", quality=75)
        return Image.open(content)
    if how == "blurred":
        return big.resize((64, 64), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(1))
    resample = {"resized": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}[how]
    return big.resize((64, 64), resample)


@pytest.mark.parametrize("how", ["resized", "blurred", "lanczos", "jpeg"])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 128), (255, 0), (50, 200)])
@pytest.mark.parametrize("text", [None, "ground\nfigure\n"])
def test_soft_edges_are_no_classes(tmp_path: Path, how: str, low: int, high: int, text: str | None) -> None:
    lists = {"classes": text} if text else {}
    root = folder(tmp_path, soft_disc(low, high, how), soft_disc(low, high, how), **lists)
    message = refusal(root)
    assert "lie along edges only" in message
    lines = lines_named(message)
    assert len(lines) == 2
    (root / "classes.txt").write_text("\n".join(lines))
    dataset = open_dataset("folder", root, "all")
    assert dataset.classes == (("ground", "figure") if text else ("background", "figure"))
    assert np.unique(dataset.mask(0)).tolist() == [0, 1]
    sharp = np.asarray(soft_disc(low, high, how)) > (low + high) // 2
    assert np.array_equal(dataset.mask(0) == 1, sharp)


def test_so_many_soft_values_are_refused_whatever_their_share(tmp_path: Path) -> None:
    steps = np.kron(np.random.default_rng(0).integers(0, 7, (8, 8)) * 42, np.ones((12, 12))).astype(np.uint8)
    message = refusal(folder(tmp_path, Image.fromarray(steps).filter(ImageFilter.GaussianBlur(2))))
    assert "lie along edges only" in message


@settings(max_examples=40)
@given(
    count=st.integers(2, 40), seed=st.integers(0, 1000), void=st.booleans(), noise=st.booleans(),
    start=st.integers(0, 1),
)  # fmt: skip
def test_classes_counted_up_are_themselves(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, void: bool, noise: bool, start: int
) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(start, start + count, (24, 24)).astype(np.uint8)
    numbers.ravel()[:count] = range(start, start + count)
    mask = numbers if noise else np.kron(numbers, np.ones((4, 4), np.uint8))
    if void:
        mask[-3:] = IGNORE
    dataset = open_dataset("folder", folder(tmp_path_factory.mktemp("counted"), mask), "all")
    assert dataset.classes == tuple(map(str, range(start, start + count)))
    assert np.array_equal(dataset.mask(0), np.where(mask == IGNORE, IGNORE, mask - start))


def with_palette(mask: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(mask)
    picture.putpalette([part for colour in colours for part in colour])
    return picture


RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)
LISTS = {
    "labelmap": "ground:0,0,0::\ncat:255,0,0::\ndog:0,255,0::\n",
    "classes": "0,0,0 ground\n255,0,0 cat\n0,255,0 dog\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_palette_in_another_order_than_the_lists_is_read_by_colour(tmp_path: Path, kind: str) -> None:
    masks = (with_palette(halves(1, 2), BLACK, GREEN, RED), with_palette(halves(0, 2), RED, BLACK, GREEN))
    dataset = open_dataset("folder", folder(tmp_path, *masks, **{kind: LISTS[kind]}), "all")
    assert [labels(dataset, index) for index in (0, 1)] == [[2, 1], [1, 2]]
    dataset.encode(dataset.mask(0)).save(tmp_path / "prediction.png")
    assert np.array_equal(dataset.decode(tmp_path / "prediction.png"), dataset.mask(0))


def test_class_dict_csv_states_colours(tmp_path: Path) -> None:
    root = folder(tmp_path, halves(RED, BLACK))
    (root / "class_dict.csv").write_text("name,r,g,b\nurban,255,0,0\nunknown,0,0,0\n")
    dataset = open_dataset("folder", root, "all")
    assert (dataset.classes, labels(dataset)) == (("urban", "unknown"), [0, 1])


def test_roboflows_list_states_values(tmp_path: Path) -> None:
    root = folder(tmp_path, halves(0, 2))
    (root / "train").mkdir()
    (root / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    dataset = open_dataset("folder", root, "all")
    assert (dataset.classes, labels(dataset)) == (("background", "cat", "dog"), [0, 2])


def test_black_and_white_of_one_channel_are_the_lists_colours(tmp_path: Path) -> None:
    root = folder(tmp_path, halves(0, 255), labelmap="figure:255,255,255::\nground:0,0,0::\n")
    assert labels(open_dataset("folder", root, "all")) == [1, 0]


def test_a_palette_without_the_lists_colours_is_read_by_number(tmp_path: Path) -> None:
    root = folder(
        tmp_path, with_palette(halves(1, 2), BLACK, (1, 2, 3), (4, 5, 6)), labelmap=LISTS["labelmap"]
    )
    assert labels(open_dataset("folder", root, "all")) == [1, 2]


def test_lines_that_state_values_go_before_a_labelmap(tmp_path: Path) -> None:
    root = folder(tmp_path, halves(0, 255), labelmap="a:1,2,3\nb:4,5,6\nc:7,8,9\n")
    lines = lines_named(refusal(root))
    (root / "classes.txt").write_text("\n".join(line for line in lines if line != "255 ignored"))
    assert labels(open_dataset("folder", root, "all")) == [0, 1]


def test_palettes_made_anew_for_each_file_are_refused(tmp_path: Path) -> None:
    masks = (with_palette(halves(0, 1), BLACK, RED), with_palette(halves(1, 2), GREEN, BLACK, RED))
    message = refusal(folder(tmp_path, *masks))
    assert "the colour 0,0,0 has the index 0 or 1" in message
    (tmp_path / "classes.txt").write_text(LISTS["classes"])
    dataset = open_dataset("folder", tmp_path, "all")
    assert [labels(dataset, index) for index in (0, 1)] == [[0, 1], [0, 1]]


def test_255_in_the_colour_of_vocs_borders_is_ignored(tmp_path: Path) -> None:
    colours = [BLACK] * 256
    colours[1], colours[255] = RED, (224, 224, 192)
    root = folder(tmp_path, with_palette(halves(0, 255), *colours), classes="ground\nfigure\n")
    assert labels(open_dataset("folder", root, "all")) == [0, IGNORE]


def test_palettes_that_decorate_are_read_by_index(tmp_path: Path) -> None:
    masks = (with_palette(halves(0, 1), BLACK, RED), with_palette(halves(0, 1), BLACK, GREEN))
    assert labels(open_dataset("folder", folder(tmp_path, *masks), "all"), 1) == [0, 1]


def test_colours_with_soft_edges_are_refused(tmp_path: Path) -> None:
    picture = Image.merge(
        "RGB", [soft_disc(0, 255, "resized"), Image.new("L", (64, 64)), Image.new("L", (64, 64))]
    )
    message = refusal(folder(tmp_path, picture))
    lines = lines_named(message)
    assert lines[-1] == "* ignored"
    (tmp_path / "classes.txt").write_text("\n".join(lines))
    dataset = open_dataset("folder", tmp_path, "all")
    assert len(dataset.classes) == 2
    assert np.unique(dataset.mask(0)).tolist() == [0, 1, IGNORE]


def test_colours_that_a_list_lacks_are_refused(tmp_path: Path) -> None:
    message = refusal(
        folder(tmp_path, halves((9, 9, 8), (9, 9, 8)), halves(RED, (9, 9, 8)), labelmap=LISTS["labelmap"])
    )
    assert "mostly 9,9,8" in message
    assert "'NAME:9,9,8', or 'ignored:*'" in message
    (tmp_path / "labelmap.txt").write_text(LISTS["labelmap"] + "ignored:*\n")
    assert labels(open_dataset("folder", tmp_path, "all"), 1) == [1, IGNORE]


def test_colours_beside_names_alone_are_refused(tmp_path: Path) -> None:
    assert "begin each line with one, '0,255,0 a'" in refusal(
        folder(tmp_path, halves(GREEN, GREEN), classes="a\nb\n")
    )


def test_a_value_beyond_the_list_in_one_mask_is_that_masks_fault(tmp_path: Path) -> None:
    dataset = open_dataset(
        "folder", folder(tmp_path, *[halves(0, 1)] * 4, halves(0, 7), classes="a\nb\n"), "all"
    )
    with pytest.raises(UserError, match=r"4\.png: label 7 stands for no class"):
        dataset.mask(4)


def test_0_to_the_number_of_names_is_refused_where_the_last_is_rare(tmp_path: Path) -> None:
    masks = [halves(0, 1)] * 8 + [halves(0, 2)] * 8 + [halves(0, 3)] * 2
    message = refusal(folder(tmp_path, *masks, classes="a\nb\nc\n"))
    assert lines_named(message) == ["0 ignored", "1 a", "2 b", "3 c"]


def jpeg(root: Path, suffix: str) -> Path:
    root = folder(root, halves(0, 255))
    (root / "masks/0.png").unlink()
    soft_disc(0, 255, "resized").resize((SIDE, SIDE)).save(root / f"masks/0{suffix}", format="JPEG")
    return root


@pytest.mark.parametrize("suffix", [".jpg", ".png"])  # also where the name says otherwise
def test_masks_saved_as_jpeg_need_ranges(tmp_path: Path, suffix: str) -> None:
    root = jpeg(tmp_path, suffix)
    message = refusal(root)
    assert "is a mask saved as JPEG" in message
    (root / "classes.txt").write_text("\n".join(lines_named(message)))
    assert {*np.unique(open_dataset("folder", root, "all").mask(0)).tolist()} == {0, 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 a\n0 b\n", "the value 0 of 'b' is that of 'a' too"),
        ("5-2 a\n", "'5-2 a' is no range of values"),
        ("70000 a\n", "'70000 a' is no range of values from 0 to 65535"),
        ("0 a\n1,2,3 b\n", "states values for some classes and colours for others"),
        ("* a\n* b\n", "'*' stands for the rest, in one line only"),
        ("1,2,3 a\n4,5,6 a\n", "'a' has two colours"),
        ("1,2,300 a\n", r"the colour \(1, 2, 300\) of 'a' is none"),
    ],
)
def test_a_class_list_that_contradicts_itself_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert re.search(message, refusal(folder(tmp_path, halves(0, 1), classes=text)))


def test_a_name_in_two_lines_has_the_values_of_both(tmp_path: Path) -> None:
    root = folder(tmp_path, halves(3, 9), halves(1, 9), classes="1 a\n3 a\n9 b\n")
    dataset = open_dataset("folder", root, "all")
    assert (dataset.classes, labels(dataset), labels(dataset, 1)) == (("a", "b"), [0, 1], [0, 1])
    assert dataset.mask_values() == ["1, 3", "9", "255"]


def test_the_meaning_is_the_same_for_every_split(tmp_path: Path) -> None:
    for split, mask in (("train", halves(0, 128)), ("val", halves(0, 0))):
        folder(tmp_path / split, mask)
    for split in ("train", "val"):
        assert open_dataset("folder", tmp_path, split).classes == ("0", "128")
