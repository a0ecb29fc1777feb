"""What is to be trained, checked before anything starts."""

import shutil
from pathlib import Path

import pytest
from tiny import TINY, tiny_folder

from ctxbench.errors import UserError
from ctxbench.train.config import configure
from ctxbench.train.job import Job


@pytest.mark.parametrize(
    ("missing", "settings", "said"),
    [
        ("val", {}, r"val.*; for another split set eval_split=train"),
        ("train", {}, r"train.*; for another split set train_split=val"),
        ("val", {"eval_split": "nosuch"}, r"has no split 'nosuch'.*; for another split set eval_split=train"),
    ],
)
def test_a_split_that_is_not_there_names_the_setting_for_another(
    missing: str, settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    root = tiny_folder(tmp_path / "data")
    for kind in ("images", "masks"):
        shutil.rmtree(root / kind / missing)
    with pytest.raises(UserError, match=said) as error:
        Job.prepare(configure(TINY, {"root": str(root)}, settings))
    assert "\n" not in str(error.value)


def test_a_data_set_that_is_not_there_names_no_split(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Job.prepare(configure(TINY, {"root": str(tmp_path / "nowhere")}))
    assert "_split" not in str(error.value)
