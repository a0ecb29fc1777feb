"""The largest batch that fits some memory: found by traces, kept in the plan, measured, or said why not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbench.errors import UserError
from ctxbench.measure import session, survey
from ctxbench.measure.folder import Plan, Settings, read_run
from ctxbench.measure.process import CaseFailedError
from ctxbench.measure.records import Fit
from ctxbench.measure.worker.fit import Peak, largest_batch, search
from ctxbench.subject.case import Case
from ctxbench.subject.cases import cases

MOST = 10**7
MakeCase = Callable[..., Case]

RELU = Case("torch.nn:ReLU", 4, 2, 5, implementation="single")
JUMP = st.integers(1, 5000)
PEAKS: st.SearchStrategy[Callable[[int], int]] = st.one_of(
    st.builds(lambda a, b: lambda n: a + b * n, st.integers(0, 10**6), st.integers(1, 10**4)),
    st.builds(lambda a, b: lambda n: -(-(a + b * n) // 512) * 512, st.integers(0, 9999), st.integers(1, 999)),
    st.builds(
        lambda a, b: lambda n: max(a + b * n, 3 * b * n - a), st.integers(0, 10**6), st.integers(1, 999)
    ),
    st.builds(lambda b, k: lambda n: b * n if n < k else 5 * b * n + 7, st.integers(1, 999), JUMP),
    st.builds(lambda b: lambda n: b * n * n, st.integers(1, 99)),
)
"""Peaks as they grow: on a line, in blocks, on two lines, with a jump, faster than a line."""


@settings(max_examples=60)
@given(PEAKS, st.integers(1, 10**7))
def test_what_is_found_fits_and_one_more_does_not(peak: Callable[[int], int], memory: int) -> None:
    found = search(peak, f"fit:{memory}B", MOST)
    if found.batch is None:
        assert found.status == "oom"
        assert peak(1) > memory
        assert found.reason.startswith(f"no batch fits {memory}B: N = 1 is predicted to take ")
        return
    assert (found.peak_bytes, found.next_bytes) == (peak(found.batch), peak(found.batch + 1))
    assert peak(found.batch) <= memory < peak(found.batch + 1)


@given(st.integers(0, 10**6), st.integers(1, 10**4), st.integers(3, MOST - 1))
def test_on_a_line_four_traces_do(a: int, b: int, batch: int) -> None:
    asked: list[int] = []

    def peak(n: int) -> Peak:
        asked.append(n)
        return a + b * n

    found = search(peak, f"fit:{a + b * batch}B", MOST)
    assert found == Fit((f"fit:{a + b * batch}B",), batch, a + b * batch, a + b * (batch + 1))
    assert len(asked) == len(set(asked)) <= 4


@given(st.integers(0, 9), st.integers(2, 10**5))
def test_where_the_block_fails_beyond_a_batch_that_is_the_largest(slope: int, last: int) -> None:
    asked: list[int] = []

    def peak(n: int) -> Peak:
        asked.append(n)
        return slope * n if n <= last else f"no {n}"

    found = search(peak, "fit:1GiB", MOST)
    assert (found.batch, found.next_bytes, found.next_reason) == (last, None, f"no {last + 1}")
    assert len(asked) < 60


def test_a_batch_of_one_that_cannot_be_counted_is_left_to_two() -> None:
    def peak(n: int) -> Peak:
        return 100 * n if n > 1 else "one value"

    assert search(peak, "fit:1KB", MOST).batch == 10
    assert (
        search(peak, "fit:150B", MOST).reason == "no batch fits 150B: N = 2 is predicted to take 0.000191 MiB"
    )
    assert search(peak, "fit:1KB", 1).reason == "no batch was found that fits 1KB: one value"
    nothing = search(lambda n: f"no {n}", "fit:1KB", MOST)
    assert (nothing.status, nothing.reason) == ("error", "no batch was found that fits 1KB: no 1")


@pytest.mark.parametrize("slope", [0, 1])
def test_memory_that_limits_no_batch_is_a_row_with_that_reason(slope: int) -> None:
    found = search(lambda n: slope * n, "fit:1e30GiB", MOST)
    assert (found.batch, found.status) == (None, "error")
    assert found.reason.startswith(
        f"1e30GiB limits no batch: N = {MOST}, the most that an input of less than"
    )


def test_the_peak_is_of_the_cases_own_conditions() -> None:
    """A ReLU makes one map, and its backward pass the gradient beside it; nothing else lives."""
    case = replace(RELU, fit="fit:10KiB")
    image = 4 * 2 * 5 * 4
    for changed, each in (
        (case, image),
        (replace(case, mode="train"), 2 * image),
        (replace(case, dtype="float64"), 2 * image),
        (replace(case, mode="train", dtype="bfloat16"), image),
    ):
        found = largest_batch(changed, lambda: None)
        n = 10 * 1024 // each
        assert (found.batch, found.peak_bytes, found.next_bytes) == (n, n * each, (n + 1) * each)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The search without a process of its own; the cases that were searched."""
    searched: list[Case] = []

    def asked(case: Case, timeout_s: float, method: str) -> Fit:
        searched.append(case)
        if case.channels == 7:
            raise CaseFailedError("crashed", "it left")
        return largest_batch(case, lambda: None)

    monkeypatch.setattr(survey, "_asked", asked)
    return searched


def test_a_plan_has_the_batches_that_were_found_each_case_once(here: list[Case]) -> None:
    batches = [{"batch": 3}, *({"fit": fit} for fit in ("fit:500B", "fit:10KiB", "fit:10300B", "fit:9B"))]
    grid = [
        replace(RELU, **batch, runtime=runtime)  # type: ignore[arg-type]
        for batch in batches
        for runtime in ("eager", "onnxruntime")
    ]
    plan = survey._fitted(Plan(tuple(grid)), lambda case: None)
    assert [(case.batch, case.fit, case.runtime) for case in plan.cases] == [
        (batch, fit, runtime)
        for batch, fit in ((3, ""), (64, ""), (1, "fit:9B"))
        for runtime in ("eager", "onnxruntime")
    ]
    assert len(here) == 4, "runtimes share what is found"
    assert {case.runtime for case in here} == {"eager"}
    eager = [plan.fits[case.id] for case in plan.cases if case.runtime == "eager"]
    assert [(fit.memory, fit.batch) for fit in eager] == [
        (("fit:500B",), 3),
        (("fit:10KiB", "fit:10300B"), 64),
        (("fit:9B",), None),
    ]


def test_a_search_that_dies_costs_its_own_row(here: list[Case]) -> None:
    grid = [replace(RELU, channels=channels, fit="fit:1KiB") for channels in (4, 7)]
    plan = survey._fitted(Plan(tuple(grid)), lambda case: None)
    assert [case.fit for case in plan.cases] == ["", "fit:1KiB"]
    lost = plan.fits[plan.cases[1].id]
    assert (lost.status, lost.reason) == ("crashed", "no batch was found: it left")


def test_a_case_without_a_batch_is_a_row_that_is_never_run(
    here: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(session, "WorkerProcess", no_process)
    plan = survey._fitted(Plan((replace(RELU, fit="fit:9B"),)), lambda case: None)
    (row,) = session.measure_plan(plan, tmp_path / "run").records
    assert (row.status, row.reason) == ("oom", "no batch fits 9B: N = 1 is predicted to take 0.000153 MiB")
    assert row.rounds_ms == []
    assert row.fit == plan.fits[row.case.id]
    assert read_run(tmp_path / "run").records == [row]
    assert Plan.read(tmp_path / "run") == plan


def test_a_run_without_such_batches_is_written_as_before() -> None:
    values = json.loads(json.dumps(Plan((RELU,)).to_json()))
    assert "fits" not in values
    assert "fit" not in values["cases"][0]


@pytest.mark.slow
def test_a_batch_is_found_measured_and_kept_when_the_run_goes_on(case: MakeCase, tmp_path: Path) -> None:
    quick = Settings(budget_s=0.1, timeout_s=20.0, counters=())
    wanted = [case("Steady", fit="fit:4812B"), case("Pooled", mode="train", fit="fit:64KiB")]
    found = session.measure_cases(wanted, settings=quick, out=tmp_path / "run").records
    steady, pooled = found
    # five maps of 960 bytes, and what adding a number takes beside its result
    assert steady.fit == Fit(("fit:4812B",), 5, 4812, 5772)
    assert (steady.case.batch, steady.peak_pred_bytes) == (5, 4812)
    assert steady.alloc_bytes is not None
    assert 4800 <= steady.alloc_bytes <= 4812
    assert pooled.fit is not None, "though one image cannot be trained on"
    assert pooled.case.batch == pooled.fit.batch
    assert pooled.alloc_bytes is not None
    assert pooled.alloc_bytes <= 65536 < (pooled.fit.next_bytes or 0)
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "records.jsonl").write_text(lines[0])
    again = session.resume_run(tmp_path / "run").records
    assert [(r.case, r.fit, r.status) for r in again] == [(r.case, r.fit, "ok") for r in found]


def test_bad_memory_is_one_line() -> None:
    for text in ("fit:", "fit:512", "fit:-1MiB", "fit:0B", "fit:1e999GiB", "fit:MiB", "fit:5 parsecs"):
        with pytest.raises(UserError, match="a batch fits a positive number and a unit") as refused:
            cases("se", batch=text)
        assert repr(text) in str(refused.value)
