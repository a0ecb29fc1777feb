from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import record, records, rounds, write_run

from ctxbench.errors import UserError
from ctxbench.report.comparison.compare import compare_runs


def slowed(module: str, factor: float):
    own = record(module)
    return replace(own, rounds_ms=[[factor * ms for ms in samples] for samples in own.rounds_ms])


def test_a_run_against_itself_is_the_same(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", records()), write_run(tmp_path / "b", records())
    found = compare_runs(str(a), b, threshold=0.05)
    assert {d.verdict for d in found.differences} == {"SAME"}
    assert (len(found.differences), found.exit_code, found.environment) == (8, 0, [])


def test_a_slower_case_fails_the_comparison(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [record("emau"), record("afnb")])
    b = write_run(tmp_path / "b", [slowed("emau", 1.3), slowed("afnb", 0.7)])
    found = compare_runs(a, b, threshold=0.05)
    assert [d.verdict for d in found.differences] == ["SLOWER", "FASTER"]
    assert found.differences[0].ratio == pytest.approx(1.3)
    assert found.exit_code == 1
    assert "SLOWER" in str(found)
    assert "1.300" in str(found)


def test_noise_is_not_a_verdict(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [record("emau", rounds_ms=rounds(50, seed=1, spread=0.6, count=5))])
    b = write_run(tmp_path / "b", [record("emau", rounds_ms=rounds(55, seed=2, spread=0.6, count=5))])
    found = compare_runs(a, b, threshold=0.05)
    assert found.differences[0].verdict == "UNCLEAR"
    assert found.exit_code == 0


def test_cases_only_one_run_has_are_listed_and_nothing_in_common_is_3(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", [record("emau")]), write_run(tmp_path / "b", [record("emau", 32, 32)])
    found = compare_runs(a, b)
    assert (len(found.alone["A"]), len(found.alone["B"]), found.exit_code) == (1, 1, 3)
    assert "nothing was compared" in str(found)
    assert "Only in A: emau" in str(found)


def test_a_case_that_was_never_timed_compares_nothing(tmp_path: Path) -> None:
    bare = record("emau", rounds_ms=[])
    found = compare_runs(write_run(tmp_path / "a", [bare]), write_run(tmp_path / "b", [bare]))
    assert found.differences[0].verdict == "NOT MEASURED"
    assert found.exit_code == 3


def test_a_case_that_broke_fails_the_comparison(tmp_path: Path) -> None:
    broken = record("emau", status="crashed", reason="signal 11", rounds_ms=[])
    a, b = write_run(tmp_path / "a", [record("emau")]), write_run(tmp_path / "b", [broken])
    found = compare_runs(a, b)
    assert found.exit_code == 1
    assert found.differences[0].reason == "crashed in B: signal 11"


def test_other_software_is_flagged(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [record("emau")])
    b = write_run(tmp_path / "b", [record("emau")], torch="2.14.0")
    assert compare_runs(a, b).environment == ["cpu: torch 2.13.0+cpu in A, 2.14.0 in B"]


def test_the_smallest_difference_that_could_be_told_is_said_of_each_case_and_of_all(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [record("emau", rounds_ms=rounds(50, seed=1)), record("afnb")])
    b = write_run(tmp_path / "b", [record("emau", rounds_ms=rounds(50, seed=2)), slowed("afnb", 1.3)])
    found = compare_runs(a, b)
    smallest = [d.smallest_told for d in found.differences]
    for difference, share in zip(found.differences, smallest, strict=True):
        # the ratio at which one end of an interval as wide as this one would touch 1
        down, up = difference.lo / difference.ratio, difference.hi / difference.ratio
        assert min((1 + share) * down, (1 + share) / up) == pytest.approx(1)
    low, high = (f"{100 * share:.2g}" for share in sorted(smallest))
    assert f"the smallest difference that could be told is {low} to {high} %" in found.headline
    assert f"could be told is {low} to {high} % by case" in " ".join(str(found).split())
    assert list(found.to_frame()["smallest_told_pct"]) == pytest.approx([100 * share for share in smallest])


def test_what_two_runs_differ_by_though_nothing_did_is_in_the_intervals_where_it_is_known(
    tmp_path: Path,
) -> None:
    a = write_run(tmp_path / "a", [record("emau")])
    calibrated = write_run(tmp_path / "b", [slowed("emau", 1.03)], between_runs=0.04)
    less = write_run(tmp_path / "c", [record("emau")], between_runs=0.02)
    bare = write_run(tmp_path / "d", [slowed("emau", 1.03)])
    told, known, larger = (
        compare_runs(*two, threshold=0.01) for two in ((a, bare), (a, calibrated), (less, calibrated))
    )
    assert told.differences[0].verdict == "SLOWER"
    assert "The intervals lack what two runs on cpu may differ by" in " ".join(str(told).split())
    for found in (known, larger):
        assert found.between_runs == {"cpu": 0.04}
        assert found.differences[0].verdict == "UNCLEAR"
        assert found.differences[0].ratio == told.differences[0].ratio
        assert found.differences[0].smallest_told > 0.04
        assert "The intervals hold the 4.0 % by which two runs on cpu may differ" in " ".join(
            str(found).split()
        )


def test_a_negative_threshold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 or more"):
        compare_runs(tmp_path, tmp_path, threshold=-0.1)
