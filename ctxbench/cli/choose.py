"""``ctxbench choose``: which row of a run to take, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import shared, values
from ctxbench.cli.app import app
from ctxbench.cli.options import Csv, Folders, Md, TexTable, Where


@app.command()
def choose(
    runs: Folders,
    most: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="QUANTITY=VALUE",
            help="A budget: latency=20ms, memory=64MiB (measured peak), process=1GB, macs=1.5G, flops=3G, "
            "params=2M, energy=5mJ; repeatable, comma lists.",
        ),
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="QUANTITY=VALUE",
            help="A least: throughput=50/s, accuracy=20% (mIoU of a study).",
        ),
    ] = None,
    best: Annotated[
        str,
        typer.Option(
            metavar="QUANTITY",
            help="What is best of what fits: the least latency, memory, process, macs, flops, params or "
            "energy, or the most throughput or accuracy.",
        ),
    ] = "latency",
    where: Where = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the table and a figure of the fronts.")
    ] = None,
    csv: Csv = None,
    md: Md = None,
    tex: TexTable = None,
) -> None:
    """Choose a row of a run: what fits a budget, and what is best.

    What does not fit, and by how much; what no other row beats in both latency and memory, MACs or accuracy;
    and the row to take. Measured numbers are judged by the 95 % interval of their median. A study's folder
    is a run with accuracies: by them, of rows that the study does not tell apart the quickest is taken.

    Exit codes: 0 something fits, 1 nothing does, 2 bad input, 70 a defect of ctxbench itself.
    """
    from ctxbench import api

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    choice = api.choose(
        *runs, max=values.split(most), min=values.split(least), best=best, where=where, out=out
    )
    draw: dict[str, Callable[[], str]] = {
        "csv": lambda: str(choice.to_frame().to_csv(index=False)),
        "md": choice.markdown,
        "tex": choice.latex,
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show(choice.grids())
        if out is not None:
            print(f"\nWritten to {out}: choice.csv, choice.md, choice.tex, and the fronts as figures.")
    raise typer.Exit(choice.exit_code)
