from collections.abc import Callable
from pathlib import Path

import pytest

from ctxbench.errors import UserError
from ctxbench.measure.between_runs import recall, remember
from ctxbench.measure.folder import Plan, Settings
from ctxbench.measure.survey import checked
from ctxbench.subject.case import Case


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_was_found_out_is_known_in_that_environment_and_in_no_other(tmp_path: Path) -> None:
    here, elsewhere = {"torch": "2.13.0", "threads": 2}, {"torch": "2.13.0", "threads": 1}
    assert recall(here) is None
    remember(here, 0.05, tmp_path)
    remember(here, 0.02, tmp_path)
    assert (recall(here), recall(elsewhere)) == (0.02, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"between_runs": -1}', '{"between_runs": "little"}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = remember({"threads": 2}, 0.05, tmp_path)
    path.write_text(text)
    with pytest.raises(UserError, match=rf"{path} is damaged: .*; remove it"):
        recall({"threads": 2})


def test_a_run_takes_it_with_it(case: Callable[..., Case], tmp_path: Path) -> None:
    plan = Plan((case("Steady"),), Settings(counters=()))
    before = checked(plan)
    remember(before.environments["cpu"], 0.03, tmp_path)
    assert before.between_runs == {}
    assert checked(plan).between_runs == {"cpu": 0.03}
