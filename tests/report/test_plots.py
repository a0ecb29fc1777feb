import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import record, records

from ctxbench.report.plots import exponent, roofline, scaling
from ctxbench.report.style import PALETTE, colours


@given(st.floats(0.1, 3), st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_law_is_found(power: float, factor: float) -> None:
    n = [64.0, 256.0, 4096.0]
    assert exponent(n, [factor * x**power for x in n]) == pytest.approx(power)


def test_one_size_gives_no_scaling_figure() -> None:
    assert scaling(records()) is None


def test_training_gives_no_roofline() -> None:
    emau = record("emau")
    trained = record("emau", case=type(emau.case)(**{**vars(emau.case), "mode": "train"}))
    assert roofline([trained], {}) is None
    assert roofline([emau], {}) is not None


def test_a_module_keeps_its_colour_whatever_stands_beside_it() -> None:
    stranger = record("emau", case=type(record("emau").case)("/tmp/x.py:Own", 8, 4, 4))
    assert colours([stranger, record("emau")])["emau"] == PALETTE["emau"]
    assert colours([stranger])["/tmp/x.py:Own"] not in PALETTE.values()
    assert len(set(PALETTE.values())) == len(PALETTE)
