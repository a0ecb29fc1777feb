"""The verb sweep as a user types it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]
Refused = Callable[..., str]

SWEEP = ("sweep", "emau", "reconet", "--channels", "8", "--values", "4,8,16")


def test_sweep_prints_a_table_and_writes_nothing_unasked(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(*SWEEP) == 0
    told = capsys.readouterr().out
    assert all(title in told for title in ("EMAUnit", "TGM+TRM", "claimed O(rCHW)", "as claimed"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("axis", ["height", "width", "channels", "batch", "rank"])
def test_every_axis_reaches_the_cases(run: Run, axis: str, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = () if axis == "channels" else ("--channels", "8")
    values = ("--values", "2,4,8", "--size", "8", "--csv", "-")
    assert run("sweep", "reconet", "--axis", axis, *fixed, *values) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["axis"] for row in rows} == {axis}
    assert rows[0]["x"] == "2 4 8"


def test_sweep_with_latency_writes_a_folder_that_can_be_gone_on_with(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    measure = ("--latency", "--budget", "0.02", "--out", "swept")
    assert run("sweep", "emau", "--channels", "8", "--values", "2,3,4", *measure) == 0
    assert {"records.jsonl", "sweep.csv", "sweep.png"} <= {p.name for p in (tmp_path / "swept").iterdir()}
    first = capsys.readouterr().out
    assert run("sweep", "--resume", "swept") == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("sweep", "emau"), "give the values of the axis"),
        (("sweep", "emau", "--values", "4,8"), "needs 3 values of size"),
        (("sweep", "emau", "--size", "8", "--values", "4,8,16"), "leave out --size"),
        (
            ("sweep", "emau", "--axis", "channels", "--channels", "8", "--values", "4,8,16"),
            "leave out --chan",
        ),
        (("sweep", "emau", "--axis", "batch", "--batch", "8", "--values", "4,8,16"), "leave out --batch"),
        (("sweep", "emau", "--axis", "threads", "--values", "1,2,4"), "ask for the latency too"),
        (("sweep", "emau", "--axis", "rank", "--values", "4,8,16"), "has no option 'rank'"),
        (("sweep", "emau", "--axis", "height", "--values", "4,x"), "whole numbers"),
        (("sweep", "emau", "--values", "4,8,16", "--budget", "1"), "give --latency too"),
        (("sweep", "emau", "--values", "4,8,16", "--csv", "-", "--md", "-"), "not --csv and --md"),
        (("sweep", "--values", "4,8", "--resume", "nowhere"), "leave out --values"),
        (("sweep", "--resume", "nowhere"), "holds no run"),
    ],
)
def test_nonsense_is_one_line_and_code_2(refused: Refused, arguments: tuple[str, ...], why: str) -> None:
    assert why in refused(*arguments)
