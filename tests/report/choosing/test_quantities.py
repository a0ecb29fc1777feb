from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import record, rounds

from ctxbench.errors import UserError
from ctxbench.report.choosing.quantities import QUANTITIES, limits
from ctxbench.report.columns import FIXED


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("latency=20ms", 20),
        ("latency = 0.02 s", 20),
        ("latency=20000us", 20),
        ("latency=2e7ns", 20),
        ("memory=64MiB", 64),
        ("memory=64mib", 64),
        ("memory=0.0625GiB", 64),
        ("memory=67.108864MB", 64),
        ("memory=67108864B", 64),
        ("process=1GB", 1e9 / 2**20),
        ("macs=1.5G", 1.5),
        ("macs=1500 MMACs", 1.5),
        ("macs=1500000000", 1.5),
        ("flops=.5GFLOPs", 0.5),
        ("params=2M", 2e6),
        ("params=2000000", 2e6),
    ],
)
def test_a_budget_is_in_the_unit_of_its_column(typed: str, value: float) -> None:
    (limit,) = limits([typed])
    assert limit.value == pytest.approx(value, rel=1e-12)


def test_of_throughput_a_least_is_a_budget() -> None:
    assert [limit.value for limit in limits(least=["throughput=120/min"])] == [2]


@given(st.floats(1e-3, 1e6), st.sampled_from(sorted(QUANTITIES)))
def test_what_is_shown_of_a_value_is_a_budget_of_about_that_value(value: float, name: str) -> None:
    """A value as a table or an advice shows it can be typed as a budget."""
    of = QUANTITIES[name]
    value = round(value) + 1 if of.column.kind == "int" else value
    flag = {"max": "most", "min": "least"}[of.flag]
    (limit,) = limits(**{flag: [f"{name}={of.shown(value)}"]})
    assert limit.value == pytest.approx(value, rel=6e-3)


def test_a_reading_holds_the_interval_of_what_was_measured() -> None:
    emau = record("emau")
    latency, throughput = (QUANTITIES[name].read(emau) for name in ("latency", "throughput"))
    assert latency == (emau.latency.median_ms, emau.latency.lo_ms, emau.latency.hi_ms)
    assert throughput == tuple(pytest.approx(1000 / ms) for ms in (latency.value, latency.high, latency.low))
    few = record("emau", rounds_ms=rounds(20, seed=1, count=3))
    assert QUANTITIES["latency"].read(few)[1:] == (0, inf)
    assert QUANTITIES["throughput"].read(few)[1:] == (0, inf)
    assert QUANTITIES["latency"].read(record("emau", rounds_ms=[])) is None


def test_a_count_that_lacks_operations_is_a_lower_bound() -> None:
    emau = record("emau")
    assert QUANTITIES["macs"].read(emau) == (emau.macs / 1e9,) * 3
    unknown = replace(emau, unknown_ops={"mine::op": 1})
    assert QUANTITIES["macs"].read(unknown) == (emau.macs / 1e9, emau.macs / 1e9, inf)
    assert QUANTITIES["memory"].read(unknown) == (emau.alloc_bytes / 2**20,) * 3


def test_images_a_second_are_the_batch_over_the_latency() -> None:
    emau = record("emau")
    of_eight = replace(emau, case=replace(emau.case, batch=8))
    assert FIXED["throughput_img_per_s"].value(of_eight) == pytest.approx(8000 / emau.latency.median_ms)
    ends = QUANTITIES["throughput"].read(of_eight)[1:]
    assert ends == (pytest.approx(8000 / emau.latency.hi_ms), pytest.approx(8000 / emau.latency.lo_ms))
    assert FIXED["throughput_img_per_s"].value(record("emau", rounds_ms=[])) is None


@pytest.mark.parametrize("name", sorted(QUANTITIES))
def test_the_example_of_each_quantity_can_be_typed(name: str) -> None:
    of = QUANTITIES[name]
    typed = [f"{name}={of.example}"]
    assert limits(*([typed, []] if of.flag == "max" else [[], typed]))[0].quantity is of
    with pytest.raises(UserError, match=f"limit it by --{of.flag} {name}="):
        limits(*([[], typed] if of.flag == "max" else [typed, []]))
