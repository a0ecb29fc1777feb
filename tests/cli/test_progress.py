"""Progress without a terminal, by a clock that the test turns."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ctxbench.cli import progress
from ctxbench.cli.app import NOTHING_MEASURED


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


def test_a_single_long_step_is_told_of_too(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress._Lines()
    lines.beat()
    lines("task", 2, 10)
    clock[0] += 20
    lines("task", 4, 10, "the fourth")
    clock[0] += 20  # since the last line, or the start, 40 s have gone; since the last step, 20
    lines.beat()
    lines.beat()
    clock[0] += 60
    lines.beat()
    assert capsys.readouterr().err.splitlines() == [
        "ctxbench: task 4/10, the fourth, 40 s gone, about 40 s left",  # 10 s a step, six steps, 20 s gone
        "ctxbench: task 4/10, the fourth, 1 min 40 s gone",
    ]


def test_what_has_no_known_length_says_how_long_it_takes(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = progress._Lines()
    lines("table9", 0, 0)
    clock[0] += 31
    lines.beat()
    assert capsys.readouterr().err == "ctxbench: table9, 31 s gone\n"


def test_the_display_beats_by_itself_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = threading.Event()
    monkeypatch.setattr(progress._Lines, "beat", lambda self: beats.set())
    before = threading.active_count()
    with progress.display() as show:
        show("task", 0, 10)
        assert beats.wait(60)
    assert threading.active_count() == before


BLOCK = """
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.layer(x)
"""
SMALL = ("--channels", "8", "--size", "6")
LONG = {
    "profile": (
        ("profile", "block.py:Block", *SMALL, "--budget", "0.05", "--counter", "none"),
        "0 of 1 cases",
    ),
    "profile --model": (
        ("profile", "--model", "reconet", "--backbone", "resnet-tiny", "--size", "65"),
        "reconet",
    ),
    "sweep": (
        ("sweep", "block.py:Block", "--values", "4,6,8", "--channels", "8"),
        "1 of 3 cases, count block.py:Block",
    ),
    "decode": (("decode", "block.py:Block", "4.6K", *SMALL), "runs 1/"),
    "paper": (("paper", "table1"), "table1, "),
    "data check": (("data", "check", "synthetic"), "synthetic train"),
}


@pytest.mark.parametrize("verb", LONG)
def test_every_long_verb_says_how_far_it_is(
    verb: str,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With lines as often as there is something to say: what takes minutes says the same now and then."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    (tmp_path / "block.py").write_text(BLOCK)
    arguments, said = LONG[verb]
    assert run(*arguments) in (0, NOTHING_MEASURED)  # of table 1, without a run of ours
    lines = [line for line in capsys.readouterr().err.splitlines() if " gone" in line]
    assert any(said in line for line in lines), lines
    assert all(line.startswith("ctxbench: ") for line in lines)
