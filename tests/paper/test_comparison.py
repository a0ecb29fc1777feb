from dataclasses import replace

import pytest
from synthetic import MODULES, record, records, ruled

from ctxbench.paper.comparison import NOT_MEASURED, NOT_REPRODUCIBLE, REPRODUCED, compare, in_words


def test_seven_rows_are_reproduced_and_rcca_says_why_not() -> None:
    rows = {c.module: c for c in compare(records())}
    assert {name for name, c in rows.items() if c.verdict == REPRODUCED} == {*MODULES} - {"rcca"}
    rcca = rows["rcca"]
    assert rcca.verdict == NOT_REPRODUCIBLE
    assert "printed 5.37 G / 41.33 MiB" in rcca.reason
    assert "last call wins gives 1.95 G / 29.00 MiB (neither fits)" in rcca.reason
    assert "every call gives 3.90 G / 43.50 MiB (neither fits)" in rcca.reason


def test_rows_follow_the_tables_order() -> None:
    labels = [c.printed.label for c in compare(records())]
    assert (labels[0], labels[-1]) == ("Non-Local", "TGM+TRM")


def test_one_fitting_column_is_not_enough() -> None:
    emau = record("emau")
    (row,) = compare([ruled(emau, **{**emau.leaf_rule, "mib": 24.5})])
    assert row.verdict == NOT_REPRODUCIBLE
    assert "(only the G fit)" in row.reason


def test_ratios_are_to_tgm_trm_of_the_same_form() -> None:
    row = compare(records())[0]
    assert row.published_ratio == pytest.approx(10.737418240 / 0.153616384)
    assert row.fast_ratio == pytest.approx(10.737418240 / 0.151519232)


def test_a_published_record_does_not_pass_for_the_fast_one() -> None:
    (row,) = compare([record("reconet", implementation="published")])
    assert row.fast_macs is None
    assert row.published_macs == 153_616_384


def test_other_shapes_and_options_are_not_compared() -> None:
    small = record("emau", 32, 32)
    emau = record("emau")
    other = replace(emau, case=replace(emau.case, options={"bases": 32, "iterations": 3}))
    assert compare([small, other]) == []


def test_a_row_that_was_not_measured_says_why() -> None:
    (row,) = compare([ruled(record("emau"), reason="no leaf was seen")])
    assert (row.verdict, row.reason) == (NOT_MEASURED, "no leaf was seen")
    (row,) = compare([record("emau", counters={}, status="crashed", reason="signal 9")])
    assert row.reason == "signal 9"


def test_words_are_computed_from_the_records() -> None:
    one_rank, against_nonlocal, against_others = in_words(compare(records()))
    assert "0.0215 G" in one_rank
    assert "one of the 128 calls of the leaf trm.matmul, of which each of the 64 ranks makes 2." in one_rank
    assert "0.293 G and 520 MiB" in one_rank
    assert "900×" in against_nonlocal
    assert "about 70×" in against_nonlocal
    assert "70.9×" in against_nonlocal
    assert "more than 100×" in against_others
    assert "16–58×" in against_others


def test_calls_of_a_rank_follow_the_record() -> None:
    reconet = record("reconet")
    thrice = ruled(reconet, **{**reconet.leaf_rule, "repeated": {"trm.matmul": 192}})
    assert (
        "the 192 calls of the leaf trm.matmul, of which each of the 64 ranks makes 3."
        in in_words(compare([thrice]))[0]
    )


def test_words_follow_other_numbers() -> None:
    halved = [
        replace(r, macs=r.macs // 2) if r.case.module == "nonlocal" and r.macs else r for r in records()
    ]
    assert "35.4×" in in_words(compare(halved))[1]


def test_a_sentence_without_its_numbers_is_left_out() -> None:
    assert in_words(compare(r for r in records() if r.case.module != "reconet")) == []
    alone = in_words(compare([record("reconet")]))
    assert len(alone) == 1
    unread = ruled(record("reconet"), reason="not run")
    assert in_words(compare([unread])) == []
