"""``ctxbench compare``: runs with each other, or a run along one of its axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ctxbench.cli import shared, values
from ctxbench.cli.app import app
from ctxbench.cli.options import Csv, Folders, Md, TexTable


@app.command()
def compare(
    runs: Folders,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS",
            help="Compare along an axis within each run: runtime, dtype, threads, form, size, module, …, or "
            "an option such as rank.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="What all else is held against: a value of the axis, by default its first; without --by a "
            "module.",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="median:P%",
            help="A case is SLOWER when its median surely grew, and by more than P %; 5 if left out.",
        ),
    ] = None,
    csv: Csv = None,
    md: Md = None,
    tex: TexTable = None,
) -> None:
    """Compare runs case by case, or cases within a run.

    The ratio of the medians with its interval, all of them together at 95 %, and a verdict. Several runs are
    held against the first; --by, an axis, and --baseline compare what is equal in all else.

    Exit codes: 0 nothing is slower, 1 something is SLOWER (within a run only where --fail-on asks for it), 2
    bad input, 3 no pair was measured, 70 a defect of ctxbench itself.
    """
    from ctxbench import api

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    threshold = None if fail_on is None else values.threshold(fail_on)
    found = api.compare(*runs, by=by, baseline=baseline, threshold=threshold)
    draw: dict[str, Callable[[], str]] = {
        "csv": lambda: str(found.to_frame().to_csv(index=False)),
        "md": found.markdown,
        "tex": found.latex,
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show(found.grids())
    raise typer.Exit(found.exit_code)
