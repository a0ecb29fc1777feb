"""The search itself, on made-up candidates: what fits, what is nearest, and what chance would give."""

import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.audit.candidates import Candidate, Candidates, Source
from ctxbench.audit.matching import Match, fits, near_misses
from ctxbench.audit.quantity import CUT, ROUNDED, Quantity


def source(*values: tuple[float, int], deviations: int = 0) -> Source:
    """A source for one number, with candidates of these values and deviations."""
    return Source((tuple(Candidate(value, str(value), d) for value, d in values),), deviations)


def values(matches: list[Match]) -> list[float]:
    return [match.candidates[0].value for match in matches]


def test_the_plainest_fit_comes_first_and_the_leaf_rule_among_equals() -> None:
    printed = [Quantity.parse("10.0G")]
    rule = Candidate(10.01, "rule", 1, is_leaf_rule=True)
    one = source((10.04, 2), (10.02, 1), (9.0, 0))
    other = Source(((rule, Candidate(9.97, "plain", 0)),))
    assert values(fits([one, other], printed)) == [9.97, 10.01, 10.02, 10.04]


def test_deviations_of_a_source_and_its_candidates_add_up() -> None:
    (fit,) = fits([source((10.0, 2), deviations=3)], [Quantity.parse("10.0G")])
    assert fit.deviations == 5


def test_a_number_that_was_cut_off_fits_with_one_deviation_more() -> None:
    printed = [Quantity.parse("25.7G")]
    (fit,) = fits([source((25.7698, 0))], printed)
    assert (fit.printing, fit.deviations) == (CUT, 1)
    assert not fits([source((25.7698, 0))], printed, [ROUNDED])
    (rounded,) = fits([source((25.71, 0))], printed)
    assert (rounded.printing, rounded.deviations) == (ROUNDED, 0)


def test_a_pair_is_cut_off_together_or_not_at_all() -> None:
    printed = [Quantity.parse("1.2G"), Quantity.parse("3.4MB")]
    both_cut = Source(((Candidate(1.27, "", 0),), (Candidate(3.48, "", 0),)))
    one_rounded_up = Source(((Candidate(1.27, "", 0),), (Candidate(3.36, "", 0),)))
    (fit,) = fits([both_cut, one_rounded_up], printed)
    assert (fit.printing, fit.deviations) == (CUT, 1)
    assert fit.candidates[1].value == 3.48


def test_nearest_is_by_ratio() -> None:
    """0.104 is off by 99 %, 40.5 by 161 %, and yet 0.104 is a factor of 149 away and 40.5 one of 2.6."""
    misses = near_misses([source((0.104, 1), (40.5, 1))], [Quantity.parse("15.5G")])
    assert values(misses) == [40.5]


def test_the_plain_near_miss_stands_beside_fits_of_more_deviations() -> None:
    printed = [Quantity.parse("24.7G")]
    sources = [source((24.807, 0), (12.0, 1), (24.71, 4))]
    (fit,) = fits(sources, printed)
    assert fit.deviations == 4
    assert values(near_misses(sources, printed, fewer_than=fit.deviations)) == [24.807]


def test_a_near_miss_that_hardly_comes_nearer_is_left_out_but_for_the_nearest() -> None:
    sources = [source((20.0, 0), (11.0, 1), (10.99, 2), (10.98, 3), (10.97, 4))]
    assert values(near_misses(sources, [Quantity.parse("10.00G")])) == [10.97, 11.0, 20.0]


def test_what_fits_is_no_near_miss() -> None:
    printed = [Quantity.parse("25.7G")]
    sources = [source((25.7698, 0), (20.0, 1))]
    (fit,) = fits(sources, printed)
    assert not near_misses(sources, printed, fewer_than=fit.deviations)


@given(st.lists(st.tuples(st.floats(0.01, 1e4), st.integers(0, 6)), min_size=1, max_size=30))
def test_no_candidate_is_plainer_and_nearer_than_all_near_misses(ways: list[tuple[float, int]]) -> None:
    quantity = Quantity.parse("10.123456G")
    misses = near_misses([source(*ways)], [quantity])
    distances = [miss.distance for miss in misses]
    deviations = [miss.deviations for miss in misses]
    assert distances == sorted(distances)
    assert deviations == sorted(deviations, reverse=True)
    unfit = [(v, d) for v, d in ways if not any(p.gives(v, quantity.digits) for p in (ROUNDED, CUT))]
    if unfit:
        assert distances[0] == min(quantity.distance(value) for value, _ in unfit)
        assert deviations[-1] == min(d for _, d in unfit)


def test_by_chance_is_what_random_numbers_have_on_average() -> None:
    """A number log-uniform in [5, 20] prints as 10.0 in a share of log(10.05 / 9.95) / log(4)."""
    rng = random.Random(0)
    sources = [source(*((rng.uniform(5, 20), rng.randrange(3)) for _ in range(300)))]
    printed = [Quantity.parse("10.0G")]
    limit = 2
    fit = next(fit for fit in fits([*sources, source((10.0, limit))], printed) if fit.deviations == limit)
    width = log(10.05 / 9.95) / log(4)
    cut = log(10.1 / 10.05) / log(4)  # what is cut off to 10.0 and not rounded to it
    counts = [sum(c.deviations == d for c in sources[0].candidates[0]) for d in range(3)]
    counts[limit] += 1
    expected = width * sum(counts) + cut * (counts[0] + counts[1])
    assert fit.by_chance == pytest.approx(expected, rel=1e-9)
    assert fit.may_be_chance


def test_a_fit_that_chance_does_not_give_is_not_marked() -> None:
    (fit,) = fits([source((10.0001, 0), (17.0, 3))], [Quantity.parse("10.00G")])
    assert not fit.may_be_chance


def test_of_one_value_the_plainest_stands_for_all() -> None:
    ways = [
        Candidate(1.0, "far", 2),
        Candidate(1.0, "near", 1),
        Candidate(1.0, "later", 1),
        Candidate(2.0, "", 5),
    ]
    kept, other = Candidates.of(ways).distinct()
    assert (kept.words, kept.deviations, kept.n_equivalent) == ("near", 1, 2)
    assert other.n_equivalent == 0
