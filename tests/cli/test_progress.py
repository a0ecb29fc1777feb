"""Progress without a terminal, by a clock that the test turns."""

import pytest

from ctxbench.cli import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_what_is_left_is_of_the_task_shown(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.display() as show:
        show("first", 0, 100)
        clock[0] += 200
        show("first", 100, 100, line=True)
        show("second", 0, 100)
        clock[0] += 5
        show("second", 10, 100, line=True)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "ctxbench: first 100/100, 3 min 20 s gone",
        "ctxbench: second 10/100, 5 s gone, about 45 s left",
    ]


def test_a_resumed_task_has_the_pace_since(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.display() as show:
        show("training", 200, 300, line=True)
        clock[0] += 10
        show("training", 220, 300, line=True)
    first, second = capsys.readouterr().err.splitlines()
    assert "left" not in first  # nothing was done yet that a pace could be taken from
    assert second == "ctxbench: training 220/300, 10 s gone, about 40 s left"


def test_lines_are_few(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.display() as show:
        for done in range(1000):
            clock[0] += 1.0
            show("task", done, 1000)
    assert len(capsys.readouterr().err.splitlines()) == 1000 // progress.EVERY_S


def test_nothing_is_said_before_half_a_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.display() as show:
        show("task", 0, 10)
        clock[0] += 29
        show("task", 9, 10)
        assert not capsys.readouterr().err
        clock[0] += 1
        show("task", 10, 10)
    assert capsys.readouterr().err == "ctxbench: task 10/10, 30 s gone\n"
