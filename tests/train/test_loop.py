"""Training: the steps it takes, that a kill changes none of them, and what stops it."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import TINY, tiny_folder
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import PolynomialLR
from torch.utils.tensorboard import SummaryWriter

from ctxbench.data.augment import Augment
from ctxbench.data.loader import train_loader
from ctxbench.errors import UserError
from ctxbench.files import locked
from ctxbench.networks.losses import cross_entropy
from ctxbench.table.column import signed
from ctxbench.train.config import configure
from ctxbench.train.job import Job
from ctxbench.train.logs import EVALUATIONS, Logs
from ctxbench.train.loop import resume, train
from ctxbench.train.run import TrainedRun
from ctxbench.train.training import Progress

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def settings(data: Path) -> dict[str, Any]:
    return {**TINY, "root": str(data)}


@pytest.fixture(scope="module")
def unbroken(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    config = configure(settings, {"iterations": 10, "checkpoint_every": 3, "evaluate_every": 4})
    return train(config, tmp_path_factory.mktemp("unbroken") / "run")


def same_weights(run: TrainedRun, other: TrainedRun) -> bool:
    ours, theirs = run.checkpoint().model, other.checkpoint().model
    return list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_its_steps_are_those_of_a_plain_loop(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    monkeypatch.setattr(nn.Dropout, "forward", lambda _, x: x)
    monkeypatch.setattr(nn.Dropout2d, "forward", lambda _, x: x)
    adamw = {"optimizer": "adamw", "lr": 1e-3} if optimizer == "adamw" else {}
    config = configure(
        settings,
        {"iterations": 3, "batch": 4, "accumulate": 2, "head_lr_factor": 10.0, "aux_weight": 0.3, **adamw},
    )
    job = Job.prepare(config)
    network = job.network
    body = list(network.backbone.parameters())
    heads = [*network.head.parameters(), *(network.auxiliary or nn.Module()).parameters()]
    groups: list[dict[str, Any]] = [{"params": body}, {"params": heads, "lr": 10 * config.lr}]
    rule = (
        torch.optim.AdamW(groups, config.lr, betas=(0.9, 0.999), weight_decay=1e-4)
        if adamw
        else torch.optim.SGD(groups, config.lr, momentum=0.9, weight_decay=1e-4)
    )
    schedule = PolynomialLR(rule, 3, 0.9)
    batches = train_loader(job.train_set, Augment(65), batch=2, seed=0, start=0, count=6)
    for _ in range(3):
        rule.zero_grad()
        for images, labels in (next(batches), next(batches)):
            main, auxiliary = (functional.cross_entropy(x, labels, ignore_index=255) for x in network(images))
            ((main + 0.3 * auxiliary) / 2).backward()
        rule.step()
        schedule.step()
    trained = train(config, tmp_path / "run").checkpoint().model
    for key, value in network.state_dict().items():
        torch.testing.assert_close(trained[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_cross_entropy_leaves_ignored_pixels_out() -> None:
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[:, :2] = 255
    expected = functional.cross_entropy(logits[:, :, 2:], labels[:, 2:])
    torch.testing.assert_close(cross_entropy(logits, labels), expected)
    assert cross_entropy(logits, torch.full_like(labels, 255)) == 0


def test_a_run_logs_every_iteration(unbroken: TrainedRun) -> None:
    log = unbroken.log()
    assert log["iteration"].tolist() == list(range(1, 11))
    assert log["epoch"].tolist() == pytest.approx([i * 2 / 5 for i in range(1, 11)], rel=1e-5)
    assert log["lr"].tolist() == pytest.approx([0.05 * (1 - i / 10) ** 0.9 for i in range(10)], rel=1e-5)
    assert log["loss"].tolist() == pytest.approx((log["main"] + 0.2 * log["aux"]).tolist(), rel=1e-4)
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    assert ((log["wait_share"] > 0) & (log["wait_share"] < 1)).all()
    assert (log["images_per_s"] > 0).all()


def test_a_run_is_evaluated_as_often_as_asked(unbroken: TrainedRun) -> None:
    scores = unbroken.evaluations()
    assert scores["iteration"].tolist() == [4, 8, 10]
    assert unbroken.checkpoint("best").best == pytest.approx(scores["miou"].max(), rel=1e-5)
    assert unbroken.evaluation.miou == pytest.approx(scores["miou"].iloc[-1], rel=1e-5)
    assert unbroken.evaluation.images == 3


def test_a_killed_run_comes_to_the_same_weights(
    unbroken: TrainedRun, settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(unbroken.config.to_toml())
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
    command = [sys.executable, "-m", "ctxbench", "train", "--resume", str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    log = tmp_path / "train.csv"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < 6):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    with log.open("a") as file:
        file.write("9,3.6,0.4")  # a row that the kill tore
    assert 0 < TrainedRun(tmp_path).checkpoint().iteration < 10
    run = resume(tmp_path)
    assert same_weights(run, unbroken)
    left_out = ["images_per_s", "wait_share"]
    pd.testing.assert_frame_equal(run.log().drop(columns=left_out), unbroken.log().drop(columns=left_out))
    pd.testing.assert_frame_equal(run.evaluations(), unbroken.evaluations())
    assert run.evaluation.miou == unbroken.evaluation.miou


def test_a_run_interrupted_between_checkpoints_comes_to_the_same_weights(
    unbroken: TrainedRun, tmp_path: Path
) -> None:
    def interrupt(state: Progress) -> None:
        if state.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(unbroken.config, tmp_path / "run", progress=interrupt)
    assert TrainedRun(tmp_path / "run").checkpoint().iteration == 4  # kept before the evaluation after 4
    run = resume(tmp_path / "run")
    assert same_weights(run, unbroken)
    assert [start["from_iteration"] for start in run.starts] == [0, 4]
    assert [start["torch"] for start in run.starts] == [torch.__version__] * 2


def test_resuming_a_finished_run_changes_nothing(unbroken: TrainedRun) -> None:
    before = unbroken.log()
    assert same_weights(resume(unbroken.folder), unbroken)
    pd.testing.assert_frame_equal(unbroken.log(), before)
    assert len(unbroken.starts) == 1


def test_a_run_goes_on_without_what_it_started_from(
    unbroken: TrainedRun, settings: dict[str, Any], tmp_path: Path
) -> None:
    def interrupt(state: Progress) -> None:
        if state.done == 3:
            raise KeyboardInterrupt

    origin = edited(unbroken, tmp_path / "origin", "seed = 0", "seed = 0")
    config = configure(settings, {"init": str(origin)})
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=interrupt)
    (origin / "last.ckpt").unlink()
    run = resume(tmp_path / "run")
    assert run.checkpoint().iteration == 4
    assert [start["weights"] for start in run.starts] == [
        f"the whole network's from {origin / 'last.ckpt'}",
        "its own, of last.ckpt",
    ]


def test_a_baseline_is_trained_beside_it_and_the_gap_stated(settings: dict[str, Any], tmp_path: Path) -> None:
    run = train(configure(settings, {"iterations": 2, "baseline": True}), tmp_path / "run")
    assert run.baseline is not None
    gap = run.evaluation.miou - run.baseline.evaluation.miou
    assert f"The gap is **{signed(gap, 2)} points**" in (run.folder / "report.md").read_text()
    *_, gaps = run.grids()
    scores = (run.evaluation.miou, run.baseline.evaluation.miou, gap)
    assert [cell.text for cell in gaps.groups[1].rows[0]] == [
        "mean", f"{scores[0]:.2f}", f"{scores[1]:.2f}", signed(scores[2], 2),
    ]  # fmt: skip
    assert [row[0].text for row in gaps.groups[0].rows] == list(run.evaluation.classes)
    kept, bare = run.checkpoint().model, run.baseline.checkpoint().model
    assert {key for key in kept if key.startswith("head.context")}
    assert not {key for key in bare if key.startswith("head.context")}


def test_a_context_module_of_ones_own_is_found_from_anywhere(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\n\n\nclass Own(nn.Conv2d):\n"
        "    def __init__(self, channels):\n        super().__init__(channels, channels, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    train(configure(settings, {"iterations": 1, "context": "own.py:Own"}), Path("run"))
    monkeypatch.chdir("/")
    run = TrainedRun(tmp_path / "run")
    assert run.config.title == "own.py:Own and GPM"
    before = run.config.digest
    with (tmp_path / "own.py").open("a") as source:
        source.write("MORE = 1\n")
    assert run.config.digest != before
    assert run.network().head.context.weight.shape == (8, 8, 1, 1)


def test_mixed_precision_trains_in_bfloat16(settings: dict[str, Any], tmp_path: Path) -> None:
    first = {
        precision: train(configure(settings, {"iterations": 1, "precision": precision}), tmp_path / precision)
        for precision in ("32-true", "bf16-mixed")
    }
    full, mixed = (run.log()["loss"][0] for run in first.values())
    assert mixed != full
    assert mixed == pytest.approx(full, rel=0.02)
    kept = first["bf16-mixed"].checkpoint().model.values()
    assert {value.dtype for value in kept} == {torch.float32, torch.int64}


def test_channels_last_takes_the_same_steps(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(nn.Dropout, "forward", lambda _, x: x)  # its mask is drawn in the memory's order
    monkeypatch.setattr(nn.Dropout2d, "forward", lambda _, x: x)
    monkeypatch.setattr(
        "ctxbench.train.step.cross_entropy", lambda x, y: seen.append(x) or cross_entropy(x, y)
    )
    runs = [
        train(configure(settings, {"iterations": 1, "channels_last": layout}), tmp_path / f"{layout}")
        for layout in (False, True)
    ]
    plain, last = (run.log()["loss"][0] for run in runs)
    assert last == pytest.approx(plain, rel=1e-4)
    assert [x.is_contiguous(memory_format=torch.channels_last) for x in seen] == [False, False, True, True]


def test_a_loss_that_is_no_number_stops_with_its_batch(settings: dict[str, Any], tmp_path: Path) -> None:
    config = configure(settings, {"lr": 1e30, "checkpoint_every": 1, "evaluate_every": 0})
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at iteration \d; its batch is in .*nan-batch"
    ):
        train(config, tmp_path / "run")
    batch = torch.load(tmp_path / "run/nan-batch.pt", weights_only=True)
    assert batch["images"].shape == (2, 3, 65, 65)
    assert batch["labels"].shape == (2, 65, 65)


def test_a_network_that_diverged_has_no_score(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scores are no numbers"):
        train(configure(settings, {"lr": 1e38, "iterations": 1}), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").glob("*.ckpt")] == ["last.ckpt"]
    assert TrainedRun(tmp_path / "run").evaluations().empty


def test_a_signal_after_the_last_iteration_is_not_lost(settings: dict[str, Any], tmp_path: Path) -> None:
    """It comes while that is shown, which is not interrupted: what a grid does next would go on for long."""

    def show(state: Progress) -> None:
        if state.done == state.total and state.evaluated is None:
            signal.raise_signal(signal.SIGTERM)

    config = configure(settings, {"iterations": 1, "evaluate_every": 0})
    with pytest.raises(KeyboardInterrupt, match=r"^after iteration 1 of 1, which is kept$"):
        train(config, tmp_path / "run", progress=show)
    assert TrainedRun(tmp_path / "run").checkpoint().iteration == 1
    assert resume(tmp_path / "run").evaluation.images == 3


def test_the_folder_of_a_run_is_not_overwritten(unbroken: TrainedRun) -> None:
    with pytest.raises(UserError, match="already holds a run: go on with it by --resume, or choose"):
        train(unbroken.config, unbroken.folder)


def test_a_folder_in_use_is_left_alone(settings: dict[str, Any], tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UserError, match="is being written by another process"):
        train(configure(settings), tmp_path)
    assert not (tmp_path / "config.toml").exists()


def test_init_starts_from_a_runs_weights(
    unbroken: TrainedRun, settings: dict[str, Any], tmp_path: Path
) -> None:
    started = Job.prepare(configure(settings, {"init": str(unbroken.folder)})).network.state_dict()
    kept = unbroken.checkpoint().model
    assert all(torch.equal(started[key], kept[key]) for key in kept)
    for other, said in (
        (
            {"channels": 16},
            r"head.reduce.0.weight is \(8, \d+, 3, 3\), not \(16, \d+, 3, 3\), .* and \d+ more",
        ),
        ({"auxiliary": False}, "auxiliary.*is unknown"),
        ({"context": "emau"}, "head.context.*is missing"),
    ):
        with pytest.raises(UserError, match=f"last.ckpt is of another architecture: {said}"):
            Job.prepare(configure(settings, {"init": str(unbroken.folder)}, other))


def edited(run: TrainedRun, folder: Path, old: str, new: str) -> Path:
    """A copy of a run's state whose config.toml says something else."""
    folder.mkdir(exist_ok=True)
    text = run.config.to_toml()
    assert old in text
    (folder / "config.toml").write_text(text.replace(old, new))
    (folder / "last.ckpt").write_bytes((run.folder / "last.ckpt").read_bytes())
    return folder


def test_a_run_goes_on_only_as_it_was_begun(unbroken: TrainedRun, tmp_path: Path) -> None:
    data = tiny_folder(tmp_path / "data")
    (data / "classes.txt").write_text("background\ntwo\none\n")
    with pytest.raises(UserError, match="trained on other classes: 1 was 'one' and is 'two', 2 was 'two'"):
        resume(edited(unbroken, tmp_path / "d", str(unbroken.config.root), str(data)))
    with pytest.raises(UserError, match=r"trained with other settings than .*config\.toml now has"):
        resume(edited(unbroken, tmp_path / "a", "momentum = 0.9", "momentum = 0.8"))
    with pytest.raises(UserError, match="was trained on 5 samples, and folder val now has 3"):
        resume(edited(unbroken, tmp_path / "b", "seed = 0", 'seed = 0\ntrain_split = "val"'))
    cut = edited(unbroken, tmp_path / "c", "seed = 0", "seed = 0")
    for damaged in ((cut / "last.ckpt").read_bytes()[:1000], b"0", b"\x80\x02u."):
        (cut / "last.ckpt").write_bytes(damaged)
        with pytest.raises(UserError, match=r"c/last.ckpt is no checkpoint of ctxbench: "):
            resume(cut)


def test_options_given_in_python_are_those_that_are_read_back(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    options = {"context": "ppm", "context_options": {"bins": (1, 2)}, "iterations": 1}
    run = train(configure(settings, options), tmp_path / "run")
    assert same_weights(resume(run.folder), run)


def test_what_has_no_labels_is_not_trained_on(tmp_path: Path) -> None:
    for place in ("JPEGImages/a.jpg", "SegmentationClass/a.png"):
        (tmp_path / place).parent.mkdir()
        Image.new("L", (9, 9)).save(tmp_path / place)
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    for split in ("test", "val"):
        (tmp_path / f"ImageSets/Segmentation/{split}.txt").write_text("a\n")
    config = configure({"dataset": "voc12", "root": str(tmp_path), "train_split": "test"})
    with pytest.raises(UserError, match="voc12 test has no labels: set train_split"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize("call", ["__init__", "add_scalar", "flush", "close"])
def test_a_disk_that_is_full_for_the_logs_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, call, full)

    def write() -> None:
        with Logs(tmp_path, 0, 0) as logs:
            logs.evaluation(dict.fromkeys(EVALUATIONS, 0))
            logs.flush()

    with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
        write()


def test_a_full_disk_is_one_error_and_the_last_checkpoint_stands(
    unbroken: TrainedRun, tmp_path: Path
) -> None:
    folder = edited(unbroken, tmp_path / "run", "seed = 0", "seed = 0")
    kept = folder / "last.ckpt"
    kept.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        with pytest.raises(UserError, match=r"cannot write .*last\.ckpt: File too large"):
            resume(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same_weights(resume(folder), unbroken)


def test_bad_samples_stop_it_or_are_left_out(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tiny_folder(tmp_path / "data")
    for place in ("images/train/1.png", "images/val/2.png"):
        (root / place).write_bytes(b"not a picture")
    settings = {**settings, "root": str(root), "evaluate_every": 0}
    config = configure(settings)
    with pytest.raises(UserError, match=r"images/train/1\.png"):
        train(config, tmp_path / "run")
    run = train(configure(settings, {"skip_bad": True}), tmp_path / "skipped")
    assert run.checkpoint().samples == 4
    assert (run.evaluation.images, run.evaluation.skipped) == (2, ("2",))
    assert "folder train: 1 samples left out: 1" in caplog.text


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            {"batch": 3, "accumulate": 2},
            "batch 3 does not divide by 1 processes × accumulate 2 = 2: take 2 or 4",
        ),
        ({"batch": 1, "accumulate": 2}, "= 2: take 2$"),
        ({"precision": "16-mixed"}, "16-mixed needs a GPU"),
        ({"init": "nowhere"}, "cannot read .*nowhere: No such file"),
        ({"weights": "nowhere.pth"}, "no file of weights at .*nowhere.pth"),
        ({"eval_split": "test"}, "has no split 'test'"),
        ({"dataset": "nothing"}, "no data set named 'nothing'"),
        ({"model": "unet"}, "no model 'unet'"),
        ({"context": "none", "context_options": {"rank": 3}}, "nothing to give rank"),
        ({"init": "run", "baseline": True}, "has no baseline"),
    ],
)
def test_bad_settings_end_before_anything_is_written(
    settings: dict[str, Any], tmp_path: Path, layer: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        train(configure(settings, layer), tmp_path / "run")
    assert not (tmp_path / "run").exists()


OWN = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.used, self.unused = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen = self.seen + x.detach().abs().mean()
        return self.used(x)
"""
WORKER = """
import sys, torch
from pathlib import Path
from ctxbench.train import loop, training
from ctxbench.table.column import lay_out
from ctxbench.table.grid import EMPTY
from ctxbench.train import curves
from ctxbench.train.config import configure

run = training.Training.run


def kept(self):
    run(self)
    torch.save(self.job.network.state_dict(), f"rank{self.session.fabric.global_rank}.pt")


training.Training.run = kept
loop.train(configure(dict(eval(sys.argv[1]))), Path("run"))
"""


@pytest.mark.slow
def test_processes_share_gradients_and_buffers_of_a_module_of_ones_own(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """One with parameters that no gradient reaches, and with a buffer that each moves by its own images."""
    (tmp_path / "own.py").write_text(OWN)
    own = {**settings, "context": "own.py:Own", "devices": 2, "accumulate": 1, "evaluate_every": 0}
    places = {"PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
    (tmp_path / "worker.py").write_text(WORKER)
    process = subprocess.run(
        [sys.executable, "worker.py", repr(own)],
        cwd=tmp_path,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one["head.context.seen"] > 0
    assert all(torch.equal(one[key], other[key]) for key in one)
