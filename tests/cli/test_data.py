"""The verbs about data sets as a user types them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ctxbench.data import DATASETS

Cli = Callable[..., tuple[int, str, str]]


def test_data_list_names_each_data_set_with_its_source(cli: Cli) -> None:
    code, out, _ = cli("data", "list")
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == list(DATASETS)
    assert {info.source for info in DATASETS.values() if info.source} <= {line.strip() for line in lines}


def test_data_check_counts_a_whole_data_set(cli: Cli) -> None:
    code, out, err = cli("data", "check", "folder", "data", "--split", "val", "--picture", "seen.png")
    assert (code, err) == (0, "")
    assert "folder val: 3 samples, none bad" in out
    assert all(name in out for name in ("sky", "sea", "sand"))
    assert "Samples drawn to seen.png." in out
    with Image.open("seen.png") as picture:
        assert picture.width > 0


def test_data_check_names_a_bad_sample_and_exits_2(cli: Cli, tmp_path: Path) -> None:
    for kind, size in {"images": (6, 8, 3), "masks": (6, 7)}.items():
        (tmp_path / kind / "val").mkdir(parents=True)
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / kind / "val" / "a.png")
    (tmp_path / "classes.txt").write_text("sky\nsea\n")
    code, out, err = cli("data", "check", "folder", str(tmp_path), "--split", "val")
    assert code == 2
    assert "folder val: 1 samples, 1 " in out
    assert "a.png" in err
    assert err.count("\n") == 1


def test_an_unknown_data_set_is_one_line(cli: Cli) -> None:
    code, _, err = cli("data", "check", "sift")
    assert code == 2
    assert "'sift'" in err
    assert err.count("\n") == 1
