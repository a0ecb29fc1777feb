"""The verbs decode and sweep as a user types them."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.blocks import C, H, W

from ctxbench.cli import main

Run = Callable[..., int]

SWEEP = ("sweep", "emau", "reconet", "--channels", "8", "--values", "4,8,16")
SMALL = ("--channels", "8", "--size", "6x5")

BLOCKS = Path(__file__).parents[1] / "audit" / "blocks.py"
OF_BLOCKS = ("--channels", str(C), "--size", f"{H}x{W}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["ctxbench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    return call


def test_decode_prints_the_fits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    macs = 2 * 8 * 8 * 30 + 7 * 8 * 4 * 30
    assert run("decode", "emau", f"{macs / 1000}K", *SMALL, "-o", "bases=4") == 0
    told = capsys.readouterr().out
    assert "MACs of convolutions and matrix products (K = 10³)" in told
    assert "0 deviations" in told
    assert "the published form with bases=4" in told


def test_decode_exports_every_fit(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", "emau", "0.01M", "0.1MB", *SMALL, "--csv", "-") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["kind"] for row in rows} == {"both", "FLOPs", "memory"}


def test_decode_of_a_users_file_finds_a_number_that_was_cut_off(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain MACs are 216.384 K, which round to 216.4."""
    assert run("decode", f"{BLOCKS}:Small", "216.3K", *OF_BLOCKS) == 0
    assert "1. 216.384 K (1 deviation; cut off, not rounded;" in capsys.readouterr().out


def test_decode_of_a_users_file_tells_the_plain_count_beside_fits_by_chance(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("decode", f"{BLOCKS}:Small", "215K", *OF_BLOCKS) == 0
    told = capsys.readouterr().out
    assert told.index("216.384 K (+0.64 %; 0 deviations)") < told.index("1. 215.040 K (5 deviations; 0.")
    assert "expected by chance, so may be chance)" in told


def test_decode_tells_the_nearest_by_ratio_first(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 82 K without the products, a third of what is printed, and with them 557 K, twice as much."""
    assert run("decode", f"{BLOCKS}:Affinity", "250K", *OF_BLOCKS) == 0
    nearest = next(re.finditer(r"^  (?:1\.|–) (\S+) K", capsys.readouterr().out, re.MULTILINE))
    assert 250 < float(nearest[1]) < 600


def test_sweep_prints_a_table_and_writes_nothing_unasked(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(*SWEEP) == 0
    told = capsys.readouterr().out
    assert all(title in told for title in ("EMAUnit", "TGM+TRM", "claimed O(rCHW)", "as claimed"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("axis", ["height", "width", "channels", "rank"])
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
        (("decode", "emau", "19.33"), "no printed number with a unit"),
        (("decode", "emau", "99999999999999999999G", *SMALL), "over 1000 times off from all that can be"),
        (("decode", "emua", "1G"), "did you mean emau"),
        (("decode", "emau", "1G", "--size", "3x"), "takes 64 or 64x48 (H x W), not '3x'"),
        (("sweep", "emau"), "give the values of the axis"),
        (("sweep", "emau", "--values", "4,8"), "needs 3 values of size"),
        (("sweep", "emau", "--size", "8", "--values", "4,8,16"), "leave out --size"),
        (
            ("sweep", "emau", "--axis", "channels", "--channels", "8", "--values", "4,8,16"),
            "leave out --chan",
        ),
        (("sweep", "emau", "--axis", "rank", "--values", "4,8,16"), "has no option 'rank'"),
        (("sweep", "emau", "--axis", "height", "--values", "4,x"), "whole numbers"),
        (("sweep", "emau", "--values", "4,8,16", "--budget", "1"), "give --latency too"),
        (("sweep", "emau", "--values", "4,8,16", "--csv", "-", "--md", "-"), "not --csv and --md"),
        (("sweep", "--values", "4,8", "--resume", "nowhere"), "leave out --values"),
        (("sweep", "--resume", "nowhere"), "holds no run"),
    ],
)
def test_nonsense_is_one_line_and_code_2(
    run: Run, arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said.splitlines()) == 1
