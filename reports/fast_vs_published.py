"""How much quicker, and how much smaller, each fast form is than its authors' operation order.

    python reports/fast_vs_published.py [FOLDER]

Measures both forms of every Table 10 module at 1×512×64×64 in one run, rounds interleaved, forward and
forward + backward, into FOLDER (default ``reports/cpu/fast-vs-published``); writes the ratios, with their
95 % intervals, to FOLDER/README.md; and says how near fast TGM+TRM comes to its floor on this machine: one
read of the generators' weights, the reconstruction's product, one read and one write of x.
"""

import sys
from pathlib import Path

import ctxbench
from ctxbench.measure import stats
from ctxbench.measure.records import Record

C, H, W, RANK = 512, 64, 64, 64


def ratios(records: list[Record]) -> list[str]:
    """Rows of a Markdown table: fast against published."""
    by_case = {(r.case.module, r.case.implementation): r for r in records}
    lines = [
        "| module | fast ms | published ms | quicker | 95 % interval | fast MiB | published MiB | smaller |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for module in dict.fromkeys(r.case.module for r in records):
        fast, published = by_case[module, "fast"], by_case[module, "published"]
        ratio, lo, hi = stats.ratio(fast.rounds_ms, published.rounds_ms)
        ms = [stats.summary(r.rounds_ms).median_ms for r in (fast, published)]
        mib = [(r.alloc_bytes or 0) / 2**20 for r in (fast, published)]
        lines.append(
            f"| {module} | {ms[0]:.2f} | {ms[1]:.2f} | {ratio:.2f}× | {lo:.2f}–{hi:.2f} "
            f"| {mib[0]:.2f} | {mib[1]:.2f} | {mib[1] / mib[0]:.1f}× |"
        )
    return lines


def floor(run: ctxbench.Profile) -> str:
    """How close fast TGM+TRM comes to what it cannot go below, at the ceilings measured in the same run."""
    ceilings = run.plan.ceilings["cpu"]["float32"]
    record = next(r for r in run.records if (r.case.module, r.case.implementation) == ("reconet", "fast"))
    weights, x = 4 * RANK * (C * C + H * H + W * W), 4 * C * H * W
    traffic_ms = (weights + 2 * x) / (ceilings["copy_gib_s"] * 2**30) * 1e3
    product_ms = 2 * RANK * C * H * W / (ceilings["gemm_gflops"] * 1e6)
    took = stats.summary(record.rounds_ms).median_ms
    return (
        f"Fast TGM+TRM took {took:.2f} ms; its floor at this run's ceilings (copy "
        f"{ceilings['copy_gib_s']:.1f} GiB/s, GEMM {ceilings['gemm_gflops']:.0f} GFLOP/s) is "
        f"{traffic_ms + product_ms:.2f} ms: "
        f"{traffic_ms:.2f} for reading {weights / 2**20:.1f} MiB of weights and reading and writing x, "
        f"{product_ms:.2f} for the product. That is {took / (traffic_ms + product_ms):.2f} times the floor. "
        "The ceilings are those of a cold copy; what stays in the cache between calls can be quicker."
    )


def main(folder: Path) -> None:
    """Measure, and write the page."""
    pages = ["# Fast forms against published forms", ""]
    for mode, title in (("infer", "Forward, eval mode"), ("train", "Forward and backward, training mode")):
        run = ctxbench.profile(
            implementations=["fast", "published"],
            sizes=[(H, W)],
            channels=[C],
            mode=mode,
            counters=(),
            budget_s=4.0,
            out=folder / mode,
            command=["python", "reports/fast_vs_published.py"],
        )
        env = run.records[0].environment
        machine = f"{env['cpu']}, {env['threads']} threads, torch {env['torch']}"
        where = f"Input 1×{C}×{H}×{W}, float32, Table 10's configurations, {machine}. Memory: the allocator's"
        pages += [
            f"## {title}",
            "",
            f"{where} peak above parameters and input.",
            "",
            *ratios(run.records),
            "",
        ]
        if mode == "infer":
            pages += [floor(run), ""]
    pages += ["Written by `python reports/fast_vs_published.py`; all samples are in the run folders beside."]
    (folder / "README.md").write_text("\n".join(pages) + "\n", encoding="utf-8")
    print("\n".join(pages))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "cpu" / "fast-vs-published")
