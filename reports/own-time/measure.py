"""Time ctxbench's own commands in several checkouts, interleaved, as whole processes.

``python measure.py OUT.csv [--seconds S] [--only COMMANDS] NAME=CHECKOUT ...`` adds a line a run to OUT.csv:
what was run, in which checkout, when the round began, CPU seconds (user and system, children included),
wall-clock seconds and the machine's load; rounds follow each other until none would fit into so many seconds.
``python measure.py OUT.csv --table`` prints medians and, pair by pair within a round, ratios to the first
checkout; those of a command to its yardstick are of the same checkout and round.
"""

import argparse
import csv
import os
import resource
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
    **{f"torch and a trace of {m}": traced(m) for m in ("se", "nonlocal", "reconet")},
    **{f"explain {m}": [*CTXBENCH, "explain", m] for m in ("se", "nonlocal", "reconet")},
    **{f"decode {m}": [*CTXBENCH, "decode", m, *printed] for m, printed in DECODED.items()},
    "profile": [*CTXBENCH, "profile", "--channels", "512", "--size", "64", "--out", "run"],
}
YARDSTICK = {
    "--help": "python -c pass",
    "list": "python -c pass",
    **{f"explain {m}": f"torch and a trace of {m}" for m in ("se", "nonlocal", "reconet")},
}


def spent() -> float:
    """CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: list[str], checkout: Path) -> tuple[float, float]:
    """CPU and wall-clock seconds of one process, in an empty folder."""
    path = os.pathsep.join((str(checkout), str(checkout / "modules")))
    with tempfile.TemporaryDirectory() as folder:
        before, start = spent(), time.perf_counter()
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
        )
        wall, cpu = time.perf_counter() - start, spent() - before
    if ran.returncode:
        raise SystemExit(f"{command} in {checkout}: {ran.stderr.decode()}")
    return cpu, wall


def measure(out: Path, seconds: float, only: str, checkouts: dict[str, Path]) -> None:
    """Run the commands named in ``only``, all but profile by default, in each checkout, round by round."""
    chosen = only.split(",") if only else [name for name in COMMANDS if name != "profile"]
    is_new, start, longest = not out.exists(), time.monotonic(), 0.0
    with out.open("a", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if is_new:
            rows.writerow(("command", "checkout", "round", "cpu_s", "wall_s", "load"))
        while (begun := time.monotonic()) - start + longest < seconds:
            number = f"{time.time():.0f}"
            for name in chosen:
                for which, checkout in checkouts.items():
                    cpu, wall = run(COMMANDS[name], checkout)
                    load = f"{os.getloadavg()[0]:.2f}"
                    rows.writerow((name, which, number, f"{cpu:.3f}", f"{wall:.3f}", load))
                    file.flush()
            longest = max(longest, time.monotonic() - begun)


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
            cells.append(f"{statistics.median(own.values()):.3g} s")
            if which != first:
                cells.append(f"{statistics.median(own[n] / of[name, first, n] for n in own):.2f}")
        against = YARDSTICK.get(name)
        last = checkouts[-1]
        both = [n for n in rounds if (name, last, n) in of and (against, last, n) in of]
        pairs = [of[name, last, n] / of[str(against), last, n] for n in both]
        cells.append(f"{statistics.median(pairs):.2f} (of {against})" if pairs else "")
        print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkouts", nargs="*", metavar="NAME=CHECKOUT")
    parser.add_argument("--seconds", type=float, default=230)
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_intermixed_args()
    if asked.table:
        table(asked.out)
    else:
        named = (text.split("=", 1) for text in asked.checkouts)
        measure(asked.out, asked.seconds, asked.only, {name: Path(place) for name, place in named})
