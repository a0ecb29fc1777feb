"""Write README.md from the run beside it: which cells have a number, why others have none, who is quickest.

The run is made by the command that the page shows; ``python reports/runtimes/page.py``.
"""

from __future__ import annotations

import shlex
import sys
from itertools import product
from pathlib import Path

import pandas as pd

from ctxbench.files import write_text
from ctxbench.measure.stats import ratio
from ctxbench.report.layout import machine, title
from ctxbench.report.run import Profile, load_run
from ctxbench.table.column import significant

HERE = Path(__file__).parent
RUNTIMES = ("eager", "compile", "onnxruntime", "openvino")


def cells(run: Profile) -> pd.DataFrame:
    """A row for each case: what it is of, its median, how far it is off, and why it has no number."""
    return pd.DataFrame(
        {
            "block": title(record, run.records),
            "dtype": record.case.dtype,
            "threads": record.case.threads,
            "runtime": record.case.runtime,
            "ms": record.latency.median_ms if record.status == "ok" else None,
            "record": record,
            "error": record.output_error,
            "compile_s": record.compile_s,
            "elsewhere": sorted({what.partition(" ")[2] for what in record.elsewhere}),
            "why": f"{record.status}: {record.reason}" if record.status != "ok" else "",
        }
        for record in run.records
    )


def page(run: Profile) -> str:
    """The page in Markdown."""
    table = cells(run)
    timed = table[table.ms.notna()]
    lines = [
        "# Sixteen blocks in four runtimes",
        "",
        f"{machine(run.records[0])}, torch {run.records[0].environment['torch']}, "
        f"{', '.join(versions(run))}; made by",
        "",
        "```bash",
        " ".join(map(shlex.quote, run.plan.command)),
        "python reports/runtimes/page.py",
        "```",
        "",
        f"**{len(timed)} of {len(table)} cells have a number ({100 * len(timed) / len(table):.0f} %).** "
        "What is timed, the tolerances and the dtypes: [runtimes](../../docs/runtimes.md). All columns: "
        "[`table.md`](run/table.md), [`summary.csv`](run/summary.csv); every sample: "
        "[`records.jsonl`](run/records.jsonl).",
        "",
        *without_number(table),
        "![Ranks by latency, runtime by runtime: in colour who surely changes places](run/ranks-runtime.png)",
        "",
        "## Milliseconds of one call",
        "",
        "The median, and in parentheses the time over that of eager under the same conditions; what "
        "is surely quickest, by the 95 % intervals of the ratios, in bold. * computed in another dtype; "
        "~ the 95 % interval of the median is wider than ±5 %.",
        "",
    ]
    for (dtype, threads), group in table.groupby(["dtype", "threads"], sort=False):
        lines += [f"### {dtype}, {threads} thread{'s' if threads > 1 else ''}", "", *by_runtime(group), ""]
    return "\n".join([*lines, *errors(timed), ""])


def versions(run: Profile) -> list[str]:
    """Of the runtimes, beside torch."""
    found = {name: version for r in run.records for name, version in r.runtime.items()}
    return [f"{name} {version.partition('-')[0]}" for name, version in found.items() if name in RUNTIMES]


def without_number(table: pd.DataFrame) -> list[str]:
    """The cells that have none, those with one reason together."""
    empty = table[table.ms.isna()]
    if empty.empty:
        return []
    lines = ["| without a number | why |", "|---|---|"]
    for why, group in empty.groupby("why", sort=False):
        which = [f"{r.block}, {r.runtime}, {r.dtype}, {r.threads} thr." for r in group.itertuples()]
        lines.append(f"| {'; '.join(which)} | {str(why).replace('|', '/')} |")
    return [*lines, ""]


def by_runtime(group: pd.DataFrame) -> list[str]:
    """Blocks × runtimes."""
    lines = [f"| | {' | '.join(RUNTIMES)} |", f"|---|{'---:|' * len(RUNTIMES)}"]
    for block, row in group.groupby("block", sort=False):
        by = row.set_index("runtime")
        times = by.ms.dropna().sort_values()
        rounds = [by.record[name].rounds_ms for name in times.index]
        surely = len(rounds) > 1 and all(ratio(rounds[0], other)[1] > 1 for other in rounds[1:])
        best = times.index[0] if surely else None
        shown = []
        for name in RUNTIMES:
            if name not in by.index or pd.isna(by.ms[name]):
                shown.append("–")
                continue
            noisy = "~" if by.record[name].latency.is_noisy else ""
            text = noisy + significant(by.ms[name], 3) + ("*" if by.elsewhere[name] else "")
            text = f"**{text}**" if name == best else text
            times_eager = by.ms[name] / by.ms["eager"] if name != "eager" and "eager" in times.index else None
            shown.append(text if times_eager is None else f"{text} ({times_eager:.2f})")
        lines.append(f"| {block} | {' | '.join(shown)} |")
    return lines


def errors(timed: pd.DataFrame) -> list[str]:
    """How far the outputs are off, and what making a block ready takes."""
    lines = [
        "## How far outputs are off eager's in float64, and the seconds to make a block ready",
        "",
        "| runtime | dtype | largest error | median error | median seconds | most |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for runtime, dtype in product(RUNTIMES[1:], dict.fromkeys(timed.dtype)):
        rows = timed[(timed.runtime == runtime) & (timed.dtype == dtype)]
        if not rows.empty:
            figures = (rows.error.max(), rows.error.median(), rows.compile_s.median(), rows.compile_s.max())
            lines.append(f"| {runtime} | {dtype} | {' | '.join(significant(x, 2) for x in figures)} |")
    return lines


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else HERE
    print(write_text(folder / "README.md", page(load_run(folder / "run"))))
