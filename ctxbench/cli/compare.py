"""``ctxbench compare``: two runs, case by case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import values
from ctxbench.cli.app import app


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="The baseline run's folder.")],
    run_b: Annotated[Path, typer.Argument(help="The other run's folder.")],
    fail_on: Annotated[
        str,
        typer.Option(help="median:P%: a case is SLOWER when its median surely grew, and by more than P %."),
    ] = "median:5%",
) -> None:
    """Compare two runs, case by case.

    The ratio of the medians with its 95 % interval, and a verdict.

    Exit codes: 0 nothing is slower, 1 something is SLOWER, 2 bad input, 3 nothing was measured in both,
    70 a defect of ctxbench itself.
    """
    from ctxbench import api

    difference = api.compare(run_a, run_b, threshold=values.threshold(fail_on))
    print(difference, end="")
    raise typer.Exit(difference.exit_code)
