"""The field in one figure: what each built-in block multiplies, how long it takes here, and its year.

    ctxbench profile all --size 64 --threads 1 --counter none --budget 1 --out reports/zoo/run
    python reports/zoo/field.py

The multiplications and the peak are the run's. The time is measured here, into ``field.csv``, which a second
call goes on with: processor time of one thread, of calls in one process, which other work on the machine
lengthens less than the latencies of the run; those are in its table, marked as noisy. Writes ``field.png``,
``field.svg`` and ``field.md``: the table with each block's distance from the line through all of them, and
the rank correlations.
"""

import csv
from pathlib import Path
from statistics import median
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from scipy.stats import bootstrap, spearmanr

from ctxbench.files import write_text
from ctxbench.measure.folder import read_run
from ctxbench.report.figures.labels import Name, place
from ctxbench.subject import bind
from ctxbench.subject.registry import FAMILIES, SPECS
from ctxbench.table.style import STYLE, canvas, log_axis, save

HERE = Path(__file__).parent
MARKERS = dict(zip(FAMILIES, "osD^vPX", strict=True))
SHAPE = (1, 512, 64, 64)
NOTHING = 1e-3
"""Where a block without multiplications is drawn, in GMACs."""
HEAVY = 0.1
"""GMACs from which on the second panel is, and the second correlation."""


class Block(NamedTuple):
    """One block of the run: GMACs, milliseconds, MiB of the peak."""

    name: str
    year: int
    family: str
    gmacs: float
    ms: float
    mib: float


def times(names: list[str]) -> dict[str, float]:
    """Milliseconds of processor time of one call of each block.

    The median of calls: of five or of three seconds, whichever is less, and of half a second at least.
    """
    table = HERE / "field.csv"
    found: dict[str, float] = {}
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            found = {row["block"]: float(row["processor_ms"]) for row in csv.DictReader(file)}
    torch.set_num_threads(1)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    for name in names:
        if name in found:
            continue
        module, calls = bind.build(name, SHAPE[1], SHAPE[2:]).eval(), []
        with torch.inference_mode():
            module(x)
            while (len(calls) < 5 and sum(calls) < 3) or (len(calls) < 100 and sum(calls) < 0.5):
                begun = process_time()
                module(x)
                calls.append(process_time() - begun)
        found[name] = 1e3 * median(calls)
        lines = ["block,processor_ms", *(f"{block},{ms:.4f}" for block, ms in found.items())]
        write_text(table, "\n".join(lines) + "\n")
    return found


def blocks() -> list[Block]:
    """Every block of the run, the fewest multiplications first. Raises SystemExit where one has no number."""
    records = read_run(HERE / "run").records
    took = times([record.case.module for record in records])
    found = []
    for record in records:
        spec = SPECS[record.case.module]
        if record.macs is None or record.alloc_bytes is None:
            raise SystemExit(f"{spec.name} was not measured: {record.status}")
        mib = record.alloc_bytes / 2**20
        found.append(Block(spec.name, spec.year, spec.family, record.macs / 1e9, took[spec.name], mib))
    return sorted(found, key=lambda block: (block.gmacs, block.ms))


def drawn(found: list[Block], caption: str) -> None:
    """The figure: time over multiplications, the year as colour, the family as marker, names beside.

    Two panels of one row, of which the second stretches the multiplications that most blocks have.
    """
    with rc_context(STYLE):
        figure = canvas(16, 10.5)
        panels = figure.subplots(1, 2, sharey=True, width_ratios=(1, 2.2))
        years = Normalize(min(b.year for b in found), max(b.year for b in found))
        colours = ScalarMappable(years, "viridis_r")
        x, y = [max(b.gmacs, NOTHING) for b in found], [b.ms for b in found]
        slope, factor = line(found)
        for axes, ends in zip(panels, ((NOTHING / 1.6, HEAVY), (HEAVY, 1.6 * max(x))), strict=True):
            axes.set_xlim(*ends)
            axes.set_ylim(min(y) / 1.6, 1.8 * max(y))
            for which in ("x", "y"):
                log_axis(axes, which)
            if ends[0] == HEAVY:
                line_y = [factor * end**slope for end in ends]
                axes.plot(ends, line_y, color="#999999", zorder=0, linewidth=1)
            inside = [i for i, gmacs in enumerate(x) if ends[0] <= gmacs < ends[1]]
            for i in inside:
                axes.plot(
                    x[i], y[i], MARKERS[found[i].family], color=colours.to_rgba(found[i].year),
                    markersize=8, markeredgecolor="#333333", markeredgewidth=0.6,
                )  # fmt: skip
        light, heavy = panels
        ticks = [tick for tick in light.get_xticks() if NOTHING < tick < HEAVY]
        light.set_xticks([NOTHING, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
        light.set_ylabel("processor time of one call [ms]")
        figure.supxlabel("GMACs of the quickest form", fontsize=10)
        figure.suptitle(caption, fontweight="bold")
        handles = [
            Line2D([], [], linestyle="", marker=mark, color="#777777", label=family)
            for family, mark in MARKERS.items()
        ]
        light.legend(handles=handles, loc="upper left")
        bar = figure.colorbar(colours, ax=heavy, shrink=0.6, pad=0.01, label="year of the paper")
        bar.ax.grid(visible=False)
        figure.draw_without_rendering()  # names are placed in the layout as it will be
        for axes in panels:
            low, high = axes.get_xlim()
            points = zip(found, x, y, strict=True)
            place(axes, [Name(a, c, block.name) for block, a, c in points if low <= a < high], 8)
        save(figure, HERE / "field")


def line(found: list[Block]) -> tuple[float, float]:
    """Exponent and factor of ms = factor · GMACs^exponent, least squares of logarithms, of the heavy ones."""
    some = [b for b in found if b.gmacs >= HEAVY]
    slope, height = np.polyfit(np.log([b.gmacs for b in some]), np.log([b.ms for b in some]), 1)
    return float(slope), float(np.exp(height))


def correlation(found: list[Block]) -> str:
    """Spearman's rank correlation of MACs and latency with its 95 % interval."""
    pairs = ([b.gmacs for b in found], [b.ms for b in found])
    ends = bootstrap(
        pairs, _spearman, paired=True, vectorized=False, rng=0, method="percentile"
    ).confidence_interval
    return f"{_spearman(*pairs):.2f}, 95 % interval {ends.low:.2f} to {ends.high:.2f}"


def _spearman(a: list[float], b: list[float]) -> float:
    return float(spearmanr(a, b).statistic)


def page(found: list[Block], caption: str) -> str:
    """The table and the correlations in Markdown."""
    slope, factor = line(found)
    heavy = [b for b in found if b.gmacs >= HEAVY]
    lines = [
        "# MACs and time of every built-in block",
        "",
        f"{caption}. Written by `python reports/zoo/field.py` from `run`.",
        "",
        f"Rank correlation (Spearman) of MACs and time: {correlation(found)}, of {len(found)} blocks;",
        f"{correlation(heavy)}, of the {len(heavy)} with {HEAVY} GMACs or more.",
        f"The line is of these: ms = {factor:.0f} · GMACs^{slope:.2f}; *off* is the time over the line's.",
        "",
        "| block | year | family | GMACs | ms | off | peak MiB |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for b in found:
        off = f"{b.ms / (factor * b.gmacs**slope):.2f}×" if b.gmacs >= HEAVY else ""
        lines.append(
            f"| `{b.name}` | {b.year} | {b.family} | {b.gmacs:.4g} | {b.ms:.2f} | {off} | {b.mib:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Draw the figure and write the page."""
    about = read_run(HERE / "run").records[0].environment
    caption = f"Input 1×512×64×64, float32, inference, {about['cpu']}, 1 thread, torch {about['torch']}"
    found = blocks()
    drawn(found, caption)
    write_text(HERE / "field.md", page(found, caption))


if __name__ == "__main__":
    main()
