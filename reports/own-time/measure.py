"""Time ctxbench's own commands in several checkouts, interleaved, as whole processes.

``python measure.py OUT.csv [--rounds N] [--only WORD] NAME=CHECKOUT ...`` adds a line a run to OUT.csv: what was
run, in which checkout, its round, CPU seconds (user and system, children included) and wall-clock seconds.
``python measure.py OUT.csv --table`` prints medians and, pair by pair within a round, ratios to the first
checkout; those of a command to its yardstick are of the same checkout and round.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PASS = ["-c", "pass"]
CTXBENCH = ["-m", "ctxbench"]
DECODED = {"reconet": ("0.30G", "8.31MB"), "nonlocal": ("19.33G", "88.00MB"), "se": ("4.2M", "8.00MB")}


def traced(module: str) -> list[str]:
    """Importing torch and one trace."""
    return ["-c", f"import torch, ctxbench; ctxbench.trace({module!r})"]


COMMANDS: dict[str, list[str]] = {
    "python -c pass": PASS,
    "--help": [*CTXBENCH, "--help"],
    "list": [*CTXBENCH, "list"],
    "import torch": ["-c", "import torch"],
    **{f"torch and a trace of {m}": traced(m) for m in ("se", "nonlocal", "apcnet", "reconet")},
    **{f"explain {m}": [*CTXBENCH, "explain", m] for m in ("se", "nonlocal", "apcnet", "reconet")},
    **{f"decode {m}": [*CTXBENCH, "decode", m, *printed] for m, printed in DECODED.items()},
    "profile": [*CTXBENCH, "profile", "--channels", "512", "--size", "64", "--out", "run"],
}
YARDSTICK = {
    "--help": "python -c pass",
    "list": "python -c pass",
    **{f"explain {m}": f"torch and a trace of {m}" for m in ("se", "nonlocal", "apcnet", "reconet")},
}


def run(command: list[str], checkout: Path) -> tuple[float, float]:
    """CPU and wall-clock seconds of one process, in an empty folder."""
    path = os.pathsep.join((str(checkout), str(checkout / "modules")))
    with tempfile.TemporaryDirectory() as folder:
        before, start = os.times(), time.perf_counter()
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
        )
        wall, after = time.perf_counter() - start, os.times()
    if ran.returncode:
        raise SystemExit(f"{command} in {checkout}: {ran.stderr.decode()}")
    return sum(after[2:4]) - sum(before[2:4]), wall


def measure(out: Path, rounds: int, only: str, checkouts: dict[str, Path]) -> None:
    """Run every command that holds ``only`` in each checkout, round by round."""
    chosen = {name: command for name, command in COMMANDS.items() if only in name}
    for name, command in chosen.items():  # what a first run writes to disk is there for all
        for checkout in checkouts.values():
            run(command, checkout) if name != "profile" else None
    is_new = not out.exists()
    with out.open("a", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if is_new:
            rows.writerow(("command", "checkout", "round", "cpu_s", "wall_s", "load"))
        for number in range(rounds):
            for name, command in chosen.items():
                for which, checkout in checkouts.items():
                    cpu, wall = run(command, checkout)
                    rows.writerow(
                        (name, which, number, f"{cpu:.3f}", f"{wall:.3f}", f"{os.getloadavg()[0]:.2f}")
                    )
                    file.flush()


def table(out: Path) -> None:
    """Print the medians and ratios in Markdown."""
    with out.open(newline="") as file:
        read = list(csv.DictReader(file))
    cpu = {(r["command"], r["checkout"], r["round"]): float(r["cpu_s"]) for r in read}
    wall = {(r["command"], r["checkout"], r["round"]): float(r["wall_s"]) for r in read}
    checkouts = list(dict.fromkeys(r["checkout"] for r in read))
    first = checkouts[0]
    rounds = sorted({r["round"] for r in read})
    ratios = [f"÷ {first}" for _ in checkouts[1:]]
    heads = [
        part for which, ratio in zip(checkouts, ["", *ratios], strict=True) for part in (which, ratio) if part
    ]
    print("| command | " + " | ".join(heads) + " | ÷ yardstick |")
    print("|---|" + "---:|" * (len(heads) + 1))
    for name in dict.fromkeys(r["command"] for r in read):
        of = wall if name == "profile" else cpu
        cells = []
        for which in checkouts:
            own = {n: of[name, which, n] for n in rounds if (name, which, n) in of}
            cells.append(f"{statistics.median(own.values()):.2f} s")
            if which != first:
                cells.append(f"{statistics.median(own[n] / of[name, first, n] for n in own):.2f}")
        against = YARDSTICK.get(name)
        last = checkouts[-1]
        pairs = (
            [of[name, last, n] / of[against, last, n] for n in rounds if (against, last, n) in of]
            if against
            else []
        )
        cells.append(f"{statistics.median(pairs):.2f} (of {against})" if pairs else "")
        print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkouts", nargs="*", metavar="NAME=CHECKOUT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        table(asked.out)
    else:
        named = (text.split("=", 1) for text in asked.checkouts)
        measure(asked.out, asked.rounds, asked.only, {name: Path(place) for name, place in named})
