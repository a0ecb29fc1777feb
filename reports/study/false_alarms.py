"""How often a study calls a block different from itself: pairs of the same block, from stored seeds.

``python reports/study/false_alarms.py FOLDER`` takes the folder of ``ctxbench study`` with six seeds or more,
draws 200 pairs of three seeds each for every block, and prints the share that is called different at 5 %,
without correction, beside the most that was wanted: 5 % and two standard errors.
"""

import sys
from math import sqrt
from pathlib import Path

import numpy as np

from ctxbench.study.accuracy.compare import Scored, difference
from ctxbench.study.frozen.grid import resume
from ctxbench.study.significance import LEVEL

PAIRS, SEEDS = 200, 3


def main() -> None:
    """Print a line for each block, and one for all."""
    rng, total, made = np.random.default_rng(0), 0, 0
    for row in resume(Path(sys.argv[1])).rows:
        if row.scored is None or len(row.scored.seeds) < 2 * SEEDS:
            print(f"{row.name}: fewer than {2 * SEEDS} seeds")
            continue
        alarms = 0
        for _ in range(PAIRS):
            chosen = rng.permutation(len(row.scored.seeds))[: 2 * SEEDS]
            a, b = (
                Scored.of(range(SEEDS), row.scored.counts[part]) for part in (chosen[:SEEDS], chosen[SEEDS:])
            )
            found = difference(a, b)
            alarms += found is not None and found.p is not None and found.p < LEVEL
        total, made = total + alarms, made + PAIRS
        print(f"{row.name}: {alarms} of {PAIRS} pairs, {100 * alarms / PAIRS:.1f} %")
    most = 100 * (LEVEL + 2 * sqrt(LEVEL * (1 - LEVEL) / PAIRS))
    print(f"all: {total} of {made}, {100 * total / made:.1f} %; wanted of each: at most {most:.1f} %")


if __name__ == "__main__":
    main()
