"""What a grid of cells is begun with: checked once, before anything is written or computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from ctxbench.errors import UserError
from ctxbench.measure.folder import Plan
from ctxbench.study import cells
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.frozen import grid
from ctxbench.study.frozen.spec import StudyPlan
from ctxbench.subject.case import Case

CASES = tuple(Case(module, 128, 16, 16, implementation="single") for module in ("se", "cam", "se"))


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("it was asked for in vain")


@pytest.mark.parametrize("name", ["study.json", "run.json"])
def test_a_folder_that_is_taken_is_refused_before_all_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("{}")
    monkeypatch.setattr(cells, "checked", never)
    monkeypatch.setattr(grid, "features", never)
    with pytest.raises(UserError, match="already holds "):
        grid.study(StudyPlan(CASES), tmp_path)


def test_modules_are_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Plan] = []

    def kept(plan: Plan, progress: Any) -> Plan:
        seen.append(plan)
        return plan

    monkeypatch.setattr(cells, "checked", kept)
    monkeypatch.setattr(cells.session, "measure_plan", lambda plan, out, progress: (plan, out))
    plan = cells.check(CASES, tmp_path, "study.json", ("ctxbench", "study"))
    assert not list(tmp_path.iterdir())
    assert plan.cases == CASES[:2]
    assert plan.command == ("ctxbench", "study")
    assert cells.cost(CASES, tmp_path, plan.command, plan=plan) == (plan, tmp_path / "cost")
    assert len(seen) == 1
    cells.cost(CASES, tmp_path, plan.command)  # of a grid that was killed before its costs were begun
    assert len(seen) == 2


def test_a_study_goes_on_with_its_own_images_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells.begin(tmp_path, PLAN, StudyPlan(CASES))
    (tmp_path / grid.FEATURES).write_text(json.dumps({"folder": "/cache/features/one"}))
    monkeypatch.setattr(grid, "features", lambda source, show: {"folder": "/elsewhere/other"})
    with pytest.raises(UserError, match="was begun with other images, masks or weights"):
        grid.resume(tmp_path)
