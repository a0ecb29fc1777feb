"""``ctxbench sweep``: how cost grows along an axis."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import app
from ctxbench.cli.options import (
    CHANNELS,
    SIZE,
    Batch,
    Budget,
    Device,
    Dtype,
    Forms,
    Inputs,
    Modules,
    Options,
    Output,
    PresetName,
    Size,
    Timeout,
)
from ctxbench.errors import UserError


@app.command()
def sweep(
    context: typer.Context,
    modules: Modules = None,
    axis: Annotated[
        str, typer.Option(help="size, height, width, channels, batch, threads, or an option such as rank.")
    ] = "size",
    points: Annotated[str, typer.Option("--values", help="Three values or more, by comma: 32,64,128.")] = "",
    preset: PresetName = None,
    channels: Annotated[int, typer.Option(help="Input channels.")] = CHANNELS,
    size: Size = SIZE,
    option: Options = None,
    implementation: Forms = "",
    batch: Batch = 1,
    dtype: Dtype = "float32",
    mode: Annotated[
        Literal["infer", "train"], typer.Option(help="The pass that peak memory and latency are of.")
    ] = "infer",
    device: Device = "cpu",
    inputs: Inputs = None,
    output: Output = None,
    latency: Annotated[bool, typer.Option("--latency", help="Measure latency too.")] = False,
    budget: Budget = 2.5,
    timeout: Timeout = 120.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write table, figure and records. Latency: runs/TIME.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted sweep.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the exponents here; - is stdout.")] = None,
    md: Annotated[
        Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")
    ] = None,
    tex: Annotated[Path | None, typer.Option(help="Also write the table in LaTeX here; - is stdout.")] = None,
) -> None:
    """Fit how MACs, memory and latency grow, beside the claimed O(.).

    Exponents over positions, height, width, channels or rank, with 95 % intervals, the slope between the last
    two points, and a verdict. Exit codes as those of profile.
    """
    from ctxbench import api
    from ctxbench.report.sweep_sheet import latex, markdown, sweep_grid

    exports = {"csv": csv, "md": md, "tex": tex}
    along = (values.sizes if axis == "size" else values.integers)("--values")(points)
    quiet = shared.goes_to_stdout(exports)
    given = shared.given(context)
    if resume is not None:
        shared.refuse_beside(context, ("resume", *exports), "--resume goes on with the sweep as it was begun")
    elif not along:
        raise UserError("give the values of the axis, such as --axis size --values 32,64,128")
    if not latency and {"--budget", "--timeout"} & set(given):
        raise UserError("--budget and --timeout are about measuring: give --latency too, or leave them out")
    if f"--{axis}" in given and axis in ("size", "channels", "batch"):
        raise UserError(f"--axis {axis} takes its values from --values: leave out --{axis}")
    folder = resume or out or (api.new_folder() if latency else None)
    with shared.resumable("sweep", folder, "run.json"), progress.display(quiet=quiet) as show:
        growth = api.sweep(
            values.modules(modules or []),
            axis=axis,
            values=along,
            preset=preset,
            channels=channels,
            size=size,
            options=values.options(option),
            implementations=implementation,
            batch=batch,
            dtype=dtype,
            mode=mode,
            device=device,
            inputs=inputs,
            output=output,
            latency=latency,
            budget_s=budget,
            timeout_s=timeout,
            out=folder,
            resume=resume,
            command=["ctxbench", *sys.argv[1:]],
            progress=progress.measuring(show),
        )
    draw: dict[str, Callable[[], str]] = {
        "csv": lambda: str(growth.to_frame().to_csv(index=False)),
        "md": lambda: markdown(growth),
        "tex": lambda: latex(growth),
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show([sweep_grid(growth)])
        if folder is not None:
            print(f"\nWritten to {folder}: sweep.csv, sweep.md, sweep.tex, sweep.png, sweep.svg.")
    shared.exit_by_status(growth.records)
