"""A grid of trainings: shared, killed, gone on with, failed in part, and how long it will take."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from tiny import TINY, tiny_folder

from ctxbench.errors import UserError
from ctxbench.evaluate.predict import Setting
from ctxbench.files import locked, write_text
from ctxbench.study.cells import Cell, Outcome, Progress
from ctxbench.study.executors.here import Here
from ctxbench.study.significance import holm, power_in_words
from ctxbench.study.whole.estimate import TIMED, Estimate, estimate
from ctxbench.study.whole.grid import LOCK, check, planned, run_grid
from ctxbench.study.whole.rows import Result, Row, compare
from ctxbench.study.whole.trial import PLAN, SCORES, SINGLE_SCALE, Trial, read_plan, words, write_plan
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.run import TrainedRun

ROOT = Path(__file__).resolve().parents[3]
FLIP = Setting((1.0,), flip=True)


def grid(data: Path) -> list[Row]:
    """A row, one that evaluates it otherwise, and one that goes on from it at length."""
    config = configure(TINY, {"root": str(data), "iterations": 2, "evaluate_every": 0})
    short = Row("short", config)
    long = Row("long", replace(config, iterations=60), start=short)
    return [short, Row("flipped", config, FLIP), long]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(data: Path) -> TrainConfig:
    return grid(data)[0].config


KILLED = """
import sys
from pathlib import Path
from study.whole.test_grid import grid
from ctxbench.study.whole.grid import run_grid
run_grid(grid(Path(sys.argv[1])), [0], Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def killed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a grid that was killed while its second run trained, which had a checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "modules", "tests"))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(folder)], env={**os.environ, "PYTHONPATH": paths}
    )
    checkpoint = grid(data)[2].trial(0).home(folder) / "last.ckpt"
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    with pytest.raises(UserError, match="is being written by another process"):
        run_grid(grid(data), [0], folder)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    return folder


@pytest.mark.slow
def test_a_killed_grid_goes_on_where_it_stopped(killed: Path, data: Path) -> None:
    rows = grid(data)
    first, second = (rows[index].trial(0) for index in (0, 2))
    assert [name for name, trial in read_plan(killed).items() if trial.finished(killed)] == [first.name]
    done = (first.home(killed) / SCORES, first.home(killed) / "last.ckpt")
    before = [path.stat().st_mtime_ns for path in done]
    seen: list[Progress] = []
    short, flipped, long = run_grid(rows, [0], killed, progress=seen.append)

    assert [path.stat().st_mtime_ns for path in done] == before
    run = TrainedRun(second.home(killed))
    assert [start["from_iteration"] >= 2 for start in run.starts] == [False, True]
    assert long.starts == (run.starts,)
    assert run.log()["iteration"].tolist() == list(range(1, 61))
    assert run.config.init == str(first.home(killed))
    assert long.miou == {0: run.evaluation.miou}
    assert short.miou == {0: TrainedRun(first.home(killed)).evaluation.miou}
    assert flipped.miou[0] == first.scores(killed)["single scale, flip"]["miou_pct"]
    assert len(list((killed / "runs").iterdir())) == 2
    assert seen[0].active == ("long, seed 0",)
    assert (seen[-1].fraction, seen[-1].ended, seen[-1].failed, seen[-1].active) == (1.0, 1, 0, ())


STOPPED = """
import sys
from dataclasses import replace
from pathlib import Path
from study.whole.test_grid import grid
from ctxbench.study.whole.grid import run_grid
row = grid(Path(sys.argv[1]))[0]
row = replace(row, config=replace(row.config, iterations=300, checkpoint_every=0))
run_grid([row], [0], Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_grid_that_is_interrupted_keeps_what_its_runs_have_done(
    number: signal.Signals, data: Path, tmp_path: Path
) -> None:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "modules", "tests"))
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(data), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = "runs/*/train.csv"
    while process.poll() is None and not [p for p in tmp_path.glob(log) if p.read_bytes().count(b"\n") > 3]:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate()
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    (path,) = tmp_path.glob(log)
    run = TrainedRun(path.parent)
    assert 0 < run.checkpoint().iteration == len(run.log()) < 300


def test_rows_that_train_the_same_share_a_run(config: TrainConfig) -> None:
    plain = Row("plain", config)
    tuned = Row("tuned", replace(config, lr=0.001), FLIP, start=plain)
    trials = planned([tuned, plain, Row("flipped", config, FLIP), Row("again", config)], [0, 1])
    assert [trial.config.seed for trial in trials.values()] == [0, 0, 1, 1]
    start, second = list(trials.values())[:2]
    assert (start.labels, start.settings) == (("plain", "flipped", "again"), (SINGLE_SCALE, FLIP))
    assert (second.labels, second.start, second.settings) == (("tuned",), start.name, (FLIP,))
    untuned = Row("", tuned.config)
    assert untuned.trial(0).name != second.name


def test_a_plan_is_read_as_it_was_written(config: TrainConfig, tmp_path: Path) -> None:
    plain = Row("plain", replace(config, scale=(0.75, 1.5)))
    trials = planned([plain, Row("tuned", config, FLIP, start=plain)], [0, 3])
    write_plan(tmp_path, trials)
    assert read_plan(tmp_path) == trials
    bare = json.dumps({name: {**trial.to_json(), "config": []} for name, trial in trials.items()})
    for text in ("[]", "{", '{"a": {}}', '{"a": 1}', bare):
        (tmp_path / PLAN).write_text(text)
        with pytest.raises(UserError, match=r"plan\.json is no plan of a grid of trainings: "):
            read_plan(tmp_path)


class Failing:
    """An executor whose cells all fail in one way."""

    def __init__(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason

    def outcomes(self, cells: Sequence[Cell], *_: Any) -> Generator[Outcome, None, None]:
        yield from (Outcome(cell.key, self.status, self.reason) for cell in cells)


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        ("error", "the loss is nan", "the loss is nan"),
        ("crashed", "the process left with exit code 3", "crashed: the process left with exit code 3"),
        ("lost", "job 7 ended", "lost: job 7 ended"),
    ],
)
def test_a_failed_run_costs_its_rows_alone(
    status: str, said: str, reason: str, config: TrainConfig, tmp_path: Path
) -> None:
    plain = Row("plain", config)
    rows = [plain, Row("tuned", config, start=plain), Row("done", replace(config, momentum=0.8))]
    known = {words(SINGLE_SCALE): {"miou_pct": 50.0, "device": "a machine"}}
    home = rows[2].trial(0).home(tmp_path / "grid")
    home.mkdir(parents=True)
    (home / SCORES).write_text(json.dumps(known))
    (home / "config.toml").write_text(config.to_toml())
    start = {"cpu": "a machine", "began": "2026-01-02T03:04:05+00:00"}
    (home / "environment.json").write_text(json.dumps([start]))
    first, second, done = run_grid(rows, [0], tmp_path / "grid", executor=Failing(status, said))
    assert first.reasons == {0: reason}
    assert second.reasons == {0: f"the run it starts from failed: {reason}"}
    assert (first.mean, second.mean) == (None, None)
    assert (done.miou, done.reasons, done.devices) == ({0: 50.0}, {}, ("a machine",))
    assert (first.starts, done.starts) == ((), ([start],))


class Timed:
    """In place of trainings: iterations whose time is known from the rank, and evaluations of 2 s."""

    def __init__(self) -> None:
        self.ranks: list[int] = []

    def __call__(
        self, trials: Sequence[Trial], folder: Path, executor: Here, weights: Mapping[str, float]
    ) -> dict[str, str]:
        for trial in trials:
            assert trial.config.iterations == TIMED
            rank = trial.config.context_options["rank"]
            self.ranks.append(rank)
            home = trial.home(folder)
            home.mkdir(parents=True)
            write_text(home / "config.toml", trial.config.to_toml())
            pace = trial.config.batch / (rank / 100)
            rows = "".join(f"{0.01 if i == 0 else pace}\n" for i in range(TIMED))
            write_text(home / "train.csv", f"images_per_s\n{rows}")
            write_text(home / SCORES, json.dumps({words(SINGLE_SCALE): {"seconds": 2.0}}))
        return {}


def test_the_estimate_is_of_timed_iterations(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed()
    monkeypatch.setattr("ctxbench.study.whole.estimate.run_trials", timed)
    ranked = {
        rank: replace(config, context="reconet", context_options={"rank": rank}, iterations=1000)
        for rank in (10, 30, 50)
    }
    multi = Setting((1.0, 2.0), flip=True)
    rows = [Row(str(rank), ranked[rank]) for rank in (30, 50, 10)] + [Row("multi", ranked[50], multi)]
    trials = planned(rows, [0, 1])
    found = estimate(list(trials.values()), Here(2))
    assert timed.ranks == [10, 50]
    assert (found.runs, found.iterations) == (6, 6000)
    assert (found.cheapest_s, found.costliest_s) == pytest.approx((0.1, 0.5))
    assert found.seconds is not None
    by_rank = {trials[name].config.context_options["rank"]: s for name, s in found.seconds.items()}
    extra = by_rank[10] - 100  # the start of a process
    assert extra >= 0
    assert by_rank[30] == pytest.approx(300 + extra, rel=0.01)  # MACs grow linearly with the rank
    assert by_rank[50] == pytest.approx(500 + extra + 2 * 2.0 * (1 + 4))
    assert found.hours == pytest.approx(sum(found.seconds.values()) / 2 / 3600)
    assert "6 runs are to do, 6,000 iterations, 2 at once" in str(found)


def test_an_estimate_that_fails_says_so(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> dict[str, str]:
        return {"a": "out of luck"}

    monkeypatch.setattr("ctxbench.study.whole.estimate.run_trials", broken)
    found = estimate([Row("a", config).trial(0)], Here(1))
    assert (found.hours, found.iterations) == (None, 2)
    assert str(found).endswith("their time is not measured: out of luck")
    assert str(Estimate(1, 2, 1, 0.5, 0.5, {"a": 1800.0})).endswith("all take about 0.5 h.")


def test_bad_settings_end_a_grid_before_it_starts(config: TrainConfig, tmp_path: Path) -> None:
    rows = [Row("a", config), Row("b", replace(config, weights="nowhere.pth"))]
    with pytest.raises(UserError, match="no file of weights at"):
        run_grid(rows, [0], tmp_path, say=print)
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_trained_is_told_before_anything_is(
    config: TrainConfig, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "grid"
    for change, why in (({"root": "nowhere"}, "nowhere"), ({"weights": "nowhere.pth"}, "no file of weights")):
        with pytest.raises(UserError, match=why):
            check([Row("a", replace(config, **change))], [0], folder)
    check(grid(data), [0], folder)
    assert not folder.exists()


def test_of_a_finished_grid_no_data_are_asked_for(config: TrainConfig, tmp_path: Path) -> None:
    row = Row("a", replace(config, root="nowhere"))
    home = row.trial(0).home(tmp_path)
    home.mkdir(parents=True)
    (home / SCORES).write_text(json.dumps({words(SINGLE_SCALE): {"miou_pct": 50.0}}))
    check([row], [0], tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        check([row], [0, 1], tmp_path)


def test_a_folder_in_use_is_told_before_anything_is_trained(config: TrainConfig, tmp_path: Path) -> None:
    with locked(tmp_path, LOCK), pytest.raises(UserError, match="is being written by another process"):
        check([Row("a", config)], [0], tmp_path)
    check([Row("a", config)], [0], tmp_path)


def results(config: TrainConfig, *scores: tuple[dict[int, float], int | None]) -> list[Result]:
    """Results by seed, each with the index of the one it is compared with."""
    return [Result(Row("", config, reference=reference), miou) for miou, reference in scores]


def test_gains_are_tested_seed_by_seed(config: TrainConfig) -> None:
    better, other = {0: 70.1, 1: 71.0, 2: 69.5, 3: 80.0}, {0: 68.0, 1: 69.9, 2: 66.0}
    worse = {0: 68.1, 1: 69.7, 2: 66.3}
    scores = [(other, None), (better, 0), (worse, 0), ({0: 0.5}, None), ({0: 1.0}, 3), ({}, 0)]
    first, gained, lost, _, single, nothing = compare(results(config, *scores))
    assert (first.gain, first.p, nothing.gain, nothing.p) == (None, None, None, None)
    assert (gained.gains, gained.gain) == (
        pytest.approx([2.1, 1.1, 3.5]),
        pytest.approx((2.1 + 1.1 + 3.5) / 3),
    )
    raw = [
        float(stats.ttest_rel([row[seed] for seed in range(3)], list(other.values())).pvalue)
        for row in (better, worse)
    ]
    assert [gained.p, lost.p] == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])
    assert (single.gain, single.p, single.significant) == (0.5, None, False)
    same = compare(results(config, (other, None), (other, 0)))[1]
    assert (same.gain, same.p) == (0.0, 1.0)


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.04, None, 0.01]) == [0.04, None, 0.02]


@pytest.mark.parametrize(
    ("mean", "p", "direction"),
    [
        (1.0, 0.04, "appeared"),
        (-1.0, 0.04, "did not appear"),
        (1.0, 0.06, "not significant"),
        (9.0, None, "not significant"),
    ],
)
def test_a_direction_needs_significance(
    mean: float, p: float | None, direction: str, config: TrainConfig
) -> None:
    reference = Result(Row("", config, printed="50.0"), {0: 50.0})
    row = Row("", config, reference=0, printed="50.6")
    assert Result(row, {0: 50.0 + mean}, reference=reference, p=p).direction == direction


def test_few_seeds_are_said_to_see_little() -> None:
    assert "One seed: nothing can be tested" in power_in_words(1)
    assert "a difference must be 2.5 times its own standard deviation" in power_in_words(3)


def test_mean_and_scatter_are_over_the_seeds_there_are(config: TrainConfig) -> None:
    row = Row("a", config)
    found = Result(row, {0: 70.0, 2: 74.0}, {1: "lost"})
    assert (found.mean, found.sd) == (72.0, pytest.approx(8**0.5))
    assert (Result(row, {0: 70.0}).sd, Result(row, {}).mean) == (None, None)
