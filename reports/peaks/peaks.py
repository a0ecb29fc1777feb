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
from pathlib import Path

import torch

from ctxbench.measure.worker.call import build_call
from ctxbench.measure.worker.memory import cpu_allocator_peak
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SPECS
from ctxbench.tracing import NotCounted, count_case, views

HERE = Path(__file__).parent
SHAPES = ((48, 33, 17), (128, 24, 40), (512, 32, 32), (256, 45, 60))
FIELDS = ("module", "form", "mode", "shape", "predicted", "measured", "error_pct", "note")


def rows(dtype: str, wanted: list[str]) -> Iterator[dict[str, object]]:
    """A row a case; blocks that refuse batch 1 in training have none there."""
    for name, spec in SPECS.items():
        for form in spec.forms if name in (wanted or SPECS) else ():
            for channels, height, width in SHAPES:
                for batch in (1, 2):
                    for mode in ("infer", "train"):
                        case = Case(
                            name,
                            channels,
                            height,
                            width,
                            implementation=form,
                            batch=batch,
                            dtype=dtype,
                            mode=mode,
                        )
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


if __name__ == "__main__":
    main()
