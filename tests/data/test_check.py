import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ctxbench.cli.app import main
from ctxbench.data import DATASETS, IGNORE, open_dataset
from ctxbench.data.check import check_dataset, readable, sample_picture
from ctxbench.data.dataset import Subset
from ctxbench.errors import UserError


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """Seven samples, of which each but two has something wrong with it."""
    for stem in ("good", "fine", "short", "small", "range", "lost", "text"):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(np.array([[0, 1, 1, IGNORE]], np.uint8)).save(tmp_path / kind / f"{stem}.png")
    (tmp_path / "classes.txt").write_text("ground\nfigure\n")
    Image.new("L", (4, 2)).save(tmp_path / "masks/small.png")
    Image.new("L", (4, 1), 2).save(tmp_path / "masks/range.png")
    (tmp_path / "masks/lost.png").unlink()
    (tmp_path / "masks/text.png").write_text("no picture")
    (tmp_path / "images/short.png").write_bytes((tmp_path / "images/good.png").read_bytes()[:45])
    return tmp_path


def test_check_names_every_bad_sample_and_counts_the_pixels_of_the_good(spoilt: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = check_dataset(
        open_dataset("folder", spoilt, "all"), lambda done, total: seen.append((done, total))
    )
    assert {found.dataset.stem(index): error.problem for index, error in found.problems} == {
        "lost": "missing", "range": "label out of range", "short": "unreadable", "small": "sizes differ",
        "text": "unreadable",
    }  # fmt: skip
    assert found.pixels.tolist() == [2, 4, 2]
    assert found.expected is None
    assert found.summary.startswith(
        "folder all: 7 samples, 1 missing, 1 label out of range, 2 unreadable, 1 sizes"
    )
    assert seen == [(done, 7) for done in range(1, 8)]


def test_what_is_ignored_is_a_share_of_all_pixels_and_a_class_of_those_labelled(spoilt: Path) -> None:
    check = check_dataset(open_dataset("folder", spoilt, "all"))
    frame = check.to_frame()
    assert frame["class"].tolist() == ["ground", "figure", "ignored"]
    assert frame["number"].tolist() == [0, 1, pd.NA]
    assert frame["pixels"].tolist() == [2, 4, 2]
    assert frame["share_pct"].tolist() == pytest.approx([100 * 2 / 6, 100 * 4 / 6, 100 * 2 / 8])
    assert frame["mask_values"].tolist() == ["0", "1", "255"]
    table = check.table()
    assert [(column.header, column.justify) for column in table.columns] == [
        ("", "right"), ("class", "left"), ("pixels", "right"), ("share %", "right"), ("in the masks", "left"),
    ]  # fmt: skip
    assert [list(column.cells)[-1] for column in table.columns] == ["", "ignored", "2", "25.00 of all", "255"]


def test_a_table_says_nothing_of_values_that_masks_do_not_have(spoilt: Path) -> None:
    check = check_dataset(open_dataset("folder", spoilt, "all"))
    check.dataset.mask_values = lambda: [""] * 3  # type: ignore[method-assign]
    assert [column.header for column in check.table().columns] == ["", "class", "pixels", "share %"]
    nothing = replace(check, samples=())
    assert [next(iter(column.cells)) for column in nothing.table().columns] == ["0", "ground", "0", ""]
    assert nothing.to_frame()["share_pct"].isna().all()


def test_readable_leaves_out_the_bad_samples(spoilt: Path) -> None:
    dataset, bad = readable(open_dataset("folder", spoilt, "all"))
    assert [dataset.stem(index) for index in range(len(dataset))] == ["fine", "good"]
    assert bad == ["lost", "range", "short", "small", "text"]


def test_a_set_of_bad_samples_alone_is_refused(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"1 samples, 1 unreadable, so nothing is left; the first: .*a\.png"):
        readable(open_dataset("folder", tmp_path, "all"))


def test_the_authors_count_stands_beside_what_is_there(voc12: Path) -> None:
    found = check_dataset(open_dataset("voc12", voc12, "val"))
    assert found.expected == 1449
    assert (len(found.dataset), len(found.good)) == (445, 1)  # the tests unpack one of them
    assert "445 samples (the authors' split has 1449), 444 missing" in found.summary


def test_samples_are_drawn_with_their_classes_colours(spoilt: Path) -> None:
    dataset, _ = readable(open_dataset("folder", spoilt, "all"))
    sample_picture(dataset, spoilt / "samples.png", n=1)
    with Image.open(spoilt / "samples.png") as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    blend = (0.35 * 1 + 0.65 * np.array(dataset.palette[1])).astype(np.uint8)
    assert (colours == blend).all(axis=1).any()
    with pytest.raises(UserError, match="has no sample to draw"):
        sample_picture(Subset(dataset, []), spoilt / "none.png")
    with pytest.raises(UserError, match="cannot write"):
        sample_picture(dataset, spoilt / "nowhere" / "samples.png")
    with pytest.raises(UserError, match=r"cannot write .*: Not a directory"):
        sample_picture(dataset, spoilt / "classes.txt" / "samples.png")
    sample_picture(dataset, spoilt / "samples.xyz", n=1)
    with Image.open(spoilt / "samples.xyz") as picture:
        assert picture.format == "PNG"


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`ctxbench data …` in this process: its exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ctxbench", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return command


def test_the_command_shows_the_table_then_a_line_for_each_bad_sample(
    spoilt: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run("check", "folder", spoilt, "--split", "all", "--picture", spoilt / "samples.png")
    assert code == 2
    assert re.search(r"1 . figure\s+.\s+4 .\s+66\.67", out)
    assert len(err.splitlines()) == 5
    assert all(line.startswith(f"ctxbench: {spoilt}") for line in err.splitlines())
    assert (spoilt / "samples.png").stat().st_size > 1000
    for stem in ("lost", "range", "short", "small", "text"):
        for kind in ("images", "masks"):
            (spoilt / kind / f"{stem}.png").unlink(missing_ok=True)
    code, _, err = run("check", "folder", spoilt, "--split", "all")
    assert (code, err) == (0, "")


def test_the_command_names_so_many_bad_samples_and_counts_the_rest(
    voc12: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run("check", "voc12", voc12)  # the two splits one trains and evaluates on
    assert code == 2
    assert "voc12 train: 437 samples" in out
    assert "voc12 val: 445 samples" in out
    assert len(err.splitlines()) == 2 * 21
    assert err.splitlines()[20] == "ctxbench: and 416 more samples of train"


def test_the_command_ends_in_one_line_where_there_is_no_data_set(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run("check", "sift_flow", tmp_path)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"ctxbench: no SIFT-Flow in .*: looked for .*; get it from http\S+\n", err)


def test_the_list_says_where_to_get_each(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert all(name in out and info.source in out for name, info in DATASETS.items())
    assert "mean IoU × 59/60 is printed as 60 classes by PyTorch-Encoding" in out  # pascal_context59


def write(
    root: Path, split: str, stem: str, image: np.ndarray, mask: np.ndarray, suffix: str = ".png"
) -> None:
    for kind, pixels in (("images", image), ("masks", mask)):
        path = root / split / kind / f"{stem}{suffix if kind == 'masks' else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def noise(seed: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def two_halves(first: int, second: int, side: int = 16) -> np.ndarray:
    return np.repeat(np.array([first, second], np.uint8), side // 2)[None].repeat(side, 0)


def test_the_command_shows_what_the_values_mean(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    for split, seed in (("train", 0), ("val", 1)):
        write(tmp_path, split, "a", noise(seed), two_halves(0, 255))
    (tmp_path / "classes.txt").write_text("ground\nfigure\n")
    code, out, err = run("check", "folder", tmp_path)
    assert (code, err) == (0, "")
    assert "Masks: classes.txt names the values 0, 255, in this order." in out
    assert re.search(r"1 . figure\s+.\s+128 .\s+50\.00 . 255 ", out)
    assert "Warning" not in out


def test_the_command_refuses_what_can_be_read_in_two_ways(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    mask = two_halves(0, 255)
    mask[3, 3] = 1
    write(tmp_path, "train", "a", noise(0), mask)
    code, out, err = run("check", "folder", tmp_path, "--split", "train")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "'255 figure', or '255 ignored'" in err


def test_the_command_warns_of_classes_without_a_pixel(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    write(tmp_path, "train", "a", noise(0), two_halves(0, 2))
    write(tmp_path, "val", "b", noise(1), two_halves(0, 1))
    (tmp_path / "classes.txt").write_text("sky\nsea\nsand\nland\n")
    code, out, _ = run("check", "folder", tmp_path)
    assert code == 0
    assert "Warning: folder train: no pixel of sea, land." in out
    assert "Warning: folder val: no pixel of sand, land." in out


def test_the_command_warns_of_samples_in_two_splits(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    write(tmp_path, "train", "a", noise(0), two_halves(0, 1))
    write(tmp_path, "train", "b", noise(1), two_halves(0, 1))
    write(tmp_path, "val", "other name", noise(1), two_halves(0, 1))
    _, out, _ = run("check", "folder", tmp_path)
    assert "Warning: folder: 1 images of val are in train too: other name is b." in out
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text("b\n")  # the same file
    assert "1 images of val are in train too: b is b." in run("check", "folder", tmp_path)[1]


def test_the_command_warns_of_lossy_masks(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    write(tmp_path, "train", "a", noise(0), two_halves(0, 1), ".webp")
    _, out, _ = run("check", "folder", tmp_path, "--split", "train")
    assert "1 lossy masks (JPEG, or WebP's lossy kind)" in out


def test_the_command_warns_of_12_bits_in_16(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    grey = noise(0)[..., 0].astype(np.uint16) * 16  # 0 to 4080
    write(tmp_path, "train", "a", grey, two_halves(0, 1))
    _, out, _ = run("check", "folder", tmp_path, "--split", "train")
    assert "1 images of 16 bits use 16 of 256 grey levels (12 bits in 16?)" in out
    write(tmp_path, "train", "a", grey * 16, two_halves(0, 1))
    assert "16 bits" not in run("check", "folder", tmp_path, "--split", "train")[1]


def test_the_command_warns_of_turned_images_whose_masks_fit_either_way(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path, "train", "a", noise(0), two_halves(0, 1))
    Image.fromarray(noise(0)).save(tmp_path / "train/images/a.png", exif=exif)
    _, out, _ = run("check", "folder", tmp_path, "--split", "train")
    assert "EXIF data turn 1 images whose masks would fit unturned too, such as a" in out
    Image.fromarray(two_halves(0, 1)).save(tmp_path / "train/masks/a.png", exif=exif)
    assert "EXIF" not in run("check", "folder", tmp_path, "--split", "train")[1]


def test_the_command_allows_larger_images(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "train", "a", noise(0), two_halves(0, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setenv("CTXBENCH_MAX_PIXELS", "")
    code, _, err = run("check", "folder", tmp_path, "--split", "train")
    assert code == 2
    assert "CTXBENCH_MAX_PIXELS" in err
    assert run("check", "folder", tmp_path, "--split", "train", "--max-pixels", 256)[0] == 0
