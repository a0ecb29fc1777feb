import io
from dataclasses import replace

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from synthetic import record, records, rounds

from ctxbench.report.columns import reason, status, summary
from ctxbench.table.column import significant

ORDER = """
module implementation config batch channels height width dtype layout mode device threads runtime params
gmacs gflops published_gmacs bwd_gmacs act_mib peak_pred_mib mem_reserved_sim_mib mem_alloc_mib
mem_reserved_mib mem_process_mib
lat_median_ms lat_ci_lo_ms lat_ci_hi_ms lat_iqr_ms lat_p90_ms n_samples n_rounds intensity_flop_per_byte
fvcore_gmacs thop_gmacs torch_gmacs paper_gflops paper_mib printed_gflops printed_mib torch case_id
schema_version status reason
"""


def written(*rows) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(summary(rows).to_csv(index=False)), dtype=str, keep_default_na=False)


def test_columns_stand_in_their_order() -> None:
    assert list(summary(records())) == ORDER.split()


@given(st.integers(0, 2**50))
def test_macs_survive_the_csv_to_the_integer(macs: int) -> None:
    row = written(record("emau", macs=macs)).iloc[0]
    assert round(float(row["gmacs"]) * 1e9) == macs


def test_what_was_not_measured_is_empty_never_zero() -> None:
    gone = record("afnb", status="oom", reason="out of memory", rounds_ms=[], alloc_bytes=None, params=None)
    row = written(gone, record("emau")).iloc[0]
    for column in (
        "mem_alloc_mib",
        "mem_reserved_mib",
        "lat_median_ms",
        "lat_ci_lo_ms",
        "n_samples",
        "params",
    ):
        assert row[column] == "", column
    assert (row["status"], row["gmacs"]) == ("oom", "2.378170368")


def test_whole_numbers_stay_whole_beside_empty_ones() -> None:
    table = written(record("afnb", params=None), record("emau"))
    assert list(table["params"]) == ["", "525824"]


def test_printed_numbers_are_given_as_printed_and_only_at_the_papers_case() -> None:
    table = written(record("nonlocal"), record("nonlocal", 32, 32))
    assert list(table["printed_mib"]) == ["88.00", ""]


def test_a_wide_interval_makes_the_row_noisy() -> None:
    assert status(record("emau")) == "ok"
    assert status(record("emau", rounds_ms=rounds(50, seed=1, spread=0.5, count=5))) == "noisy"
    assert status(record("emau", rounds_ms=[], status="timeout")) == "timeout"


def test_the_reason_names_empty_columns_and_missed_operations() -> None:
    row = record("emau", alloc_bytes=None, unknown_ops={"my::op": 2}, note="recorded on real tensors")
    row = replace(row, reasons={"alloc_bytes": "no hook", "reserved_bytes": "no hook"})
    assert reason(row) == (
        "recorded on real tensors; mem_alloc_mib, mem_reserved_mib: no hook; "
        "fvcore missed aten::mul ×64, aten::softmax; "
        "thop missed matmul ×2; not counted: my::op ×2"
    )


@given(st.floats(1e-4, 1e9), st.integers(2, 6))
def test_significant_digits(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert "e" not in text
    assert abs(float(text) - value) <= 0.5000001 * 10 ** (1 - digits) * value
    if value < 10 ** (digits - 1):
        assert len(text.replace(".", "").lstrip("0")) == digits


def test_significant_rounds_up_to_the_next_decade() -> None:
    assert significant(9.9999, 3) == "10.0"
    assert significant(0, 3) == "0"
    assert significant(0.000012345, 3) == "1.23e-05"
