"""A study's folder as a run with accuracies: read, chosen from, and shown by ``report``."""

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from study.accuracy.test_compare import drawn
from synthetic import rounds, write_run

import ctxbench
from ctxbench.api import load_report
from ctxbench.errors import UserError
from ctxbench.measure import folder as measured
from ctxbench.measure.records import Record, to_line
from ctxbench.report.view import View
from ctxbench.study.accuracies import read_run
from ctxbench.study.accuracy.compare import Scored, difference
from ctxbench.study.accuracy.counts import packed
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.cells import CELLS, COST, Outcome, begin, read_outcomes
from ctxbench.study.frozen.grid import FEATURES, rows
from ctxbench.study.frozen.spec import Source, planned
from ctxbench.subject.case import Case

SHARES = {"none": 0.5, "nonlocal": 0.9, "se": 0.6, "cam": 0.602}
CASES = tuple(Case(name, 128, 16, 16, implementation="single") for name in ("nonlocal", "se", "cam", "pam"))
SPEC = planned(CASES, Source(), command=("ctxbench", "study"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Scored]]:
    """A study's folder, and what is in it of each block; of the block ``pam`` no training ended."""
    home, rng, scored = tmp_path_factory.mktemp("studies") / "study", np.random.default_rng(0), {}
    begin(home, PLAN, SPEC)
    (home / FEATURES).write_text(
        json.dumps({"folder": "f", "train": 5, "test": 10, "classes": ["sky", "sea", "sand"]})
    )
    lines = []
    for case in SPEC.subjects:
        if (share := SHARES.get(case.module)) is None:
            keys = [SPEC.cell(case, seed).key for seed in SPEC.seeds]
            lines += [Outcome(key, "error", "the loss is nan at step 1") for key in keys]
            continue
        counts = drawn(rng, len(SPEC.seeds), 10, share, 0.01)
        scored[case.module] = Scored.of(SPEC.seeds, counts)
        lines += [
            Outcome(SPEC.cell(case, seed).key, found={"counts": packed(of_seed)})
            for seed, of_seed in zip(SPEC.seeds, counts, strict=True)
        ]
    (home / CELLS).write_bytes(b"".join(to_line(asdict(outcome)) for outcome in lines))
    times = {"nonlocal": 4.0, "se": 2.0, "cam": 1.0, "pam": 3.0}
    write_run(
        home / COST,
        [Record(case, params=8, rounds_ms=rounds(times[case.module], seed=1)) for case in CASES],
    )
    return home, scored


def test_records_of_costs_have_what_the_study_found(made: tuple[Path, dict[str, Scored]]) -> None:
    home, scored = made
    found = {record.case.module: record for record in read_run(home).records}
    assert read_run(home / COST) == read_run(home)
    costs = measured.read_run(home / COST)
    studied = {row.record.case.module: row for row in rows(SPEC, read_outcomes(home), costs) if row.record}
    for name in ("nonlocal", "se", "cam"):
        accuracy = found[name].accuracy
        assert accuracy is not None
        assert accuracy.miou_pct == pytest.approx(np.mean(scored[name].miou))
        assert accuracy.low_pct is not None
        assert accuracy.high_pct is not None
        assert accuracy.low_pct < accuracy.miou_pct < accuracy.high_pct
        assert accuracy.none_pct == pytest.approx(np.mean(scored["none"].miou))
        to_none = studied[name].to_none
        assert to_none is not None
        assert accuracy.p_none == to_none.p
        for other in ("nonlocal", "se", "cam"):
            pair = difference(scored[name], scored[other])
            assert pair is not None
            assert accuracy.p[found[other].case.id] == pair.p
    lost = found["pam"].accuracy
    assert lost is not None
    assert (lost.miou_pct, lost.reason) == (None, "the loss is nan at step 1 (seed 0, 1, 2)")
    assert "accuracy" not in found["se"].to_json()


def test_the_quicker_of_two_alike_is_chosen_and_the_conditions_are_said(
    made: tuple[Path, dict[str, Scored]], tmp_path: Path
) -> None:
    home, _ = made
    assert ctxbench.choose(home, best="accuracy").tasks[0].recommended.record.case.module == "nonlocal"
    chosen = ctxbench.choose(home, best="accuracy", max="latency=3.5ms")
    said = " ".join(str(chosen).split())
    assert "Take CAM" in said
    assert "does not tell" in said
    assert (
        "5 images to train on, 10 to evaluate · 300 steps of 16 · n = 3 seeds. Not what a fine-tuned" in said
    )
    assert chosen.to_frame()["miou_pct"].notna().sum() == 3
    assert "the loss is nan at step 1 (seed 0, 1, 2)" in said


def test_accuracies_of_several_studies_or_of_none_are_refused(
    made: tuple[Path, dict[str, Scored]], tmp_path: Path
) -> None:
    home, _ = made
    again = shutil.copytree(home, tmp_path / "again")
    with pytest.raises(UserError, match="accuracies of several studies are not compared"):
        ctxbench.choose(home, again, min="accuracy=10%")
    bare = write_run(tmp_path / "bare", [Record(CASES[0])])
    with pytest.raises(
        UserError, match="hold no accuracy, which is what ctxbench study finds: give its folder"
    ):
        ctxbench.choose(bare, best="accuracy")
    (again / FEATURES).unlink()  # no head has been trained yet
    with pytest.raises(UserError, match="hold no accuracy"):
        ctxbench.choose(again, best="accuracy")
    (again / FEATURES).write_text("{")
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        ctxbench.choose(again)


def test_a_report_of_a_study_shows_both(made: tuple[Path, dict[str, Scored]]) -> None:
    found = load_report([made[0]])
    assert found.folder == made[0] / COST
    assert "accuracy" in str(found)
    assert found.to_frame()["miou_pct"].notna().tolist() == [True, True, True, False]
    said = " ".join(str(found.seen(View(("latency", "accuracy")))).split())
    assert "Accuracy: synthetic at 128×128" in said
    assert "Accuracy: " not in str(found.seen(View(("latency",))))


@pytest.mark.slow
def test_a_report_leaves_the_studys_own_files_as_they_were(
    made: tuple[Path, dict[str, Scored]], tmp_path: Path
) -> None:
    home = shutil.copytree(made[0], tmp_path / "study")
    before = sorted(path.name for path in home.iterdir())
    assert {path.parent for path in ctxbench.report(home)} == {home / COST}
    assert sorted(path.name for path in home.iterdir()) == before
    (header,) = list(csv.reader((home / COST / "summary.csv").read_text().splitlines()))[:1]
    assert {"miou_pct", "miou_ci_points", "lat_median_ms"} <= {*header}
