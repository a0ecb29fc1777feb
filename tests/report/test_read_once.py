"""A run that was just measured is in memory: nothing reads it back, and its tables are laid out once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from blocks import case  # noqa: F401  a fixture

import ctxbench
from ctxbench.measure.folder import Plan
from ctxbench.report import run as module
from ctxbench.subject.case import Case


def test_a_profile_is_not_read_back_and_is_laid_out_once(
    case: Callable[..., Case],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counting(*arguments: object) -> object:
            done.append(name)
            return call(*arguments)

        return counting

    monkeypatch.setattr(Plan, "read", counted("read", Plan.read))
    monkeypatch.setattr(module, "grids", counted("laid out", module.grids))
    run = ctxbench.profile(
        case("Good").module, channels=8, sizes=[(6, 5)], budget_s=0.05, counters=(), out=tmp_path / "run"
    )
    assert "Good" in str(run)
    assert (tmp_path / "run" / "table.md").exists()
    assert done == ["laid out"]
    assert ctxbench.load_run(tmp_path / "run").records == run.records
    assert done == ["laid out", "read"]
