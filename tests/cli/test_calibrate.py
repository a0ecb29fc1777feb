"""The verb calibrate as a user types it."""

import csv
import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.test_interrupt import started

from ctxbench.measure import stats
from ctxbench.report.comparison.compare import compare_runs

Refused = Callable[..., str]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to one process are POSIX")
def test_an_interrupted_calibration_goes_on_and_its_table_is_what_compare_says_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    process = started(tmp_path, "calibrate", "--pairs", "1", "--budget", "0.05", "--out", "out")
    first = tmp_path / "out" / "001" / "records.jsonl"
    while process.poll() is None and not (first.exists() and first.read_text().count("\n") >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, said = process.communicate()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "ctxbench: interrupted; go on with: ctxbench calibrate --resume out"
    assert "No two runs are measured yet" in told
    kept = first.read_text().splitlines()
    assert 2 <= len(kept) < 12

    process = started(tmp_path, "calibrate", "--resume", "out")
    told, said = process.communicate()
    assert process.returncode == 0, said
    assert first.read_text().splitlines()[: len(kept)] == kept
    assert "false alarms" in told.lower()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "calibration.csv").read_text())))
    assert [sum(row["added_pct"] == pct for row in rows) for pct in ("0", "2", "5", "10")] == [12, 6, 6, 6]
    differences = compare_runs(tmp_path / "out" / "001", tmp_path / "out" / "002").differences
    assert all(difference.ratio for difference in differences)
    compared = {(d.case.channels, d.case.options["times"]): d for d in differences}
    for channels, size in (("16", "small"), ("48", "middle"), ("96", "large")):
        for row in rows:
            if (row["size"], row["added_pct"]) == (size, "0"):
                same = compared[int(channels), int(row["a_units"])]
                alone = [
                    float(row[name]) for name in ("ratio", "ratio_ci_lo_by_rounds", "ratio_ci_hi_by_rounds")
                ]
                rounds = min(same.a.latency.rounds, same.b.latency.rounds)
                together = stats.simultaneous(*alone, rounds, len(differences))
                assert (same.ratio, same.lo, same.hi) == pytest.approx(together)
                assert row["verdict"] == ""  # of two runs alone nobody can say what runs differ by


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--out", "full"), "already holds a calibration: go on with it by --resume"),
        (("--resume", "broken"), "calibration.json is damaged"),
    ],
)
def test_a_calibration_that_is_there_is_neither_written_over_nor_guessed_at(
    refused: Refused, arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    for name, text in (("full", '{"pairs": 3}'), ("broken", '{"pairs": "three"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "calibration.json").write_text(text)
    assert why in refused("calibrate", *arguments)
