"""Printed numbers: what a unit may mean, which values end in the same digits, and how far off others are."""

from decimal import Decimal
from math import isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.audit.quantity import CUT, PRINTINGS, ROUNDED, Quantity, is_cut_to, prints_as
from ctxbench.errors import UserError

digits = st.decimals(min_value=Decimal("0.01"), max_value=99999, places=2).map(str)


@pytest.mark.parametrize(
    ("text", "printed", "is_memory", "sizes"),
    [
        ("19.33G", "19.33", False, (10**9, 2**30)),
        ("+43.1 GFLOPs", "43.1", False, (10**9, 2**30)),
        ("2.4gmacs", "2.4", False, (10**9, 2**30)),
        ("21.5M", "21.5", False, (10**6, 2**20)),
        ("021.5M", "21.5", False, (10**6, 2**20)),
        ("0.0215G", "0.0215", False, (10**9, 2**30)),
        ("88.00MB", "88.00", True, (2**20, 10**6)),
        ("1.2 GiB", "1.2", True, (2**30,)),
    ],
)
def test_a_number_is_read_with_what_its_unit_may_mean(
    text: str, printed: str, is_memory: bool, sizes: tuple[int, ...]
) -> None:
    quantity = Quantity.parse(text)
    assert (quantity.digits, quantity.is_memory) == (printed, is_memory)
    assert tuple(unit.size for unit in quantity.units) == sizes


@pytest.mark.parametrize(
    "text", ["19.33", "G", "19.33B", "-3G", "0.00G", "19,33G", "3 apples", f"{'9' * 400}G", "9" * 20]
)
def test_what_is_no_number_with_a_unit_is_refused_by_name(text: str) -> None:
    with pytest.raises(UserError, match="no printed number with a unit"):
        Quantity.parse(text)


def test_a_value_is_rounded_to_even_where_it_lies_between() -> None:
    assert prints_as(24.125, "24.12")
    assert not prints_as(24.13, "24.12")
    assert prints_as(0.021495808, "0.0215")
    assert not prints_as(0.02, "0.0215")
    assert not prints_as(None, "0.00")


def test_digits_that_were_cut_off_are_not_rounded() -> None:
    assert is_cut_to(25.7698, "25.7")
    assert not prints_as(25.7698, "25.7")
    assert is_cut_to(0.29, "0.29"), "100 · 0.29 is below 29 in floating point"
    assert not is_cut_to(25.69999, "25.7")
    assert not is_cut_to(1e300, "25.7")


@given(digits, st.integers(0, 999))
def test_every_continuation_of_the_digits_is_cut_to_them(text: str, more: int) -> None:
    assert is_cut_to(float(f"{text}{more:03}"), text)
    assert not is_cut_to(float(text) + 0.0101, text)


@pytest.mark.parametrize("printings", [(ROUNDED,), (CUT,), PRINTINGS])
def test_the_share_of_random_numbers_that_print_alike(printings: tuple) -> None:
    ten = Quantity.parse("10G")
    values = [5 * 4 ** (i / 100_000) for i in range(100_000)]
    alike = sum(all(printing.gives(value, ten.digits) for printing in printings) for value in values)
    assert isclose(ten.share(*printings), alike / 100_000, rel_tol=0.01)


@given(digits, st.floats(1.01, 1e6))
def test_so_many_times_as_much_is_as_far_off_as_so_many_times_less(text: str, factor: float) -> None:
    quantity = Quantity.parse(f"{text}G")
    assert quantity.distance(quantity.value * factor) == pytest.approx(log(factor))
    assert quantity.distance(quantity.value / factor) == pytest.approx(log(factor))
    assert quantity.distance(0.0) > 1e6


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (10.116, "+1.2 %"),
        (9.66, "-3.4 %"),
        (19.8, "+98 %"),
        (19.99, "2.0 times"),
        (123.4, "12 times"),
        (1e12, "over a million times"),
        (5.0, "-50 %"),
        (4.0, "1/2.5"),
        (0.0001, "1/100000"),
        (0.0, "under a millionth"),
    ],
)
def test_how_far_off_is_said_without_an_exponent(value: float, words: str) -> None:
    assert Quantity.parse("10.00G").off(value) == words
