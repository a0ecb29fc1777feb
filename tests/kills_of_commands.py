"""Kill ``ctxbench profile`` and ``ctxbench paper`` at random moments, and go on with them to the end.

``python tests/kills_of_commands.py profile --count 60`` ends so many processes by SIGKILL, SIGINT or SIGTERM,
one in three while a file is being written. After each, what was finished before must still be there, to the
byte where it is a record, and no process of it may be left; at the end a training must have come to the
weights that an undisturbed one came to. Prints a line for each fault, then a summary; the exit code is 1
where there is one.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tiny import TINY, tiny_folder

from ctxbench.measure.patience import Patience

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
MARK = "CTXBENCH_KILLED_AS"
"""In the environment of each command and of all that it starts."""
ENDS_WITHIN_S = 60.0
"""How long what a killed command started may take to end, on a machine that is busy with other work."""
SMALL = ("--counter", "none", "--budget", "0.4", "--channels", "4")
PROFILE = ("profile", "se,cam,ppm", "--size", "6,8", *SMALL, "--out", "out")
TABLE10 = ("paper", "table10", "--channels", "8", "--size", "8", "--rank", "2", "--quick", "--out", "out")
SETTINGS = {
    name: value
    for name, value in TINY.items()
    if name not in ("dataset", "backbone", "evaluate_every", "iterations")
}
TABLE8 = (
    *(
        "paper",
        "table8",
        "--quick",
        "--dataset",
        "folder",
        "--root",
        "../data",
        "--device",
        "cpu",
        "--out",
        "out",
    ),
    *(part for name, value in SETTINGS.items() if name != "device" for part in ("--set", f"{name}={value}")),
    *("--set", "iterations=6"),
)

HANGS_AFTER_S = 600.0
"""After which a command that does nothing any more is killed, and said to hang; none has so much to do."""

State = Mapping[str, bytes]
"""What is finished, by a name: a record's line, a round of samples, a run's scores."""


def measured(folder: Path) -> State:
    """The records of a run of cases, and the rounds of those that are not finished."""
    state = {}
    for file in folder.rglob("records.jsonl"):
        for line in file.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                state[json.loads(line)["case_id"]] = line
    for file in folder.rglob("journal.jsonl"):
        count: Counter[str] = Counter()
        for line in file.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and "round_ms" in (entry := json.loads(line)):
                count[case := entry["case_id"]] += 1
                if case not in state:
                    state[f"{case} round {count[case]}"] = json.dumps(entry["round_ms"]).encode()
    return state


def lost_measured(before: State, now: State) -> list[str]:
    """What was finished and is not there as it was; a round may have become part of a record."""
    wrong = []
    for name, content in before.items():
        case, is_round, number = name.partition(" round ")
        if is_round and case in now:
            rounds = json.loads(now[case])["rounds_ms"]
            same = len(rounds) >= int(number) and rounds[int(number) - 1] == json.loads(content)
        else:
            same = now.get(name) == content
        if not same:
            wrong.append(f"{name} is lost or another")
    return wrong


def trained(folder: Path) -> State:
    """The scores of finished runs, and how far the others' checkpoints are."""
    state = {f"scores of {file.parent.name}": file.read_bytes() for file in folder.rglob("scores.json")}
    for file in folder.rglob("last.ckpt"):
        iteration = torch.load(file, weights_only=True)["iteration"]
        state[f"iteration of {file.parent.name}"] = f"{iteration:06}".encode()
    return state


def lost_trained(before: State, now: State) -> list[str]:
    """Scores must stay as they are; a checkpoint may be of a later iteration."""
    return [
        f"{name} was {content!r}, and is {now.get(name)!r}"
        for name, content in before.items()
        if (now.get(name, b"") < content if name.startswith("iteration") else now.get(name) != content)
    ]


@dataclass(frozen=True)
class Subject:
    """A command, the one that goes on with what it left, and what of that is finished."""

    command: tuple[str, ...]
    resume: tuple[str, ...]
    state: Callable[[Path], State]
    lost: Callable[[State, State], list[str]]
    written: tuple[str, ...]
    """Files that are there at the end."""


SUBJECTS = {
    "profile": Subject(
        PROFILE, ("profile", "--resume", "out"), measured, lost_measured, ("table.md", "summary.csv")
    ),
    "table10": Subject(TABLE10, TABLE10, measured, lost_measured, ("table10_8x8x8_rank2.csv",)),
    "table8": Subject(TABLE8, TABLE8, trained, lost_trained, ("table8.csv",)),
}


def started(place: Path, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    """A command line in a group of its own, with the signals as a terminal leaves them."""
    with (place / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "ctxbench", *arguments],
            cwd=place, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1",
                 MARK: str(place)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def left_over(place: Path) -> list[str]:
    """Processes that a command in ``place`` started and that are still there."""
    mark, found = f"{MARK}={place}\0".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80]
                )
        except OSError:
            continue
    return found


@dataclass
class Trial:
    """One command that is killed, gone on with, and killed again, until it has come to its end."""

    subject: Subject
    place: Path
    draw: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def kill(self, process: "subprocess.Popen[bytes]", whole_s: float) -> None:
        """End it by a signal at a random moment, or as soon as it writes a file whole after that."""
        number, amid_write = self.draw.choice(SIGNALS), self.draw.random() < 1 / 3
        until = time.monotonic() + self.draw.random() * whole_s * self.draw.choice((0.2, 0.5, 1.0))
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        while process.poll() is None and amid_write and not list((self.place / "out").rglob(".*.new")):
            time.sleep(0.0005)
        if process.poll() is not None:
            return
        process.send_signal(number)
        code = self.end_of(process)
        self.kills[number.name] += code != 0
        if code not in {-number, *([130] if number != signal.SIGKILL else []), 128 + number, 0}:
            self.wrong.append(f"exit code {code} after {number.name}")

    def run(self, most: int, whole_s: float) -> None:
        """Up to ``most`` kills, then to the end."""
        before: State = {}
        arguments = self.subject.command
        for last in (*(False for _ in range(most)), True):
            process = started(self.place, arguments)
            try:
                if last:
                    self.end_of(process)
                else:
                    self.kill(process, whole_s)
            finally:  # it is no child of the terminal, whose Ctrl-C ends this one alone
                process.kill()
            if (self.place / "out" / "run.json").exists():
                arguments = self.subject.resume
            self.check_processes()
            now = self.subject.state(self.place / "out")
            self.wrong += self.subject.lost(before, now)
            before = now
            if process.returncode == 0:
                break
        if process.returncode != 0:
            self.wrong.append(f"going on ended with {process.returncode}: see {self.place / 'output.txt'}")
        self.wrong += [
            f"no {name}" for name in self.subject.written if not (self.place / "out" / name).exists()
        ]

    def end_of(self, process: "subprocess.Popen[bytes]") -> int:
        """Its exit code; one that hangs is a fault, and is killed."""
        patience = Patience(process.pid, HANGS_AFTER_S)
        while process.poll() is None:
            if patience.is_over():
                self.wrong.append(f"{' '.join(self.subject.command[:2])} hangs")
                process.kill()
            time.sleep(0.01)
        return process.wait()

    def check_processes(self) -> None:
        """Wait for what the command started to end."""
        until = time.monotonic() + ENDS_WITHIN_S
        while left := left_over(self.place):
            if time.monotonic() > until:
                self.wrong.append(f"processes left: {left}")
                return
            time.sleep(0.05)


def differing_weights(folder: Path, reference: Path) -> list[str]:
    """The trainings of ``folder`` whose last weights are not the reference's."""
    wrong = []
    for file in reference.rglob("last.ckpt"):
        ours = folder / file.relative_to(reference)
        a, b = (torch.load(path, weights_only=True)["model"] for path in (file, ours))
        if not all(torch.equal(a[key], b[key]) for key in a):
            wrong.append(f"{ours} has other weights")
    return wrong


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--count", type=int, default=60, help="kills in all")
    parser.add_argument("--most", type=int, default=6, help="kills of one command, before it may end")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    subject, draw = SUBJECTS[arguments.subject], random.Random(arguments.seed)
    place = Path(tempfile.mkdtemp(prefix="ctxbench-kills-"))
    tiny_folder(place / "data")
    kills, faults, commands = Counter[str](), 0, 0
    (place / "reference").mkdir()
    start = time.monotonic()
    reference = Trial(subject, place / "reference", draw)
    reference.run(0, 0.0)
    whole_s = time.monotonic() - start
    assert not reference.wrong, reference.wrong
    while kills.total() < arguments.count:
        trial = Trial(subject, place / f"run{commands}", draw)
        trial.place.mkdir()
        trial.run(min(arguments.most, arguments.count - kills.total()), whole_s)
        if subject.state is trained:
            trial.wrong += differing_weights(trial.place / "out", reference.place / "out")
        for fault in trial.wrong:
            print(f"{trial.place.name}: {fault}", flush=True)
        kills, faults, commands = kills + trial.kills, faults + len(trial.wrong), commands + 1
    signals = ", ".join(f"{name} {kills[name]}" for name in sorted(kills))
    print(
        f"{kills.total()} kills ({signals}) of {commands} times {arguments.subject}, "
        f"{faults} faults; in {place}"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
