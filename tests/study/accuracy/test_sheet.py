"""The tables and the figure of a study, from outcomes that are made up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study.accuracy.test_compare import drawn

from ctxbench.errors import UserError
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.records import Record
from ctxbench.study.accuracy.counts import packed
from ctxbench.study.accuracy.figure import front, pareto
from ctxbench.study.accuracy.rows import Studied
from ctxbench.study.accuracy.sheet import Study, write_study
from ctxbench.study.cells import Outcome
from ctxbench.study.frozen.grid import rows
from ctxbench.study.frozen.spec import Source, StudyPlan, planned
from ctxbench.subject.case import Case

CASES = tuple(
    Case(module, 128, 16, 16, implementation="single") for module in ("cam", "se", "/x/block.py:Mine")
)
PLAN = planned(CASES, Source(), baseline="se", command=("ctxbench", "study"))
SHARES = {"none": 0.5, "cam": 0.9, "se": 0.5}


@pytest.fixture(scope="module")
def found() -> Study:
    rng = np.random.default_rng(0)
    outcomes = {}
    for case in PLAN.subjects:
        for seed in PLAN.seeds:
            key = PLAN.cell(case, seed).key
            if case.module not in SHARES or (case.module == "se" and seed == 2):
                outcomes[key] = Outcome(key, "error", "the loss is nan at step 1")
                continue
            (counts,) = drawn(rng, 1, 10, SHARES[case.module], 0.01)
            outcomes[key] = Outcome(key, found={"counts": packed(counts)})
    samples = [[[1.0 + n] * 3] * 8 for n in range(len(CASES))]
    records = [Record(case, params=8, rounds_ms=ms) for case, ms in zip(CASES, samples, strict=True)]
    about = {"train": 5, "test": 10, "classes": ["sky", "sea", "sand"]}
    return Study(Studied(PLAN, about, tuple(rows(PLAN, outcomes, Run(Plan(CASES), records)))))


def test_a_gain_stands_with_its_interval_and_its_star(found: Study) -> None:
    scores, classes = found.grids()
    lines = {line[0].text: [cell.text for cell in line] for line in scores.groups[0].rows}
    assert [heading.words for heading in scores.headings[3:7]] == [
        "mIoU less that of no context",
        "mIoU less that of no context 95 % interval",
        "mIoU less that of SE",
        "mIoU less that of SE 95 % interval",
    ]
    none, cam, se, mine = (found.rows[number] for number in range(4))
    assert lines["CAM"][3].startswith("+")
    assert lines["CAM"][3].endswith("*")
    assert cam.to_none is not None
    assert cam.to_none.points == pytest.approx(np.mean(cam.miou) - np.mean(none.miou))
    assert not lines["SE"][3].endswith("*")
    assert (lines["SE"][5], lines["no context"][3], lines["Mine"][3]) == ("–", "–", "–")
    assert len(se.miou) == 2
    assert found.failed == {
        "SE": "the loss is nan at step 1 (seed 2)",
        "Mine": "the loss is nan at step 1 (seed 0, 1, 2)",
    }
    assert mine.to_baseline is None
    assert [heading.header for heading in classes.headings] == ["class", "no context", "CAM", "SE", "Mine"]
    assert [line[0].text for line in classes.groups[0].rows] == ["sky", "sea", "sand"]


def test_what_the_number_is_not_stands_under_the_table(found: Study) -> None:
    notes = found.grids()[0].notes
    assert notes[0].startswith("Not what a fine-tuned network reaches")
    assert any("random" in note for note in notes)
    assert any("tell a true difference of" in note for note in notes)


def test_the_files_are_written(found: Study, tmp_path: Path) -> None:
    names = sorted(path.name for path in write_study(tmp_path, found))
    assert names == [
        "classes.csv", "report.html", "study.csv", "study.md", "study.png", "study.svg", "study.tex",
    ]  # fmt: skip
    table = pd.read_csv(tmp_path / "study.csv").set_index("module")
    assert table.loc["CAM", "to_none_lo_points"] < table.loc["CAM", "to_none_points"]
    assert table.loc["CAM", "lat_median_ms"] == 1
    assert np.isnan(table.loc["Mine", "miou_mean_pct"])
    assert "CAM" in (tmp_path / "study.svg").read_text()
    assert len(pd.read_csv(tmp_path / "classes.csv")) == 4 * 3


def test_the_front_is_what_nothing_is_quicker_and_better_than() -> None:
    assert front([(2.0, 50.0), (1.0, 40.0), (3.0, 45.0), (2.0, 49.0)]) == [(1.0, 40.0), (2.0, 50.0)]
    assert pareto([]) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"baseline": "cam2"}, "the baseline 'cam2' is not among the blocks: cam, se, Mine"),
        ({"seeds": 0}, "a study takes 1 to 100 seeds, not 0"),
        ({"steps": 0}, "one step at least"),
        ({"batch": 1}, "two images at least"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        planned(CASES, Source(), **changes)  # type: ignore[arg-type]


def test_a_quick_look_is_shorter_unless_it_is_said() -> None:
    quick, said = planned(CASES, Source(), quick=True), planned(CASES, Source(), quick=True, steps=7, seeds=1)
    assert (len(quick.seeds), quick.steps) == (2, 150)
    assert (len(said.seeds), said.steps) == (1, 7)
    assert StudyPlan(CASES).baseline is None
