"""``ctxbench calibrate``: how often a comparison is right on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import progress, shared
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.cli.options import Budget, Device, Timeout


@app.command()
def calibrate(
    context: typer.Context,
    pairs: Annotated[
        int, typer.Option(help="Pairs of equal cases; half as many for each share of added work.")
    ] = 200,
    device: Device = "cpu",
    budget: Budget = 2.5,
    timeout: Timeout = 120.0,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with an interrupted calibration.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write every pair as CSV here; - is stdout.")] = None,
    md: Annotated[
        Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")
    ] = None,
) -> None:
    """Count how often compare is right on this machine.

    Measures the same cases in run after run, a small, a middle and a large one, also with 2, 5 and 10 % more
    work, and compares the runs two by two: how often equal ones are called different, and how often added
    work is found, with 95 % intervals. Some 20 minutes. Exit codes as those of profile.
    """
    from ctxbench import api
    from ctxbench.calibration.runs import SPEC, read
    from ctxbench.calibration.sheet import Calibration, write_calibration
    from ctxbench.table.markdown import grid_markdown

    exports = {"csv": csv, "md": md}
    quiet = shared.goes_to_stdout(exports)
    if resume is not None:
        shared.refuse_beside(
            context, ("resume", *exports), "--resume goes on with the calibration as it was begun"
        )
    folder = resume or out or api.new_folder()

    def deliver(found: Calibration) -> None:
        draw = {
            "csv": lambda: str(found.to_frame().to_csv(index=False)),
            "md": lambda: "\n".join(map(grid_markdown, found.grids())),
        }
        shared.export(draw, exports)
        if not quiet:
            shared.show(found.grids(), shared.WIDE)

    try:
        with progress.display(quiet=quiet) as show:
            found = api.calibrate(
                pairs=pairs,
                device=device,
                budget_s=budget,
                timeout_s=timeout,
                out=folder,
                resume=resume,
                command=["ctxbench", *sys.argv[1:]],
                progress=progress.measuring(show),
            )
    except KeyboardInterrupt:
        if not (folder / SPEC).exists():
            raise typer.Exit(INTERRUPTED) from None
        try:
            so_far = Calibration(tuple(read(folder)))
            write_calibration(folder, so_far)
            deliver(so_far)
        finally:  # also where a second Ctrl-C ends the table
            say(f"interrupted; go on with: ctxbench calibrate --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    deliver(found)
    if not quiet:
        print(f"\nWritten to {folder}: calibration.csv, calibration.md, and the runs.")
    shared.exit_by_status([record for run in found.runs for record in run.records])
