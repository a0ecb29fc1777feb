"""Table 10 made from records, at its shape and at another, and what is not measured twice."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic import MODULES, record, write_run

from ctxbench import api
from ctxbench.errors import UserError
from ctxbench.measure.environment import environment
from ctxbench.measure.folder import Plan, RunFolder, read_run
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table10 import QUICK_S, _cases, check, table10
from ctxbench.table.terminal import plain

FORMS = ("fast", "published")


def made(folder: Path, name: str = "table10", side: int = 64, **asked: object) -> Sheet:
    """Table 10 of a run that is there already, so that nothing is measured."""
    records = [record(module, side, side, form) for module in MODULES for form in FORMS]
    write_run(folder / name, records, ctxbench="1.2.3")
    return table10(folder, **asked)


def test_its_cases_are_those_of_profile() -> None:
    ours = _cases(256, (32, 48), 64, "cpu")
    theirs = api.cases(channels=256, sizes=[(32, 48)], implementations=FORMS)
    assert {case.id for case in ours} == {case.id for case in theirs}


def test_rank_changes_tgm_trm_alone() -> None:
    changed = {c.module for c in _cases(64, (8, 8), 16, "cpu")} - {
        c.module for c in _cases(64, (8, 8), 16, "cpu") if c in _cases(64, (8, 8), 64, "cpu")
    }
    assert changed == {"reconet"}


def test_the_printed_numbers_have_a_verdict_each(tmp_path: Path) -> None:
    frame = made(tmp_path).frame.set_index("module")
    assert frame.loc["nonlocal", ["flops_verdict", "memory_verdict"]].tolist() == ["reproduced"] * 2
    assert frame.loc["rcca", ["flops_verdict", "memory_verdict"]].tolist() == ["not reproducible"] * 2
    assert "neither fits" in frame.loc["rcca", "reason"]
    assert (frame["flops_verdict"] == "reproduced").sum() == 7


def test_both_forms_stand_beside_each_other(tmp_path: Path) -> None:
    sheet = made(tmp_path)
    ours = sheet.frame.set_index("module").loc["reconet"]
    assert ours["fast_gmacs"] == pytest.approx(0.151519232)
    assert ours["published_gmacs"] == pytest.approx(ours["fast_gmacs"] + 64 * 512 * 64 / 1e9)
    assert ours["fast_lat_ci_lo_ms"] < ours["fast_lat_median_ms"] < ours["fast_lat_ci_hi_ms"]
    names = [heading.name for heading in sheet.grid.headings]
    row = next(row for row in sheet.grid.groups[0].rows if row[0].text == "TGM+TRM")
    assert row[names.index("fast_peak_pred_mib")].text == "17.20"
    assert all(len(cells) == len(names) for cells in sheet.grid.groups[0].rows)


def test_its_sentences_follow_from_the_records(tmp_path: Path) -> None:
    text = " ".join(plain([made(tmp_path).grid]).split())
    assert "about 70×" in text
    assert "TGM+TRM's predicted peak is 0.13 times Non-Local's" in text
    assert "a call of Non-Local takes 19 times as long" in text


def test_the_origin_is_that_of_the_records_and_nothing_is_measured_again(tmp_path: Path) -> None:
    first = made(tmp_path)
    kept = (tmp_path / "table10" / "records.jsonl").read_bytes()
    again = table10(tmp_path, command=["another"])
    assert (tmp_path / "table10" / "records.jsonl").read_bytes() == kept
    assert again.origin == first.origin
    assert "Synthetic CPU" in again.origin
    pd.testing.assert_frame_equal(again.frame, first.frame)


def test_at_another_shape_nothing_is_printed_and_that_is_said(tmp_path: Path) -> None:
    sheet = made(tmp_path, "table10_512x32x32_rank64", 32, size=(32, 32))
    assert sheet.name == "table10_512x32x32_rank64"
    assert sheet.frame["printed_gflops"].isna().all()
    assert sheet.frame["flops_verdict"].isna().all()
    assert sheet.frame["paper_gflops"].notna().all()
    assert sheet.tally == (8, 0)
    assert sheet.grid.footnotes == ["printed for 1×512×64×64 and rank 64 alone"]
    text = " ".join(plain([sheet.grid]).split())
    ratio = sheet.frame.set_index("module")["fast_gmacs"]
    assert f"{ratio['nonlocal'] / ratio['reconet']:.2g} times in the fast ones" in text
    assert "claim" not in text


def test_a_folder_with_a_run_of_other_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other cases"):
        made(tmp_path, "table10", 32)


@pytest.mark.parametrize(("quick", "other"), [(True, "leave out --quick"), (False, "give --quick")])
def test_a_quick_run_is_not_taken_for_a_full_one_nor_the_reverse(
    quick: bool, other: str, tmp_path: Path
) -> None:
    made(tmp_path)
    plan = tmp_path / "table10" / "run.json"
    if not quick:
        plan.write_text(plan.read_text().replace('"budget_s": 2.5', f'"budget_s": {QUICK_S}'))
    kept = plan.read_bytes()
    for ask in (table10, asked):
        with pytest.raises(UserError, match=f"{other}, give another --out"):
            ask(tmp_path, quick=quick)
    assert plan.read_bytes() == kept


def asked(folder: Path, **changes: Any) -> None:
    known = {"channels": 512, "size": (64, 64), "rank": 64, "device": "cpu", "quick": False}
    check(folder, **{**known, **changes})


def test_what_table_10_cannot_be_made_of_is_told_before_anything_is_written(tmp_path: Path) -> None:
    for change, why in (({"rank": 0}, "rank"), ({"channels": 0}, "channels"), ({"device": "tpu"}, "tpu")):
        with pytest.raises(UserError, match=why):
            asked(tmp_path, **change)
    asked(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_environment_or_in_use_is_told_before(tmp_path: Path) -> None:
    cases = _cases(512, (64, 64), 64, "cpu")
    here = {"cpu": {**environment("cpu"), "torch": "9.9"}}
    with (
        RunFolder.create(tmp_path / "table10", Plan(tuple(cases), environments=here)),
        pytest.raises(UserError, match="another process"),
    ):
        asked(tmp_path)
    with pytest.raises(UserError, match="begun in another environment"):
        asked(tmp_path)


def test_a_case_that_failed_is_missing_and_says_why(tmp_path: Path) -> None:
    records = [record(module, implementation=form) for module in MODULES for form in FORMS]
    lost = {"status": "oom", "reason": "too big", "rounds_ms": [], "alloc_bytes": None}
    records[-1] = record(MODULES[-1], implementation=FORMS[-1], **lost)
    write_run(tmp_path / "table10", records, ctxbench="1.2.3")
    sheet = table10(tmp_path)
    assert sheet.tally == (8, 1)
    assert "too big" in sheet.frame.set_index("module").loc[MODULES[-1], "reason"]
    assert "too big" in sheet.grid.footnotes
    assert len(read_run(tmp_path / "table10").records) == 16
