"""A study of whole networks: what each trains, and what is said of trainings that are made up."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from study.whole.test_grid import Failing
from synthetic import write_run
from tiny import TINY, tiny_folder

import ctxbench
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.files import write_evaluation
from ctxbench.measure.folder import Plan, Run
from ctxbench.measure.records import Record
from ctxbench.study.accuracies import read_run
from ctxbench.study.accuracy.figure import pareto
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.accuracy.sheet import Study
from ctxbench.study.cells import COST, begin, read_plan
from ctxbench.study.whole import study as whole
from ctxbench.study.whole.rows import Row
from ctxbench.study.whole.spec import TrainingPlan, config_of, planned, trains
from ctxbench.study.whole.trial import SCORES, TrialCell
from ctxbench.subject.case import Case
from ctxbench.train.config import TrainConfig
from ctxbench.train.presets import SYNTHETIC

CLASSES = ("sky", "sea", "sand")
CASES = tuple(Case(module, 8, 9, 9, implementation="single") for module in ("cam", "se"))


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    data = tiny_folder(tmp_path / "data")
    given = {name: value for name, value in TINY.items() if name != "evaluate_every"}
    config = config_of({"dataset": "folder", "root": str(data)}, {**given, "scale": (1.0, 1.5)})
    return planned(CASES, config, baseline="se", seeds=3)


def scored(config: TrainConfig, seed: int, folder: Path) -> Evaluation:
    """Leave a training that has ended, with a confusion matrix of its own."""
    trial = Row("", config).trial(seed)
    home = trial.home(folder)
    home.mkdir(parents=True)
    (home / "config.toml").write_text(trial.config.to_toml())
    rng = np.random.default_rng([seed, len(str(config.context))])
    confusion: NDArray[np.int64] = rng.integers(1, 20, (3, 3)) + np.diag([40, 30, 20])
    evaluation = Evaluation(confusion, CLASSES, "folder", "val", 3, config.title, 1.0, scales=(1.0,))
    write_evaluation(home / "evaluation", evaluation)
    scores = {"single scale": {"miou_pct": evaluation.miou, "device": "a machine"}}
    (home / SCORES).write_text(json.dumps(scores))
    return evaluation


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that took a millisecond."""
    records = [Record(case, params=8, rounds_ms=[[1.0] * 3] * 8) for case in CASES]
    monkeypatch.setattr(whole, "cost", lambda *_: Run(Plan(CASES), records))


def test_networks_differ_in_their_block_alone(plan: TrainingPlan, tmp_path: Path) -> None:
    none, cam, se = (plan.config_of(case) for case in plan.subjects)
    assert (none.context, cam.context, se.context) == ("none", "cam", "se")
    assert replace(cam, context="none") == replace(se, context="none") == none
    assert not none.global_pool
    assert (none.iterations, none.evaluate_every, none.baseline) == (TINY["iterations"], 0, False)
    begin(tmp_path / "study", PLAN, plan)
    kept = read_plan(tmp_path / "study", PLAN, TrainingPlan)
    assert [kept.config_of(case).digest for case in kept.subjects] == [c.digest for c in (none, cam, se)]
    assert trains(tmp_path / "study")
    assert not trains(tmp_path)


def test_a_training_is_as_its_data_set_has_it_but_for_what_is_given() -> None:
    usual = config_of({"dataset": "synthetic", "root": None}, ())
    assert (usual.iterations, usual.lr) == (SYNTHETIC.settings["iterations"], SYNTHETIC.settings["lr"])
    assert config_of({}, (), quick=True).iterations == 150
    assert config_of({}, (), quick=True, steps=7).iterations == 7
    given = config_of({"batch": 4}, ["crop=97", "global_pool=true"])
    assert (given.batch, given.crop, given.global_pool) == (4, 97, True)
    for name in ("context", "seed", "model", "init", "evaluate_every"):
        with pytest.raises(UserError, match=f"a study chooses {name} itself"):
            config_of({}, [f"{name}=1"])


@pytest.mark.usefixtures("costs")
def test_differences_are_over_seeds(plan: TrainingPlan, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    begin(folder, PLAN, plan)
    found = {
        case.module: [scored(plan.config_of(case), seed, folder) for seed in plan.seeds]
        for case in plan.subjects
    }
    studied = whole.resume(folder)
    none, cam, se = studied.rows
    assert cam.miou == pytest.approx([one.miou for one in found["cam"]])
    assert none.accuracy == pytest.approx([one.pixel_accuracy for one in found["none"]])
    assert (none.to_none, se.to_baseline) == (None, None)
    assert cam.to_baseline is not None
    gains = np.subtract(cam.miou, none.miou)
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert cam.to_none is not None
    assert (cam.to_none.low, cam.to_none.high) == pytest.approx((expected.low, expected.high))
    scores, classes = Study(studied).grids()
    assert "whole networks on folder · resnet-tiny, random weights" in scores.title
    assert "3 images to evaluate · n = 3 seeds" in scores.title
    assert any("trained as a whole" in note and "GPM" not in note for note in scores.notes)
    assert any("95 % intervals: Student's t over seeds" in note for note in scores.notes)
    assert not any("frozen" in note for note in scores.notes)
    by_class = [cell.text for cell in classes.groups[0].rows[1]]
    assert by_class[:3] == ["sea", *(f"{np.mean([e.iou[1] for e in found[n]]):.1f}" for n in ("none", "cam"))]
    figure = pareto(studied.rows, studied.plan.trained)
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "mIoU of whole networks [%], bars: sd over seeds"
    write_run(folder / COST, [Record(case, params=8) for case in CASES])
    accuracies = [record.accuracy for record in read_run(folder).records]
    assert [one.miou_pct for one in accuracies] == pytest.approx([np.mean(cam.miou), np.mean(se.miou)])
    assert all("whole networks on folder" in one.study and "frozen" not in one.study for one in accuracies)


@pytest.mark.usefixtures("costs")
def test_a_training_that_fails_costs_its_seed(plan: TrainingPlan, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    begin(folder, PLAN, plan)
    wanted: Sequence[tuple[Case, int]] = [(case, seed) for case in plan.subjects for seed in plan.seeds]
    for case, seed in wanted:
        if (case.module, seed) not in (("se", 1), ("cam", 0), ("cam", 1), ("cam", 2)):
            scored(plan.config_of(case), seed, folder)
    studied = whole.resume(folder, Failing("error", "the loss is nan"))
    assert Study(studied).failed == {
        "CAM": "the loss is nan (seed 0, 1, 2)",
        "SE": "the loss is nan (seed 1)",
    }
    none, cam, se = studied.rows
    assert (len(none.miou), cam.scored, len(se.miou)) == (3, None, 2)
    assert (cam.to_none, cam.to_baseline) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"train": True, "size": 64, "level": "C4"},
            "not for whole networks, but for frozen features: level, size",
        ),
        ({"train": True, "settings": ["crop=3"]}, "crop is 3, not a whole number of at least 65"),
        ({"settings": {"lr": 1.0}}, "settings are of a training of whole networks: give train"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        ctxbench.study("se", **arguments)
    assert not list(tmp_path.iterdir())


def test_networks_of_several_devices_are_refused(plan: TrainingPlan, tmp_path: Path) -> None:
    row = Row("", replace(plan.config, devices=2))
    with pytest.raises(UserError, match="leave devices out of the settings"):
        whole.grid.check([row], [0], tmp_path / "grid")


def test_a_gpu_is_asked_for_where_networks_are_trained(
    plan: TrainingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    row = Row("", replace(plan.config, device="cuda"))
    with pytest.raises(UserError, match="torch sees 0"):
        whole.grid.check([row], [0], tmp_path / "grid")
    whole.grid.check([row], [0], tmp_path / "grid", Failing("lost", "elsewhere"))
    needs = TrialCell(row.trial(0), "grid").needs
    assert (needs.gpus, needs.cores, needs.starts_others) == (1, 1, True)
