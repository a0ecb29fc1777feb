from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ctxbench.data.dataset import IGNORE, Subset, colormap
from ctxbench.data.file_set import FileSet, Pair, class_list
from ctxbench.data.paths import read_list
from ctxbench.data.readers.ade20k import SceneParsing
from ctxbench.data.reading import (
    BadSampleError,
    LabelRangeError,
    MissingFileError,
    SizesDifferError,
    UnreadableFileError,
    read_image,
)


def numbered(name: str) -> FileSet:
    codes, names = class_list(name)
    return SceneParsing(name, "val", [], names, codes=codes, void=(0,))


SETS: dict[str, FileSet] = {
    "voc12": FileSet("voc12", "val", [], [str(label) for label in range(21)]),
    "pascal_context59": FileSet("pascal_context59", "val", [], ["x"] * 59, codes=range(1, 60), void=(0,)),
    "coco_stuff": numbered("coco_stuff"),
    "ade20k": numbered("ade20k"),
    "sift_flow": numbered("sift_flow"),
    "binary": FileSet("folder", "all", [], ["0", "255"], codes=(0, 255), void=(254,)),
}


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=15)
@given(data=st.data())
def test_decoding_what_was_encoded_gives_it_back(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dataset = SETS[name]
    labels = st.one_of(st.integers(0, len(dataset.classes) - 1), st.just(IGNORE))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    truth = data.draw(arrays(np.uint8, shape, elements=labels))
    path = tmp_path_factory.getbasetemp() / f"{name}.png"
    dataset.encode(truth).save(path)
    assert np.array_equal(dataset.decode(path), truth)


def test_predictions_are_in_the_servers_values(tmp_path: Path) -> None:
    labels = np.array([[0, 149, IGNORE]], np.uint8)
    picture = SETS["ade20k"].encode(labels)
    assert picture.mode == "L"
    assert np.array_equal(picture, [[1, 150, 0]])
    assert SETS["voc12"].encode(labels[:, :1]).mode == "P"


def test_a_mask_in_colours_is_read_by_the_palette(tmp_path: Path) -> None:
    SETS["voc12"].encode(np.array([[0, 20, IGNORE]], np.uint8)).convert("RGB").save(tmp_path / "m.png")
    assert SETS["voc12"].decode(tmp_path / "m.png").tolist() == [[0, 20, IGNORE]]


def test_the_palette_begins_with_vocs_colours() -> None:
    assert colormap(256)[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert colormap(256)[20] == (0, 64, 128)
    assert len(set(colormap(256))) == 256


def mask_of(values: list[list[int]]) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(np.array(values, np.uint8)).save(path)


def cut_short(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 21, (64, 64), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:700])


def in_floats(path: Path) -> None:
    Image.fromarray(np.full((1, 2), 0.5, np.float32)).save(path, format="TIFF")


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda path: None, MissingFileError, r"a\.png is missing"),
        (lambda path: path.write_text("git-lfs"), UnreadableFileError, r"a\.png cannot be read: "),
        (cut_short, UnreadableFileError, r"a\.png cannot be read: OSError"),
        (in_floats, UnreadableFileError, r"a\.png holds no labels: .* whole numbers"),
        (mask_of([[0], [0]]), SizesDifferError, r"a\.png is 2x1 \(H x W\) but its image .*a\.jpg is 1x2"),
        (mask_of([[0, 21]]), LabelRangeError, r"a\.png: label 21 stands for no class of voc12,.* 0 to 20"),
        (mask_of([[[0, 0, 0], [9, 8, 7]]]), LabelRangeError, r"a\.png: colour \[9, 8, 7\] stands"),
    ],
)  # fmt: skip
def test_a_bad_mask_is_named(
    tmp_path: Path, write: Callable[[Path], None], error: type[BadSampleError], message: str
) -> None:
    image, mask = tmp_path / "a.jpg", tmp_path / "a.png"
    Image.new("RGB", (2, 1)).save(image)
    write(mask)
    dataset = FileSet("voc12", "val", [Pair("a", image, mask)], [str(label) for label in range(21)])
    with pytest.raises(error, match=message) as raised:
        dataset.mask(0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_a_bad_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    dataset = FileSet("voc12", "val", [Pair("a", tmp_path / "a.jpg", None)], ["x"])
    with pytest.raises(UnreadableFileError, match=r"a\.jpg cannot be read"):
        dataset.image(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 5.0", r"a\.mat cannot be read: "),
        (None, r"a\.mat holds no labels: it has none of S, LabelMap"),
    ],
)
def test_a_bad_mat_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    from scipy.io import savemat

    path = tmp_path / "a.mat"
    if content is None:
        savemat(path, {"labels": np.zeros((2, 2))})
    else:
        path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=message):
        SETS["sift_flow"].decode(path)


@pytest.mark.parametrize(
    "content",
    [
        {"S": {"x": 1}},
        {"S": "text"},
        {"S": np.array([[1 + 2j]])},
        {"S": np.array([[{}]], object)},
        {"S": np.full((2, 2), np.nan)},
        {"S": np.zeros((2, 2, 2))},
        {"GTcls": {"Boundaries": 1}},
        {"GTcls": {"Segmentation": "text"}},
        {"GTcls": "text"},
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_mat_file_of_something_else_is_named(tmp_path: Path, content: dict[str, object]) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", content)
    with pytest.raises(UnreadableFileError, match=r"a\.mat holds no labels"):
        SETS["sift_flow"].decode(tmp_path / "a.mat")


def test_grey_images_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (2, 1), 7).save(tmp_path / "a.png")
    picture = FileSet("folder", "all", [Pair("a", tmp_path / "a.png", None)], ["x"]).image(0)
    assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", (7, 7, 7))


def test_a_subset_is_a_data_set_of_some_samples(tmp_path: Path) -> None:
    pairs = [Pair(stem, tmp_path / f"{stem}.png", tmp_path / f"{stem}.png") for stem in "abc"]
    for value, pair in enumerate(pairs):
        Image.new("L", (2, 1), value + 1).save(pair.image)
    whole = SceneParsing("ade20k", "val", pairs, ["x", "y", "z"], codes=(1, 2, 3), void=(0,))
    some = Subset(whole, [2, 0])
    assert [some.stem(index) for index in range(len(some))] == ["c", "a"]
    assert some.mask(0).tolist() == [[2, 2]]
    assert some.image(1).getpixel((0, 0)) == (1, 1, 1)
    some.encode(some.mask(0)).save(tmp_path / "p.png")
    assert np.array_equal(some.decode(tmp_path / "p.png"), some.mask(0))


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("2007_000032", "2007_000032"),
        ("/images/a.jpg /annotations/a.png", "a"),
        (r"scenes\coast_natu975.jpg", "coast_natu975"),
        ("img (1).jpg", "img (1)"),
        ("frame.0001", "frame.0001"),
    ],
)
def test_the_lines_of_a_split(tmp_path: Path, line: str, stem: str) -> None:
    (tmp_path / "train.txt").write_text(f"\n{line}\r\n\n")
    assert read_list(tmp_path / "train.txt") == [stem]


def test_grey_of_16_bits_keeps_its_upper_8(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 255, 256, 30000, 65535]], np.uint16)).save(path)
    assert np.asarray(read_image(path))[0, :, 0].tolist() == [0, 0, 1, 117, 255]
    Image.fromarray(np.array([[0.5]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableFileError, match=r"a\.tif has 32 bits per pixel"):
        read_image(tmp_path / "a.tif")
