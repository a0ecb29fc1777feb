"""The tables of the probes, from outcomes that are made up: marks, reasons, families, and the files."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ctxbench.errors import UserError
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.records import Record
from ctxbench.study.cells import Outcome
from ctxbench.study.probes.grid import PLAN, Row, Setting, asked, read, rows
from ctxbench.study.probes.sheet import Probes, write_probes
from ctxbench.study.probes.spec import ProbePlan
from ctxbench.subject.case import Case

CASES = (
    Case("nonlocal", 64, 16, 16),
    Case("/somewhere/block.py:Mine", 64, 16, 16, implementation="single"),
    Case("se", 64, 16, 16, implementation="single"),
)
PLAN_OF_TWO = ProbePlan(CASES, tasks=("row", "key"), command=("ctxbench", "probe", "nonlocal"))
BEYOND = {("nonlocal", "key"): 1.0, ("se", "row"): 0.13, ("se", "key"): 0.05}


def outcomes(plan: ProbePlan) -> dict[str, Outcome]:
    """All of Non-Local's keys right, fewer of SE's than by a guess, nothing of the user's block."""
    made = {}
    for cell in plan.cells():
        share = BEYOND.get((cell.case.module, cell.task), 0.125)
        found = {
            "rate": 0.02,
            "accuracy_pct": {str(side): [100 * share, 100 * share + 0.2] for side in cell.sides},
            "hits": {str(side): (2 * share * asked(cell.task, side)).tolist() for side in cell.sides},
            "reasons": {},
        }
        made[cell.key] = Outcome(cell.key, found=found)
        if "Mine" in cell.case.module:
            made[cell.key] = Outcome(cell.key, "crashed", "killed")
    return made


@pytest.fixture
def found() -> Probes:
    run = Run(Plan(CASES), [Record(case, params=case.channels) for case in CASES])
    return Probes(PLAN_OF_TWO, tuple(rows(PLAN_OF_TWO, outcomes(PLAN_OF_TWO), run)))


def row(found: Probes, name: str) -> Row:
    return next(row for row in found.rows if row.name == name)


def test_families_stand_together_the_users_own_last(found: Probes) -> None:
    assert [(row.name, row.family) for row in found.rows] == [
        ("no context", ""),
        ("Non-Local", "global"),
        ("SE", "channel"),
        ("Mine", "own"),
    ]


def test_what_is_beyond_chance_is_marked(found: Probes) -> None:
    scores = row(found, "Non-Local").scores
    key, far = scores[Setting("key", 16, 16)], scores[Setting("key", 12, 16)]
    assert key.is_beyond
    assert far.is_beyond
    assert (key.mean, key.sd) == (pytest.approx(100.1), pytest.approx(0.2 / 2**0.5))
    assert not row(found, "SE").scores[Setting("key", 16, 16)].is_beyond
    main, *_ = found.grids()
    cells = {line[0].text: [cell.text for cell in line[1:3]] for group in main.groups for line in group.rows}
    assert cells["Non-Local"] == ["13 ± 0", "100 ± 0*"]
    assert cells["ceiling"] == ["100", "100"]
    assert cells["Mine"] == ["–", "–"]
    assert "crashed: killed" in main.footnotes


def test_every_pair_of_sizes_has_its_table(found: Probes) -> None:
    assert [grid.title.partition(" · ")[0] for grid in found.grids()] == [
        "Accuracy of probes, trained and tested on 16×16",
        "Accuracy of probes, trained and tested on 12×12",
        "Accuracy of probes, trained on 12×12, tested on 16×16",
    ]


def test_the_files_are_written(found: Probes, tmp_path: Path) -> None:
    paths = write_probes(tmp_path, found)
    assert sorted(path.name for path in paths) == [
        "probes.csv", "probes.md", "probes.png", "probes.svg", "probes.tex", "report.html",
    ]  # fmt: skip
    table = pd.read_csv(tmp_path / "probes.csv")
    assert len(table) == 4 * 2 * 3
    mine = table[table.module == "Mine"]
    assert mine.accuracy_mean_pct.isna().all()
    assert (mine.reason == "crashed: killed").all()
    assert table[(table.module == "Non-Local") & (table.task == "key")].beyond_chance.all()
    assert "no context" in (tmp_path / "report.html").read_text()


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    from ctxbench.study.cells import begin

    begin(tmp_path, PLAN, PLAN_OF_TWO)
    assert read(tmp_path) == PLAN_OF_TWO
    with pytest.raises(UserError, match="already holds one"):
        begin(tmp_path, PLAN, PLAN_OF_TWO)
    (tmp_path / PLAN).write_text("{}")
    with pytest.raises(UserError, match=r"probe\.json is damaged: "):
        read(tmp_path)


def test_a_block_that_is_not_trained_yet_says_so() -> None:
    run = Run(Plan(CASES), [Record(case) for case in CASES])
    (first, *_) = rows(replace(PLAN_OF_TWO), {}, run)
    assert {score.reason for score in first.scores.values()} == {"not trained yet"}
