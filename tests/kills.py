"""Kill a tiny training at random moments, go on with it, and hold it against one that nothing happened to.

``python tests/kills.py --count 100`` starts so many trainings, ends each by SIGKILL, SIGINT or SIGTERM at a
random moment, one in three of them while a file is being written, and resumes it until it is done. What was
on disk must still be there, and weights, logs and scores must come to what the undisturbed training came to.
Prints a line for what differs, then a summary; the exit code is 1 where anything differs.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # sums in the same order, and nothing that a fork could break

import pandas as pd
import torch
from tiny import TINY, tiny_folder

from ctxbench.train.checkpoint import Checkpoint
from ctxbench.train.config import configure
from ctxbench.train.loop import resume
from ctxbench.train.run import LAST, TrainedRun

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
ENDS = {0, 130, *(-number for number in SIGNALS)}
"""Exit codes of a training that ended, was interrupted, or was killed before it could handle a signal."""
TIMES = ["images_per_s", "wait_share"]
FORK = multiprocessing.get_context("fork")  # each training without the seconds that importing torch takes


def train(folder: Path) -> None:
    """What each process does."""
    with (folder / "output.txt").open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            resume(folder)
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)


def started(folder: Path) -> multiprocessing.Process:
    process = FORK.Process(target=train, args=(folder,))
    process.start()
    return process


def begun(root: Path, folder: Path, workers: int) -> Path:
    """A run's folder in which nothing has been trained yet."""
    folder.mkdir()
    config = configure(
        TINY,
        {
            "root": str(root),
            "iterations": 12,
            "checkpoint_every": 3,
            "evaluate_every": 4,
            "workers": workers,
        },
    )
    (folder / "config.toml").write_text(config.to_toml())
    return folder


def kill(
    process: multiprocessing.Process, folder: Path, whole_s: float, draw: random.Random
) -> signal.Signals:
    """End a process by a signal, after a part of the time that a whole training takes, or amid a write."""
    number, amid_write = draw.choice(SIGNALS), draw.random() < 1 / 3
    until = time.monotonic() + draw.random() * whole_s
    while process.is_alive() and time.monotonic() < until:
        time.sleep(0.002)
    while process.is_alive() and amid_write and not list(folder.rglob(".*.new")):
        time.sleep(0.0002)
    if process.is_alive():
        os.kill(process.pid, number)
    process.join()
    return number


def kept_iteration(folder: Path) -> int:
    """That of the checkpoint, which must be whole wherever there is one."""
    return Checkpoint.read(folder / LAST).iteration if (folder / LAST).exists() else 0


def different(run: TrainedRun, reference: TrainedRun) -> list[str]:
    """In what a finished run is not the undisturbed one."""
    weights, expected = run.checkpoint(), reference.checkpoint()
    checks = {
        "weights": all(torch.equal(weights.model[key], value) for key, value in expected.model.items()),
        "best": weights.best == expected.best,
        "best.ckpt": run.checkpoint("best").iteration == reference.checkpoint("best").iteration,
        "train.csv": run.log().drop(columns=TIMES).equals(reference.log().drop(columns=TIMES)),
        "evaluations.csv": run.evaluations().equals(reference.evaluations()),
        "evaluation": run.evaluation.miou == reference.evaluation.miou,
        "report": (run.folder / "report.md").is_file(),
    }
    return [name for name, same in checks.items() if not same]


def tried(
    root: Path, folder: Path, reference: TrainedRun, whole_s: float, draw: random.Random, ends: Counter[str]
) -> list[str]:
    """Kill a training one to three times, then let it come to its end; return what went wrong.

    ``ends`` counts the signals that came before the end, by name.
    """
    begun(root, folder, workers=draw.choice((0, 0, 1)))
    log, written, wrong, before = folder / "train.csv", b"", [], 0
    for _ in range(draw.randint(1, 3)):
        process = started(folder)
        number = kill(process, folder, whole_s, draw)
        ends[number.name] += process.exitcode != 0
        if process.exitcode not in ENDS:
            wrong.append(f"exit code {process.exitcode} after {number.name}")
        now = kept_iteration(folder)
        if now < before:
            wrong.append(f"iteration {before} was kept, and now {now} is")
        rows = pd.read_csv(log) if log.exists() else ()
        # a log that this process did not write to may hold iterations whose state an earlier SIGKILL took
        before_it, written = written, log.read_bytes() if log.exists() else b""
        interrupted = process.exitcode == 130 and number != signal.SIGKILL and written != before_it
        if interrupted and len(rows) > now and now < 12:
            wrong.append(f"{number.name} lost iterations: {len(rows)} are done, {now} are kept")
        before = now
    last = started(folder)
    last.join()
    if last.exitcode != 0:
        return [*wrong, f"resuming ended with {last.exitcode}: see {folder / 'output.txt'}"]
    return wrong + different(TrainedRun(folder), reference)


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, wrong, ends = random.Random(arguments.seed), Counter[str](), Counter[str]()
    place = Path(tempfile.mkdtemp(prefix="ctxbench-kills-"))
    root = tiny_folder(place / "data")
    reference = begun(root, place / "reference", workers=0)
    start = time.monotonic()
    process = started(reference)
    process.join()
    whole_s = time.monotonic() - start
    assert process.exitcode == 0, (reference / "output.txt").read_text()
    for index in range(arguments.count):
        for fault in tried(root, place / f"run{index}", TrainedRun(reference), whole_s, draw, ends):
            wrong[fault] += 1
            print(f"run{index}: {fault}", flush=True)
    print(f"signals that came before the end: {', '.join(f'{name} {ends[name]}' for name in sorted(ends))}")
    print(f"{arguments.count} trainings killed, {sum(wrong.values())} faults; in {place}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
