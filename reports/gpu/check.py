"""Run every part of the check on one device and write one report; ``check.sh`` starts it.

The report is written whole after each part, with what is still to come named in it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import latency
import parity
import peaks
import runs
import syncbn
import torch
from section import Section, emptied

from ctxbench.errors import in_one_line
from ctxbench.files import write_text
from ctxbench.measure.environment import environment
from ctxbench.subject.case import Case
from ctxbench.subject.cases import cases
from ctxbench.table.markdown import escape, grid_markdown

BUDGET_S = 425
"""Seconds in all: check.sh stops the process at 450."""
NO_GPU = 3
"""The exit code."""
Part = tuple[str, float, Callable[[float], Section]]
"""A name, the seconds that the part may take, and what makes its section in that many seconds."""


def parts(device: str, scratch: Path) -> list[Part]:
    """What is checked, in order of weight."""
    block = (1, 512, 64, 64)
    normed = Case("emau", 128, 48, 40, {}, "fast", 4, mode="train", device=device)
    timed = cases(preset="table10", implementations=["fast", "published"], device=device)
    if parity.GATE in parity.modules():
        timed.append(replace(timed[0], module=parity.GATE, implementation="fast"))  # timed[0] is TGM+TRM
    return [
        ("peaks", 95, lambda s: peaks.section(device, block, time.monotonic() + s)),
        ("parity", 55, lambda s: parity.section(device, (2, 128, 48, 40), time.monotonic() + s)),
        ("latency", 75, lambda s: latency.section(device, timed, time.monotonic() + s)),
        ("NVML", 10, lambda s: peaks.held(device)),
        ("Table 10", 60, lambda s: runs.row_of_table10(device, scratch / "row", 512, 64, s)),
        ("training", 80, lambda s: runs.training(device, scratch / "train", 200, s)),
        ("batch norm", 50, lambda s: syncbn.section(device, normed, scratch / "two", time.monotonic() + s)),
    ]


def run(wanted: Sequence[Part], device: str, out: Path, budget_s: float) -> list[Section]:
    """Make every section, and write the report after each. A part that fails is in it with its error."""
    deadline = time.monotonic() + budget_s
    sections: list[Section] = []
    for number, (name, seconds, make) in enumerate(wanted, start=1):
        left = deadline - time.monotonic()
        print(f"{name} ({min(seconds, left):.0f} s at most) …", file=sys.stderr)
        if left < seconds / 4:
            section = Section(name, wrong=[f"not run: {left:.0f} s of {budget_s:.0f} were left"])
        else:
            try:
                emptied(device)
                section = make(min(seconds, left))
            except Exception as error:
                section = Section(name, wrong=[f"failed: {in_one_line(error)}"])
        sections.append(section)
        write_text(out, page(sections, device, [name for name, _, _ in wanted[number:]]))
    return sections


def page(sections: Sequence[Section], device: str, to_come: Sequence[str] = ()) -> str:
    """The report as Markdown: what is wrong first, then the machine, then part after part."""
    wrong = [f"- {section.title}: {escape(what)}" for section in sections for what in section.wrong]
    facts = [f"| {name} | {escape(str(value))} |" for name, value in environment(device).items()]
    lines = [
        "# ctxbench on a GPU" if device.startswith("cuda") else f"# ctxbench's GPU check, on {device}",
        "",
        f"Made by `bash reports/gpu/check.sh`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        "",
        *([f"**Not finished:** {', '.join(to_come)} to come.", ""] if to_come else []),
        *(["**Not as it should be:**", "", *wrong] if wrong else ["All is as it should be."]),
        "",
        *["| machine | |", "|:---|:---|", *facts],
    ]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        lines += [part for text in section.text for part in (text, "")]
        lines += [grid_markdown(grid) for grid in section.grids if grid.groups]
        lines += [f"- Wrong: {escape(what)}" for what in section.wrong]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Check, write and print the report; 0, 1 where something is wrong, 3 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            f"check.py: no GPU, nothing checked: torch {torch.__version__} sees no CUDA device",
            file=sys.stderr,
        )
        return NO_GPU
    with tempfile.TemporaryDirectory() as scratch:
        sections = run(parts(given.device, Path(scratch)), given.device, given.out, BUDGET_S)
    print(given.out.read_text(encoding="utf-8"))
    return int(any(section.wrong for section in sections))


if __name__ == "__main__":
    sys.exit(main())
