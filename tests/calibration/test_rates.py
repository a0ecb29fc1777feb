"""Rates of verdicts in closed form, and on runs whose every latency is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ctxbench.calibration.rates import ALL, Rate, between_runs, clopper_pearson, pairs, rates, real_ratio
from ctxbench.calibration.repeated import Repeated
from ctxbench.calibration.runs import ADDED_PCT, SIZES, Spec
from ctxbench.calibration.sheet import Calibration, write_calibration
from ctxbench.measure.folder import Run
from ctxbench.measure.records import Record

RNG = np.random.default_rng
ENVIRONMENT = {"torch": "2.13.0+cpu", "cpu": "Synthetic CPU", "threads": 2}


def run(seed: int, offset: float = 0.0, cost: float = 1.0) -> Run:
    """A run as it would be where time is proportional to work, or to its ``cost``-th power.

    Samples scatter by 1 % within rounds and by 0.3 % between them, and every process by ``offset``.
    """
    rng, records = RNG(seed), []
    for case in Spec().plan().cases:
        level = case.channels * (case.options["times"] / 100) ** cost * np.exp(offset * rng.normal())
        logs = 0.003 * rng.normal(size=(10, 1)) + 0.01 * rng.normal(size=(10, 30))
        records.append(Record(case, rounds_ms=(level * np.exp(logs)).tolist(), environment=ENVIRONMENT))
    return Run(Spec().plan(), records)


@given(st.integers(1, 400), st.data())
def test_clopper_and_pearsons_interval_holds_what_the_binomial_tails_do_not_rule_out(
    of: int, data: st.DataObject
) -> None:
    told = data.draw(st.integers(0, of))
    low, high = clopper_pearson(told, of)
    assert 0 <= low <= told / of <= high <= 1
    assert told == 0 or binom.sf(told - 1, of, low) == pytest.approx(0.025, rel=1e-6)
    assert told == of or binom.cdf(told, of, high) == pytest.approx(0.025, rel=1e-6)


def test_clopper_and_pearsons_interval_in_closed_form_at_its_ends() -> None:
    assert clopper_pearson(0, 204) == (0.0, pytest.approx(1 - 0.025 ** (1 / 204)))
    assert clopper_pearson(9, 9) == (pytest.approx(0.025 ** (1 / 9)), 1.0)


def test_two_runs_give_every_pair_of_equal_cases_and_every_added_share_twice() -> None:
    found = pairs([run(1), run(2), run(3)])  # the third has no partner yet
    per_size = {pct: 4 if pct == 0 else 2 for pct in ADDED_PCT}
    for size in SIZES:
        assert {p: sum(f.size == size and f.added_pct == p for f in found) for p in ADDED_PCT} == per_size
    for pair in found:
        a, b = pair.by_rounds.a.case, pair.by_rounds.b.case
        less, more = a.options["times"], b.options["times"]
        assert less == more if pair.added_pct == 0 else (less, more) == (100, 100 + pair.added_pct)
        assert a.shape == b.shape
    assert {pair.couple for pair in found} == {0}


def rated(runs: list[Run]) -> dict[tuple[str, int], Rate]:
    return {(rate.size, rate.added_pct): rate for rate in rates(pairs(runs), runs)}


def wanted(of: int) -> float:
    """The most false alarms that may be: the level and two standard errors."""
    return 0.05 + 2 * (0.05 * 0.95 / of) ** 0.5


def test_where_processes_differ_by_nothing_rounds_alone_keep_the_level() -> None:
    runs = [run(seed) for seed in range(16)]
    of = rated(runs)
    equal = of[ALL, 0]
    assert len(equal.pairs) == 8 * 12
    assert equal.share_by_rounds <= wanted(96)
    assert equal.share <= wanted(96)  # type: ignore[operator]
    assert between_runs(pairs(runs)) < 0.004  # type: ignore[operator]
    assert of[ALL, 5].share == of[ALL, 10].share == of[ALL, 10].beyond_threshold == 1
    assert of[ALL, 0].beyond_threshold == 0


def test_what_processes_differ_by_is_found_out_and_keeps_the_level() -> None:
    """As on the machine of reports/calibration: a process is off by 1 %, its rounds scatter by less."""
    runs = [run(seed, offset=0.01) for seed in range(34)]
    of = rated(runs)
    equal = of[ALL, 0]
    assert len(equal.pairs) == 204
    assert equal.share_by_rounds > 0.4
    assert equal.share <= wanted(204)  # type: ignore[operator]
    assert between_runs(pairs(runs)) == pytest.approx(1.96 * 2**0.5 * 0.01, rel=0.25)
    assert of[ALL, 5].share >= 0.9  # type: ignore[operator]


def test_a_share_is_of_all_pairs_or_not_given() -> None:
    """Of the third couple, of which one run has just begun, the others say enough; of the first two not."""
    begun = run(6)
    lost = [replace(record, status="interrupted", rounds_ms=[]) for record in begun.records[4:]]
    runs = [*map(run, range(1, 6)), Run(begun.plan, [*begun.records[:4], *lost])]
    judged = {pair.couple: pair.found is not None for pair in pairs(runs)}
    assert judged == {0: False, 1: False, 2: True}
    equal = rated(runs)[ALL, 0]
    assert len(equal.pairs) == 12 + 12 + 4
    assert (equal.told, equal.share, equal.interval, equal.smallest_told) == (None, None, None, None)


def test_what_runs_differ_by_is_not_said_of_too_few() -> None:
    runs = [run(1), run(2), run(3), run(4)]
    assert between_runs(pairs(runs[:2])) is None  # of 12 pairs
    assert between_runs(pairs(runs)) is not None  # of 24
    assert all(pair.found is None for pair in pairs(runs))  # the other couple alone has 12
    assert "too few other pairs" in str(Calibration(tuple(runs)))


def test_the_real_ratio_is_that_of_the_work_and_its_interval_holds_it() -> None:
    runs = [run(seed, cost=0.9) for seed in range(30)]
    runs[4] = run(4, cost=9.0)  # which somebody disturbed
    for size in SIZES:
        for pct in ADDED_PCT[1:]:
            ratio, low, high = real_ratio(runs, size, pct)  # type: ignore[misc]
            assert low < ratio < high
            assert ratio == pytest.approx((1 + pct / 100) ** 0.9, abs=0.003)
    assert real_ratio(runs[:5], "small", 5) is None
    _, low, high = real_ratio(runs[:6], "small", 5)  # type: ignore[misc]
    medians = [[r.latency.median_ms for r in run.records[:3]] for run in runs[:6]]
    within = [more / plain for plain, _, more in medians]  # type: ignore[operator]
    assert (low, high) == (min(within), max(within))  # which miss the median in 2 of 64


def test_a_case_that_was_not_measured_is_in_no_pair() -> None:
    a, b = run(1), run(2)
    lost = replace(b.records[0], status="oom", reason="no memory", rounds_ms=[])
    found = pairs([a, Run(b.plan, [lost, *b.records[1:]])])
    assert len(found) == len(pairs([a, b])) - 4  # as one of two equal ones, and as what nothing was added to


def test_the_files_hold_every_pair_and_the_table(tmp_path: Path) -> None:
    found = Calibration((run(1), run(2)))
    csv, md = write_calibration(tmp_path, found)
    assert len(csv.read_text().splitlines()) == 1 + 3 * (4 + 3 * 2)
    assert "False alarms" in md.read_text()
    assert "small: 1×16×8×8, 17 ms" in md.read_text()
    assert "5 % more work found in 100.0 % by the rounds alone, of 6 pairs" in " ".join(repr(found).split())
    assert "nothing to compare" in repr(Calibration(()))
    assert "No two runs" in str(Calibration(()))


def test_a_unit_more_is_the_same_work_once_more() -> None:
    x = torch.randn(2, 8, 5, 6)
    few, more = Repeated(8, 3), Repeated(8, 4)
    more.load_state_dict(few.state_dict())
    calls = []
    for block in (few, more):
        with torch.profiler.profile() as seen:
            block(x)
        calls.append(sum(event.count for event in seen.key_averages() if event.key == "aten::matmul"))
    assert calls == [3, 4]
    torch.testing.assert_close(few(x), more(x), rtol=0, atol=0)
    assert (few(x) >= 0).all()
    with pytest.raises(ValueError, match="1 or more"):
        Repeated(8, 0)
