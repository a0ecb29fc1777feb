"""What an exact other order of the products saves: multiplications beside measured time and memory.

    python reports/zoo/folded.py              # go on with folded.csv, and write folded.md
    python reports/zoo/folded.py glore xca    # measure these anew

Every built-in block with two forms, as its paper has it, at 1×512×64×64 in inference, float32, one thread.
Both forms have the same weights and are run in one process, in turns: pairs of calls in random order. Times
are the processor's, which other work on the machine lengthens less than those of the clock. The peak is the
allocator's, above parameters and input. A row is in ``folded.csv`` as soon as it is measured.
"""

import csv
import gc
import random
import sys
from pathlib import Path
from time import process_time

import torch
from torch import nn

from ctxbench.files import write_text
from ctxbench.measure import environment, stats
from ctxbench.measure.worker.memory import cpu_allocator_peak
from ctxbench.subject import bind
from ctxbench.subject.registry import SPECS
from ctxbench.tracing import trace, views

HERE = Path(__file__).parent
SHAPE = (1, 512, 64, 64)
FIELDS = (
    "block", "published_macs", "fast_macs", "published_ms", "fast_ms", "ratio", "low", "high",
    "published_peak", "fast_peak", "machine",
)  # fmt: skip
BUDGET_S, LEAST_PAIRS, MOST_PAIRS = 1.5, 5, 200
VARIANTS = {
    "polarized, sequential": ("polarized", {"layout": "sequential"}),
    "efficient, 8 heads": ("efficient", {"heads": 8}),
    "botnet, absolute positions": ("botnet", {"positions": "absolute"}),
}
BLOCKS = {name: (name, {}) for name, spec in SPECS.items() if "fast" in spec.forms} | VARIANTS


def measured(block: str) -> dict[str, object]:
    """The row of one block."""
    name, options = BLOCKS[block]
    published, fast = (
        bind.build(name, SHAPE[1], SHAPE[2:], form, **options).eval() for form in ("published", "fast")
    )
    randomise(published)
    fast.load_state_dict(published.state_dict())
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        apart = (fast(x) - published(x)).norm() / published(x).norm()
        if not apart < 1e-3:
            raise SystemExit(f"{block}: the forms are {apart:.1e} apart")
        times = in_turns(published, fast, x)
        peaks = []
        for module in (published, fast):
            gc.collect()
            peaks.append(cpu_allocator_peak(lambda module=module: module(x)))
    ratio, low, high = stats.ratio(times[1], times[0])
    macs = [views.macs(trace(module, SHAPE)) for module in (published, fast)]
    median = [stats.summary(of).median_ms for of in times]
    values = (block, *macs, *median, ratio, low, high, *peaks, machine())
    return dict(zip(FIELDS, values, strict=True))


def randomise(module: nn.Module) -> None:
    """Weights of ordinary size where a layer starts at zero, so that both forms do all their work."""
    generator = torch.Generator().manual_seed(1)
    for p in module.parameters():
        if not p.any():
            p.data.normal_(0, 0.02, generator=generator)


def in_turns(published: nn.Module, fast: nn.Module, x: torch.Tensor) -> tuple[list[list[float]], ...]:
    """Milliseconds of processor time of each call, a round a pair, of the one and of the other."""
    order, times = random.Random(0), ([], [])
    modules = [(0, published), (1, fast)]
    for _, module in modules:
        module(x)
    until = process_time() + BUDGET_S
    while len(times[0]) < LEAST_PAIRS or (process_time() < until and len(times[0]) < MOST_PAIRS):
        for which, module in order.sample(modules, 2):
            begun = process_time()
            module(x)
            times[which].append([1e3 * (process_time() - begun)])
    return times


def machine() -> str:
    """The processor, its threads and the version of torch."""
    about = environment.environment("cpu")
    return f"{about['cpu']}, 1 thread, torch {about['torch']}"


def page(rows: list[dict[str, str]]) -> str:
    """The table in Markdown, the greatest saving of multiplications first."""
    lines = [
        "# Published and fast forms",
        "",
        "Each block with two forms as its paper has it, at 1×512×64×64, float32, inference. *Fewer* and",
        "*quicker* are published over fast, with the 95 % interval of the ratio of medians; both forms have",
        "the same weights and were called in turns in one process. Times are the processor's; peaks are the",
        f"allocator's, above parameters and input. {' / '.join({row['machine']: 0 for row in rows})}.",
        "",
        "| block | published GMACs | fast GMACs | fewer | published ms | fast ms | quicker | 95 % interval "
        "| published MiB | fast MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]

    def fewer(row: dict[str, str]) -> float:
        return int(row["published_macs"]) / int(row["fast_macs"])

    for row in sorted(rows, key=fewer, reverse=True):
        gmacs = [f"{int(row[f'{form}_macs']) / 1e9:.4f}" for form in ("published", "fast")]
        ms = [f"{float(row[f'{form}_ms']):.2f}" for form in ("published", "fast")]
        mib = [f"{int(row[f'{form}_peak']) / 2**20:.1f}" for form in ("published", "fast")]
        ratio, low, high = (float(row[key]) for key in ("ratio", "low", "high"))
        cells = (
            row["block"], *gmacs, f"{fewer(row):.2f}×", *ms, f"{ratio:.2f}×", f"{low:.2f}–{high:.2f}", *mib,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(wanted: list[str]) -> None:
    """Measure what is missing, or what is named, and write the page."""
    if unknown := set(wanted) - set(BLOCKS):
        raise SystemExit(
            f"no block of two forms: {', '.join(sorted(unknown))}; there are {', '.join(BLOCKS)}"
        )
    torch.set_num_threads(1)
    kept: dict[str, dict[str, str]] = {}
    table = HERE / "folded.csv"
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            kept = {row["block"]: row for row in csv.DictReader(file)}
    for block in wanted or [block for block in BLOCKS if block not in kept]:
        kept[block] = {key: str(value) for key, value in measured(block).items()}
        lines = [",".join(FIELDS), *(",".join(f'"{row[key]}"' for key in FIELDS) for row in kept.values())]
        write_text(table, "\n".join(lines) + "\n")
        print(block, kept[block]["ratio"], flush=True)
    write_text(HERE / "folded.md", page([kept[block] for block in BLOCKS if block in kept]))


if __name__ == "__main__":
    main(sys.argv[1:])
