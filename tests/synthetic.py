"""Records as a run would leave them: eight modules, plausible numbers, seeded random latencies."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ctxbench.counters import LEAF_RULE
from ctxbench.measure.folder import Plan, RunFolder
from ctxbench.measure.records import Record
from ctxbench.paper.offers.presets import TABLE10
from ctxbench.subject.case import Case

MODULES = ("reconet", "nonlocal", "apcnet", "rcca", "a2net", "afnb", "latentgnn", "emau")
C = 512

FAST_MACS: dict[str, Callable[[int, int], int]] = {
    "reconet": lambda h, w: 64 * (C * C + h * h + w * w) + 64 * C * h * w,
    "nonlocal": lambda h, w: 4 * C * 256 * h * w + 2 * 256 * (h * w) ** 2,
    "apcnet": lambda h, w: 2_151_800 * h * w,
    "rcca": lambda h, w: 2 * (640 * C * h * w + 576 * h * w * (h + w)),
    "a2net": lambda h, w: 3 * C * C * h * w,
    "afnb": lambda h, w: 4 * C * 256 * h * w + 2 * 110 * 256 * h * w,
    "latentgnn": lambda h, w: 2 * C * C * h * w + 3 * C * 100 * h * w + 2 * C * 100 * 100,
    "emau": lambda h, w: 2 * C * C * h * w + 7 * C * 64 * h * w,
}
PAPER: dict[str, tuple[float, float]] = {
    "reconet": (0.021495808, 8.3125),
    "nonlocal": (19.332595712, 88.0),
    "apcnet": (8.97735, 193.09765625),
    "rcca": (1.948778496, 29.0),
    "a2net": (4.29916, 25.0),
    "afnb": (2.62223, 25.93359375),
    "latentgnn": (2.57653, 44.6875),
    "emau": (2.42221, 24.125),
}
PARAMS = dict(zip(MODULES, (17301568, 525568, 2250000, 656000, 525000, 525568, 580000, 525824), strict=True))
PEAK_MIB = dict(zip(MODULES, (17.2, 132.0, 72.0, 34.0, 16.0, 13.9, 24.4, 25.1), strict=True))
LATENCY_MS = dict(zip(MODULES, (9.1, 172.4, 138.0, 77.3, 41.5, 33.2, 52.8, 49.6), strict=True))
ENVIRONMENT = {"torch": "2.13.0+cpu", "cpu": "Synthetic CPU", "threads": 2}


def rounds(median_ms: float, seed: int, spread: float = 0.02, count: int = 8) -> list[list[float]]:
    """Latency samples in ``count`` rounds of ten, log-normal about ``median_ms``."""
    rng = np.random.default_rng(seed)
    samples: list[list[float]] = (median_ms * np.exp(spread * rng.standard_normal((count, 10)))).tolist()
    return samples


def record(
    module: str, height: int = 64, width: int = 64, implementation: str = "fast", **changes: Any
) -> Record:
    """One ok record of a module in its Table 10 configuration; ``changes`` replace fields of the record."""
    configured = TABLE10.row(module)
    macs = FAST_MACS[module](height, width)
    published = macs + (64 * C * height if module == "reconet" else 0)
    scale = height * width / 4096
    peak = int(PEAK_MIB[module] * scale * 2**20)
    gflops, mib = PAPER[module]
    repeated = {"trm.matmul": 128, "sigmoid": 192} if module == "reconet" else {}
    every = (0.2927, 520.3125) if module == "reconet" else (gflops * 2, mib * 1.5)
    values: dict[str, Any] = {
        "case": Case(
            module,
            C,
            height,
            width,
            options=configured.options(C),
            implementation=implementation,
            rule_options=configured.rule_options,
        ),
        "params": PARAMS[module],
        "macs": published if implementation == "published" else macs,
        "flops": 2 * macs + 40 * C * height * width,
        "bwd_macs": 2 * macs,
        "bytes": int(4e8 * scale),
        "published_macs": published,
        "act_bytes": int(peak * 1.1),
        "peak_pred_bytes": peak,
        "reserved_sim_bytes": 2 * peak + 20 * 2**20,
        "alloc_bytes": peak + 4096,
        "process_bytes": peak + 7 * 2**20,
        "rounds_ms": rounds(LATENCY_MS[module] * scale, seed=len(module) + height),
        "warmup": 12,
        "cache": "warm",
        "counters": {
            "fvcore": {
                "gmacs": macs / 1e9 / 3,
                "missed": {"aten::mul": 64, "aten::softmax": 1},
                "elementwise": {"aten::add": 3},
                "reason": "",
            },
            "thop": {"gmacs": macs / 1e9 / 2, "missed": {"matmul": 2}, "elementwise": {}, "reason": ""},
            "torch": {"gmacs": macs / 1e9, "missed": {}, "elementwise": {}, "reason": ""},
            LEAF_RULE: {
                "gflops": gflops,
                "mib": mib,
                "every_call_gflops": every[0],
                "every_call_mib": every[1],
                "repeated": repeated,
                "leaves": {"trm.matmul": [4194304, 8388608], "sigmoid": [0, 256]} if repeated else {},
            },
        },
        "reasons": {"reserved_bytes": "the CPU has no caching allocator"},
        "environment": ENVIRONMENT,
        "measured_at": "2026-01-02T03:04:05+00:00",
    }
    return Record(**{**values, **changes})


def ruled(measured: Record, **answer: Any) -> Record:
    """The record, but with this answer of the leaf rule."""
    return replace(measured, counters={**measured.counters, LEAF_RULE: answer})


def records(height: int = 64, width: int = 64) -> list[Record]:
    """The eight modules of Table 10 at one size."""
    return [record(module, height, width) for module in MODULES]


def write_run(
    folder: Path, measured: Sequence[Record], between_runs: float | None = None, **environment: Any
) -> Path:
    """Leave a run's folder with these records; ``between_runs`` is of a machine that was calibrated."""
    plan = Plan(
        cases=tuple(r.case for r in measured),
        environments={"cpu": {**ENVIRONMENT, **environment}},
        between_runs={} if between_runs is None else {"cpu": between_runs},
        ceilings={"cpu": {"float32": {"gemm_gflops": 180.0, "copy_gib_s": 17.3}}},
    )
    by_the_folder = {"case", "status", "reason", "rounds_ms", "measured_at", "environment"}
    kept = [f.name for f in fields(Record) if f.name not in by_the_folder]
    with RunFolder.create(folder, plan) as run:
        for one in measured:
            run.note(one.case, {name: getattr(one, name) for name in kept})
            for samples in one.rounds_ms:
                run.add_round(one.case, samples)
            run.finish(one.case, one.status, one.reason)
    return folder
