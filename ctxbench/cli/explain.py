"""``ctxbench explain``: where a module's cost is."""

from __future__ import annotations

from typing import Annotated

import typer

from ctxbench.cli import shared, values
from ctxbench.cli.app import app
from ctxbench.cli.options import (
    CHANNELS,
    SIZE,
    Batch,
    Counter,
    Implementation,
    Inputs,
    ModeOption,
    Module,
    Options,
    Output,
    PresetName,
    Size,
)
from ctxbench.subject import axes


@app.command()
def explain(
    module: Module,
    preset: PresetName = None,
    channels: Annotated[int, typer.Option(help="Input channels.")] = CHANNELS,
    size: Size = SIZE,
    option: Options = None,
    implementation: Implementation = None,
    batch: Batch = 1,
    mode: ModeOption = "infer",
    counter: Counter = None,
    inputs: Inputs = None,
    output: Output = None,
) -> None:
    """Take a module's cost apart, by operation.

    And by module, with what each other counter missed.
    """
    from ctxbench import api

    height, width = axes.sides(size)
    with shared.without_full_collections():
        told = api.explain(
            module,
            (batch, channels, height, width),
            preset=preset,
            mode=mode,
            implementation=implementation,
            counters=values.counters(counter),
            options=values.options(option),
            inputs=inputs,
            output=output,
        )
    print(told, end="")
