"""Images and masks as they lie in files: turned by EXIF, huge, lossy, with names spelled otherwise."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ctxbench.data import open_dataset
from ctxbench.data.paths import existing
from ctxbench.data.reading import (
    SizesDifferError,
    UnreadableFileError,
    is_lossy,
    open_picture,
    orientation,
    read_image,
    read_labels,
    size_of,
)
from ctxbench.errors import UserError


def exif(value: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = value
    return data


CORNERS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40  # 2 rows, 3 columns, all different


@settings(max_examples=24)
@given(value=st.integers(1, 8), suffix=st.sampled_from([".png", ".tif", ".webp", ".jpg"]))
def test_an_image_is_turned_as_its_exif_data_say(
    tmp_path_factory: pytest.TempPathFactory, value: int, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("exif") / f"a{suffix}"
    stored = Image.fromarray(np.kron(CORNERS, np.ones((16, 16), np.uint8)))
    options = {"lossless": True} if suffix == ".webp" else {}
    stored.convert("RGB").save(path, exif=exif(value), **options)
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    assert orientation(path) == value
    assert size_of(path) == upright.size[::-1] == (48, 32)[:: 1 if value >= 5 else -1]
    assert np.array_equal(read_image(path), upright)


def test_exif_data_after_the_pixels_of_a_png_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(CORNERS).save(path, exif=exif(3))
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    length = int.from_bytes(content[start : start + 4], "big") + 12
    chunk, end = content[start : start + length], content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[start + length : end] + chunk + content[end:])
    assert orientation(path) == 3
    assert np.asarray(read_image(path))[..., 0].tolist() == CORNERS[::-1, ::-1].tolist()


@pytest.mark.parametrize("value", [3, 6, 8])
def test_image_and_mask_turn_each_as_its_own_exif_data_say(tmp_path: Path, value: int) -> None:
    """The mask is drawn on the upright image; saved upright, or as the camera holds it."""
    upright = np.kron(np.array([[0, 1, 1]], np.uint8), np.ones((16, 16), np.uint8))
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[value]
    for stem in ("upright", "camera"):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        Image.fromarray(upright * 200).transpose(back).save(tmp_path / f"images/{stem}.jpg", exif=exif(value))
    Image.fromarray(upright).save(tmp_path / "masks/upright.png")
    Image.fromarray(upright).transpose(back).save(tmp_path / "masks/camera.png", exif=exif(value))
    dataset = open_dataset("folder", tmp_path, "all")
    for index in range(2):
        assert np.array_equal(dataset.mask(index), upright)
        assert np.array_equal(np.asarray(dataset.image(index))[..., 0] > 100, upright)


def test_a_mask_that_was_not_turned_with_its_image_is_named(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    Image.fromarray(CORNERS).save(tmp_path / "images/a.png", exif=exif(6))
    Image.fromarray(CORNERS // 40).save(tmp_path / "masks/a.png")
    with pytest.raises(SizesDifferError, match="EXIF data turn, and the mask fits it unturned: turn"):
        open_dataset("folder", tmp_path, "all").mask(0)


def test_damaged_exif_data_turn_nothing(tmp_path: Path) -> None:
    Image.fromarray(CORNERS).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*" + b"\xff" * 30)
    assert orientation(tmp_path / "a.png") == 1
    assert np.asarray(read_image(tmp_path / "a.png"))[..., 0].tolist() == CORNERS.tolist()


def test_an_image_beyond_pillows_limit_can_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableFileError, match=r"a\.png is too large: .*set CTXBENCH_MAX_PIXELS to"):
        open_picture(tmp_path / "a.png")
    monkeypatch.setenv("CTXBENCH_MAX_PIXELS", "1600")
    assert read_image(tmp_path / "a.png").size == (40, 40)
    monkeypatch.setenv("CTXBENCH_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="CTXBENCH_MAX_PIXELS is 'many': set it to a number of pixels"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "options", "lossy"),
    [
        ("a.jpg", {}, True),
        ("a.png", {"format": "JPEG"}, True),
        ("a.png", {}, False),
        ("a.webp", {"lossless": True}, False),
        ("a.webp", {"quality": 80}, True),
        ("a.webp", {"quality": 80, "icc_profile": b"x" * 9000}, True),
        ("a.webp", {"lossless": True, "icc_profile": b"x" * 9000}, False),
        ("a.bmp", {}, False),
    ],
)
def test_lossy_files_are_known_by_their_content(
    tmp_path: Path, name: str, options: dict[str, object], lossy: bool
) -> None:
    Image.fromarray(CORNERS).convert("RGB").save(tmp_path / name, **options)  # type: ignore[arg-type]
    assert is_lossy(tmp_path / name) is lossy


def test_a_grey_gif_holds_its_greys(tmp_path: Path) -> None:
    values = np.array([[0, 7, 255], [7, 7, 0]], np.uint8)
    Image.fromarray(values).save(tmp_path / "a.gif")
    assert read_labels(tmp_path / "a.gif").tolist() == values.tolist()


@pytest.mark.parametrize(("on_disk", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_that_looks_the_same_is_found(tmp_path: Path, on_disk: str, asked: str) -> None:
    names = [unicodedata.normalize(form, "Straße Ångström é.png") for form in (on_disk, asked)]
    Image.fromarray(CORNERS).save(tmp_path / names[0])
    assert existing(tmp_path / names[1]).name == names[0]
    assert read_image(tmp_path / names[1]).size == (3, 2)
    assert existing(tmp_path / "other.png").name == "other.png"


def test_a_path_too_long_is_one_line(tmp_path: Path) -> None:
    for name in ("folder", "voc12", "coco", "ade20k_full"):
        with pytest.raises(UserError) as raised:
            open_dataset(name, tmp_path / ("x" * 5000), "train")
        assert "\n" not in str(raised.value)
