"""``ctxbench decode``: what a printed number counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import app
from ctxbench.cli.options import CHANNELS, SIZE, Batch, Inputs, Module, Options, Output, Size
from ctxbench.subject import axes


@app.command()
def decode(
    module: Module,
    printed: Annotated[
        list[str],
        typer.Argument(
            help="As printed, with the unit: FLOPs (19.33G, 2.4GMACs), memory (88.00MB), parameters "
            "(0.14Mparams), or several of these."
        ),
    ],
    channels: Annotated[int, typer.Option(help="Input channels.")] = CHANNELS,
    size: Size = SIZE,
    batch: Batch = 1,
    option: Options = None,
    inputs: Inputs = None,
    output: Output = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write every fit and near miss here; - is stdout.")
    ] = None,
) -> None:
    """Find the conventions that a printed number fits.

    MACs or FLOPs, biases, norms, functional operations seen or not, the last call or every call, MB or MiB,
    the input a pixel larger. With how many conventions were tried, and how many fits chance alone would give.
    """
    from ctxbench import api

    exports = {"csv": csv}
    quiet = shared.goes_to_stdout(exports)
    height, width = axes.sides(size)
    with shared.without_full_collections(), progress.display() as show:
        found = api.decode(
            module,
            *printed,
            shape=(batch, channels, height, width),
            options=values.options(option),
            inputs=inputs,
            output=output,
            progress=partial(show, "runs"),
        )
    shared.export({"csv": lambda: str(found.to_frame().to_csv(index=False))}, exports)
    if not quiet:
        print(found, end="")
