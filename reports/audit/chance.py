"""How often a made-up number is called reproduced, against the chance that is printed beside the verdict.

Rows of made-up numbers: FLOPs log-uniform within a factor of four of a block's MACs, parameters and memory
likewise, with two to four digits. ``python reports/audit/chance.py [ROWS]`` writes chance.csv and chance.png.
"""

from __future__ import annotations

import random
import sys
from math import exp, log
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ctxbench import api
from ctxbench.audit.findings import BY_CHANCE, look
from ctxbench.audit.quantity import KINDS, Kind, Quantity
from ctxbench.audit.rows import Row
from ctxbench.audit.search import Search
from ctxbench.table.column import significant
from ctxbench.tracing import views

HERE = Path(__file__).parent
SEED = 0
BLOCKS = (
    "se",
    "eca",
    "pam",
    "external",
    "gc",
    "glore",
    "nonlocal(C, width=?)",
    "head(C, 64, se, concat=True)",
)
SHAPE = (1, 64, 32, 32)
FACTOR = 4.0


def made_up(kind: Kind, about: float, rng: random.Random) -> Quantity:
    """A random number of a kind, as a table would print it."""
    value = about * exp(rng.uniform(-log(FACTOR), log(FACTOR)))
    prefix, size = next((p, s) for p, s in (("G", 1e9), ("M", 1e6), ("K", 1e3)) if value >= s or p == "K")
    text = significant(value / size, rng.choice((2, 3, 3, 4)))
    return Quantity.of(kind, f"{text}{prefix}" + "B" * (kind == "memory"))


def numbers(rows: int) -> pd.DataFrame:
    """A line for each made-up number: its verdict, and the chance printed beside it."""
    rng, search, found = random.Random(SEED), Search(), []
    abouts: dict[str, dict[Kind, float]] = {}
    for block in BLOCKS:
        trace = api.trace(block.replace("?", "C//2"), SHAPE)
        peak = views.peak_bytes(trace)
        abouts[block] = {"FLOPs": views.macs(trace), "memory": peak, "parameters": trace.params}
    for number in range(rows):
        block = BLOCKS[number % len(BLOCKS)]
        kinds = rng.choice((KINDS[:1], KINDS[:1], KINDS, KINDS[::2]))
        quantities = tuple(made_up(kind, max(abouts[block][kind], 100), rng) for kind in kinds)
        for finding in look(Row(block, block, quantities, SHAPE, SHAPE[1]), search).findings:
            found.append(
                {
                    "row": number,
                    "subject": block,
                    "kind": finding.quantity.kind,
                    "printed": str(finding.quantity),
                    "verdict": finding.verdict,
                    "chance": finding.chance,
                }
            )
    return pd.DataFrame(found)


def drawn(frame: pd.DataFrame) -> Figure:
    """The share of made-up numbers with a fit of at most some chance, against that chance."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    chances = np.geomspace(1e-3, BY_CHANCE, 60)
    for kind in KINDS:
        of = frame[frame["kind"] == kind]
        shares = [float((of["chance"].fillna(1.0) <= chance).mean()) for chance in chances]
        axes.plot(chances, np.maximum(shares, 1e-4), label=f"{kind} ({len(of)} numbers)")
    axes.plot(chances, chances, color="0.5", linestyle="--", label="as printed")
    axes.set(xscale="log", yscale="log", xlabel="chance printed, at most", ylabel="share of made-up numbers")
    axes.set_xlim(1e-3, BY_CHANCE)
    axes.set_ylim(5e-4, 0.4)
    axes.legend()
    return figure


if __name__ == "__main__":
    frame = numbers(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    frame.to_csv(HERE / "chance.csv", index=False)
    drawn(frame).savefig(HERE / "chance.png", dpi=150)
    for chance in (0.01, 0.05, 0.1, BY_CHANCE):
        shares = {kind: (of["chance"].fillna(1.0) <= chance).mean() for kind, of in frame.groupby("kind")}
        print(f"chance at most {chance:g}:", ", ".join(f"{k} {s:.4f}" for k, s in shares.items()))
