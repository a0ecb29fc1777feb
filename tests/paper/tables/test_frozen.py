"""Frozen features on a sheet of their own: which rows of a study it shows, and that none is the paper's."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study.accuracy.test_compare import drawn
from synthetic import write_run

from ctxbench.errors import UserError
from ctxbench.measure.records import Record, to_line
from ctxbench.paper import printed
from ctxbench.paper.regenerate import paper
from ctxbench.paper.tables.frozen import frozen
from ctxbench.study.accuracy.counts import packed
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.cells import begin
from ctxbench.study.frozen.spec import Source, StudyPlan
from ctxbench.subject.case import Case

CASES = tuple(
    Case(module, 128, 32, 32, implementation="single")
    for module in ("se", "reconet", "reconet(rank=16)", "reconet(rank=20)")
)
SOURCE = Source("sift_flow", backbone="resnet50", side=256)


def made(folder: Path, plan: StudyPlan) -> Path:
    """Leave a study that has ended."""
    rng = np.random.default_rng(0)
    begin(folder, PLAN, plan)
    about = {"folder": "/cache/one", "train": 5, "test": 10, "classes": ["sky", "sea", "sand"]}
    (folder / "features.json").write_text(json.dumps(about))
    lines = [
        to_line(
            {"key": plan.cell(case, seed).key, "found": {"counts": packed(drawn(rng, 1, 10, 0.7, 0.01)[0])}}
        )
        for case in plan.subjects
        for seed in plan.seeds
    ]
    (folder / "cells.jsonl").write_bytes(b"".join(lines))
    write_run(folder / "cost", [Record(case, params=8, rounds_ms=[[1.0] * 3] * 8) for case in plan.cases])
    return folder


def test_rows_stand_by_the_table_they_are_about(tmp_path: Path) -> None:
    sheet = frozen([made(tmp_path / "study", StudyPlan(CASES, SOURCE))], source="here")
    groups = {group.label: [row[0].text for row in group.rows] for group in sheet.grid.groups}
    on = "on sift_flow at 256×256 · C3 of resnet50, random weights"
    whole = "TGM+TRM"
    (seven, five, eight) = (
        groups[f"Table {name}, {on}"] for name in ("7, components", "5, SIFT-Flow", "8, rank")
    )
    assert len(groups) == 3
    assert five == seven == ["no context", next(name for name in seven if name.startswith(whole))]
    assert len(eight) == 3  # 20 is no rank of the paper's
    assert "16" in eight[1]
    assert sheet.frame["miou_mean_pct"].notna().all()


def test_no_printed_number_stands_beside_them(tmp_path: Path) -> None:
    sheet = frozen([made(tmp_path / "study", StudyPlan(CASES, SOURCE))], source="here")
    assert not [name for name in sheet.frame if "printed" in name or "verdict" in name]
    words = {heading.words for heading in sheet.grid.headings}
    assert not [word for word in words if "printed" in word or "paper" in word]
    shown = {cell.text for group in sheet.grid.groups for row in group.rows for cell in row}
    assert not shown & {line["miou"] for table in (5, 7, 8) for line in printed.rows(table)} - {""}
    assert sheet.title.startswith("By frozen features")
    assert sheet.grid.notes[0].startswith("No number here is the paper's")


def test_what_is_no_such_study_is_left_out_or_refused(tmp_path: Path) -> None:
    generated = made(tmp_path / "generated", StudyPlan(CASES, replace(SOURCE, dataset="synthetic")))
    other = made(tmp_path / "other", StudyPlan(CASES[:1], SOURCE))
    sheet = frozen([generated, other], source="here")
    assert sheet.tally == (1, 1)
    assert "ctxbench paper frozen --run STUDY" in sheet.frame["command"][0]
    with pytest.raises(UserError, match="is a study; of those, ctxbench paper frozen alone shows numbers"):
        paper("table5", runs=[other], out=tmp_path / "out")
    (other / "study.json").write_text(json.dumps({"settings": {}}))
    with pytest.raises(UserError, match="is a study of whole networks, not of frozen features"):
        paper("frozen", runs=[other], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
