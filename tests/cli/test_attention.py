"""The verb attention as a user types it, on a run whose network has random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


def test_attention_is_drawn_over_an_image_with_its_truth(cli: Cli, place: Path) -> None:
    code, out, _ = cli("attention", "run", "data/images/val/0.png", "--truth", "data/masks/val/0.png")
    assert code == 0
    assert out.strip() == "run/attention/0.png"
    assert (place / "run/attention/0.png").stat().st_size > 1000
    code, out, _ = cli("attention", "run", "data/images/val/2.png", "--ranks", "3,17", "--out", "a/b.png")
    assert (code, out.strip()) == (0, "a/b.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bare", "data/images/val/0.png"), "no module with sub-attention maps"),
        (("run", "data/images/val/0.png", "--ranks", "64"), "no sub-attention map 64"),
        (("run", "data/images/val/9.png"), "9.png is missing"),
        (("run", "data/classes.txt"), "classes.txt cannot be read"),
        (("run", "data/images/val/0.png", "--truth", "data/masks/val/2.png"), "is 50x90, the image 66x70"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = cli("attention", *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
