import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbench.measure import stats

samples = st.lists(st.floats(0.01, 1000), min_size=1, max_size=8)
rounds = st.lists(samples, min_size=stats.MIN_ROUNDS, max_size=12)


def simulate(rng: np.random.Generator, rounds: int, scale: float = 1.0) -> list[list[float]]:
    """Rounds of ten samples around 10 ms: 1 % between rounds, a tail of 2 % within."""
    level = 10 * scale * (1 + 0.01 * rng.normal(size=(rounds, 1)))
    return [list(row) for row in level * (1 + 0.02 * np.abs(rng.normal(size=(rounds, 10))))]


def verdicts(count: int, rounds: int, scale: float, threshold: float = 0.0) -> list[str]:
    rng = np.random.default_rng(7)
    pairs = ((simulate(rng, rounds), simulate(rng, rounds, scale)) for _ in range(count))
    return [stats.verdict(*stats.ratio(a, b), threshold) for a, b in pairs]


def test_the_same_code_is_called_different_no_more_often_than_promised() -> None:
    for count in (5, 15):
        wrong = sum(found != "UNCLEAR" for found in verdicts(150, count, 1.0))
        assert wrong / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5


def test_a_slowdown_of_two_percent_is_found() -> None:
    found = verdicts(100, 20, 1.02)
    assert found.count("SLOWER") >= 90
    assert "FASTER" not in found


def test_the_same_code_is_called_the_same_within_a_threshold() -> None:
    assert verdicts(50, 20, 1.0, threshold=0.05).count("SAME") >= 47


def test_the_interval_covers_the_true_median() -> None:
    rng = np.random.default_rng(3)
    true = 10 * (1 + 0.02 * 0.67449)
    found = [stats.summary(simulate(rng, 12)) for _ in range(200)]
    assert sum(s.lo_ms <= true <= s.hi_ms for s in found) >= 0.91 * 200  # type: ignore[operator]


@settings(max_examples=30)
@given(rounds, st.integers(0, 2**32 - 1))
def test_redrawn_medians_are_those_of_the_samples_that_were_drawn(
    measured: list[list[float]], seed: int
) -> None:
    number = len(measured)
    drawn = np.random.default_rng(seed).multinomial(number, [1 / number] * number, stats._REDRAWS)[:40]
    redrawn = [
        [sample for samples, times in zip(measured, draw, strict=True) for sample in samples * int(times)]
        for draw in drawn
    ]
    found = stats._bootstrap_medians([np.array(samples) for samples in measured], seed)
    assert found[:40] == pytest.approx([np.median(samples) for samples in redrawn], rel=1e-12)


@settings(max_examples=40)
@given(rounds)
def test_a_summary_describes_all_samples(measured: list[list[float]]) -> None:
    flat = np.concatenate(measured)
    found = stats.summary(measured)
    assert (found.n, found.rounds) == (flat.size, len(measured))
    assert found.median_ms == pytest.approx(np.median(flat))
    assert found.iqr_ms == pytest.approx(np.subtract(*np.percentile(flat, (75, 25))))
    assert found.lo_ms is not None
    assert found.hi_ms is not None
    assert flat.min() <= found.lo_ms <= found.hi_ms <= flat.max()
    assert stats.summary([round_ms[::-1] for round_ms in measured]) == found


@settings(max_examples=25)
@given(rounds, rounds, st.floats(0.1, 10))
def test_a_ratio_is_one_of_scale_alone(a: list[list[float]], b: list[list[float]], factor: float) -> None:
    ratio, lo, hi = stats.ratio(a, b)
    scaled = stats.ratio(a, [[factor * ms for ms in round_ms] for round_ms in b])
    assert lo <= hi
    assert scaled == pytest.approx((factor * ratio, factor * lo, factor * hi), rel=1e-6)
    assert stats.ratio(a, a)[0] == 1


def test_processes_that_are_off_by_one_percent_are_not_told_apart_once_that_is_known() -> None:
    """Red by the rounds alone: they share what their process is off by, as on reports/calibration's machine.

    Rounds follow each other (0.3 of the last is in the next), and drift by 0.5 % over a run.
    """
    rng = np.random.default_rng(11)

    def process(scale: float) -> list[list[float]]:
        off, drift, last, rounds = 0.01 * rng.normal(), 0.005 * rng.normal(), 0.0, []
        for number in range(8):
            last = 0.3 * last + 0.008 * rng.normal()
            level = 5 * scale * np.exp(off + drift * (number / 7 - 0.5) + last)
            rounds.append(list(level * (1 + 0.02 * np.abs(rng.normal(size=30)))))
        return rounds

    between_runs = stats.NormalDist().inv_cdf(0.975) * np.hypot(0.01, 0.01)
    equal = [stats.ratio(process(1), process(1)) for _ in range(300)]
    more = [stats.ratio(process(1), process(1.05)) for _ in range(100)]
    most = 300 * (0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5)
    assert sum(stats.verdict(*found) != "UNCLEAR" for found in equal) > 2 * most
    assert sum(stats.verdict(*stats.widened(*found, between_runs)) != "UNCLEAR" for found in equal) <= most
    assert sum(stats.verdict(*stats.widened(*found, between_runs)) == "SLOWER" for found in more) >= 90


@given(st.floats(0.5, 2), st.floats(1, 1.5), st.floats(1, 1.5), st.floats(0, 0.5))
def test_an_interval_is_widened_as_independent_errors_add(
    ratio: float, down: float, up: float, between_runs: float
) -> None:
    lo, hi = ratio / down, ratio * up
    same, lower, higher = stats.widened(ratio, lo, hi, between_runs)
    assert same == ratio
    assert np.log(ratio / lower) ** 2 == pytest.approx(np.log(down) ** 2 + between_runs**2, abs=1e-9)
    assert np.log(higher / ratio) ** 2 == pytest.approx(np.log(up) ** 2 + between_runs**2, abs=1e-9)
    assert stats.widened(ratio, lo, hi, 0) == (ratio, lo, hi)
    needed = stats.between_runs_needed(ratio, lo, hi)
    for more, holds in ((1 + 1e-6, True), (1 - 1e-6, False)):
        _, lower, higher = stats.widened(ratio, lo, hi, needed * more)
        assert (lower <= 1 <= higher) == holds or needed < 1e-4


@given(st.floats(0.5, 2), st.floats(1, 1.5), st.floats(1, 1.5), st.floats(0, 0.5))
def test_a_verdict_turns_round_with_its_ratio(ratio: float, down: float, up: float, threshold: float) -> None:
    swapped = {"SLOWER": "FASTER", "FASTER": "SLOWER"}
    lo, hi = ratio / down, ratio * up
    found = stats.verdict(ratio, lo, hi, threshold)
    edges = (lo, hi, ratio)
    limits = (1.0, 1 + threshold, 1 / (1 + threshold))
    if all(abs(edge - limit) > 1e-9 for edge in edges for limit in limits):  # away from rounding
        assert stats.verdict(1 / ratio, 1 / hi, 1 / lo, threshold) == swapped.get(found, found)


@pytest.mark.parametrize(
    ("ratio", "lo", "hi", "expected"),
    [
        (1.10, 1.06, 1.14, "SLOWER"),
        (1.10, 0.99, 1.20, "UNCLEAR"),
        (1.02, 1.01, 1.03, "SAME"),
        (1.04, 1.01, 1.07, "UNCLEAR"),
        (0.90, 0.88, 0.93, "FASTER"),
        (0.90, 0.80, 1.01, "UNCLEAR"),
    ],
)
def test_verdicts_at_five_percent(ratio: float, lo: float, hi: float, expected: str) -> None:
    assert stats.verdict(ratio, lo, hi, 0.05) == expected


def test_what_too_few_samples_cannot_say_is_none() -> None:
    assert stats.summary([]) == stats.summary([[]]) == stats.Summary(n=0, rounds=0)
    assert not stats.summary([]).is_noisy
    four = stats.summary([[1.0], [1.0], [1.0], [1.0]])
    assert (four.median_ms, four.lo_ms, four.hi_ms, four.is_noisy) == (1.0, None, None, True)
    with pytest.raises(ValueError, match="needs 5 rounds on both sides, not 4 and 5"):
        stats.ratio([[1.0]] * 4, [[1.0]] * 5)
    assert stats.summary([[1.0] * 66] * 10).p99_ms is None
    assert stats.summary([[1.0] * 67] * 10).p99_ms == 1.0


def test_rounds_that_disagree_are_noisy_however_many_samples_they_hold() -> None:
    steady = [[10.0, 11.0] * 50] * 6
    jumping = [[level] * 100 for level in (8.0, 12.0, 8.0, 12.0, 8.0, 12.0)]
    assert not stats.summary(steady).is_noisy
    assert stats.summary(jumping).is_noisy


def test_students_quantile_inverts_its_distribution_in_closed_form() -> None:
    """At 4 and 6 degrees of freedom: Abramowitz & Stegun 26.7.4, whose sine is t / √(t² + ν)."""
    for freedom in (4, 6):
        t = stats._student_t(freedom)
        sine, cosine = t / np.sqrt(t * t + freedom), np.sqrt(freedom / (t * t + freedom))
        terms = 1 + cosine**2 / 2 + (3 * cosine**4 / 8 if freedom == 6 else 0)
        assert sine * terms == pytest.approx(stats.CONFIDENCE, abs=1e-12)


@given(st.floats(0.5, 2), st.floats(1, 1.5), st.floats(1, 1.5), st.integers(5, 40), st.integers(2, 500))
def test_an_interval_of_several_reaches_as_much_farther_as_student_s_t(
    ratio: float, down: float, up: float, rounds: int, comparisons: int
) -> None:
    alone = (ratio, ratio / down, ratio * up)
    assert stats.simultaneous(*alone, rounds, 1) == alone
    same, lo, hi = stats.simultaneous(*alone, rounds, comparisons)
    _, lower, higher = stats.simultaneous(*alone, rounds, comparisons + 1)
    assert same == ratio
    assert lower <= lo <= alone[1]
    assert alone[2] <= hi <= higher
    tails = [0.025, 0.025 / comparisons]
    normal, far = (-stats.NormalDist().inv_cdf(tail) for tail in tails)
    reach = np.log(hi / ratio)
    assert reach >= np.log(up) * far / normal * (1 - 1e-9)  # a normal's quantiles lie nearer together
    assert np.log(ratio / lo) * np.log(up) == pytest.approx(np.log(down) * reach, abs=1e-9)


def test_the_stretch_of_ten_comparisons_of_eight_rounds_is_that_of_the_tables() -> None:
    _, lo, hi = stats.simultaneous(1.0, 1 / 1.1, 1.1, 8, 10)
    assert np.log(hi) / np.log(1.1) == pytest.approx(4.029 / 2.365, rel=1e-3)  # Student's t, 7, one in 400
    assert lo == pytest.approx(1 / hi)


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(1, 2), st.integers(5, 40), st.integers(1, 50))
def test_an_interval_of_several_holds_that_of_one(
    ratio: float, lo: float, wide: float, rounds: int, comparisons: int
) -> None:
    """Also where it leaves the ratio out, as the redraws of few rounds may."""
    hi = lo * wide
    same, lower, higher = stats.simultaneous(ratio, lo, hi, rounds, comparisons)
    assert same == ratio
    assert lower <= lo * (1 + 1e-12)
    assert hi <= higher * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 8, 15])
def test_of_families_of_equal_cases_so_many_have_one_that_is_called_different(count: int) -> None:
    """Twelve cases, all held against one: by themselves the intervals would call many a family different."""
    rng = np.random.default_rng(5)
    families, each = 150, 12
    by_itself = together = 0
    for _ in range(families):
        baseline = simulate(rng, count)
        found = [stats.ratio(baseline, simulate(rng, count)) for _ in range(each)]
        corrected = [stats.simultaneous(*one, count, each) for one in found]
        by_itself += any(stats.verdict(*one) != "UNCLEAR" for one in found)
        together += any(stats.verdict(*one) != "UNCLEAR" for one in corrected)
    limit = 0.05 + 2 * (0.05 * 0.95 / families) ** 0.5
    assert together / families <= limit
    assert by_itself / families > limit


@pytest.mark.slow
def test_a_slowdown_is_still_found_among_twelve() -> None:
    rng = np.random.default_rng(9)
    pairs = ((simulate(rng, 20), simulate(rng, 20, 1.04)) for _ in range(100))
    found = [stats.verdict(*stats.simultaneous(*stats.ratio(a, b), 20, 12)) for a, b in pairs]
    assert found.count("SLOWER") >= 90
