"""Predicted against measured peak memory of every built-in block on this machine's CPU.

    python reports/peaks/peaks.py                     # float32, one thread
    python reports/peaks/peaks.py --threads 2
    python reports/peaks/peaks.py --dtype bfloat16

Each form × {infer, train} × four shapes × batch 1 and 2: the peak that the trace predicts and the one that
the worker measures, in bytes above parameters, input and upstream gradient. Each command writes its own CSV
beside this file, and the histogram and the README of all that are there.
"""

from __future__ import annotations

import argparse
import csv
import gc
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from ctxbench.measure import environment
from ctxbench.measure.worker.call import build_call
from ctxbench.measure.worker.memory import cpu_allocator_peak
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SPECS
from ctxbench.tracing import NotCounted, count_case, views

HERE = Path(__file__).parent
SHAPES = ((48, 33, 17), (128, 24, 40), (512, 32, 32), (256, 45, 60))
EDGES = np.arange(-25.5, 26, 1.0)
HEAD = """# Predicted and measured peaks

Peak memory of a pass above parameters, input and upstream gradient, of built-in blocks in each form, in
inference and in training, at four shapes, batch 1 and 2: as the trace predicts it without running anything,
and as the CPU allocator's log shows it. An error of more than 1 % has a kernel named beside it whose scratch
is not known (`note` in the tables), or counts as *unnamed*.

![Histogram](histogram.png)

| table | blocks | cases | exact to the byte | within 1 % | beyond | of these unnamed |
|---|---:|---:|---:|---:|---:|---:|"""
TAIL = """
Where the note says "by rules … fitted on AVX-512" the peak lies in a convolution of oneDNN; elsewhere than on
AVX-512 these are not modelled, and say so.

Made on {machine}, by

```bash
python reports/peaks/peaks.py
python reports/peaks/peaks.py --threads 2
python reports/peaks/peaks.py --dtype bfloat16
```

Memory does not depend on what else the machine does. A command writes its own table and this page anew.
"""
FIELDS = ("module", "form", "mode", "shape", "predicted", "measured", "error_pct", "note")


def rows(dtype: str, wanted: list[str]) -> Iterator[dict[str, object]]:
    """A row a case; blocks that refuse batch 1 in training have none there."""
    forms = [(name, form) for name in wanted or SPECS for form in SPECS[name].forms]
    for (name, form), sides, batch, mode in product(forms, SHAPES, (1, 2), ("infer", "train")):
        case = Case(name, *sides, implementation=form, batch=batch, dtype=dtype, mode=mode)
        recorded = count_case(case)
        if not isinstance(recorded, NotCounted):
            yield _row(case, views.peak_bytes(recorded), views.peak_note(recorded))


def _row(case: Case, predicted: int, note: str) -> dict[str, object]:
    call = build_call(case, build_case(case))
    call.clear()
    gc.collect()
    measured = cpu_allocator_peak(call)
    shape = "×".join(map(str, case.shape))
    error = 100 * (predicted - measured) / measured
    values = (case.module, case.implementation, case.mode, shape, predicted, measured, f"{error:.4f}", note)
    return dict(zip(FIELDS, values, strict=True))


def main() -> None:
    """Measure what the arguments ask for and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--module", action="append", default=[], help="only this block; repeatable; prints only"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = []
    for row in rows(arguments.dtype, arguments.module):
        found.append(row)
        print(*row.values(), sep="\t", flush=True)
    if arguments.module:
        return
    with (HERE / f"{arguments.dtype}-{arguments.threads}-threads.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(found)
    report()


def report() -> None:
    """Draw the histogram and write the README of all the tables beside this file."""
    tables = {path.stem: pd.read_csv(path, keep_default_na=False) for path in sorted(HERE.glob("*.csv"))}
    figure, axes = plt.subplots(
        len(tables), sharex=True, squeeze=False, figsize=(6, 2 * len(tables)), layout="constrained"
    )
    lines = [HEAD]
    for ax, (name, table) in zip(axes.flat, tables.items(), strict=True):
        named = table.note.str.startswith("without")
        parts = [table.error_pct[~named].clip(*EDGES[[0, -1]]), table.error_pct[named].clip(*EDGES[[0, -1]])]
        ax.hist(parts, EDGES, stacked=True, label=["all of it modelled", "a kernel's scratch left out"])
        ax.set(title=name.replace("-", " "), ylabel="cases", yscale="log")
        within, exact = table.error_pct.abs() <= 1, table.predicted == table.measured
        unnamed = (~within & ~named).sum()
        lines.append(
            f"| {name} | {table.module.nunique()} | {len(table)} | {exact.sum()} | {within.sum()} "
            f"| {(~within).sum()} | {unnamed} |"
        )
    axes.flat[-1].set_xlabel("error of the predicted peak in %; beyond ±25 % in the last bars")
    axes.flat[0].legend()
    figure.savefig(HERE / "histogram.png", dpi=120)
    (HERE / "README.md").write_text("\n".join([*lines, TAIL.format(machine=_machine())]))


def _machine() -> str:
    about = environment.environment("cpu")
    return f"{about['cpu']}, {about['cores']} cores, {about['cpu_capability']}, torch {about['torch']}"


if __name__ == "__main__":
    main()
