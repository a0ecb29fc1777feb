"""``ctxbench report``: tables and figures of a run, or of several together, from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import shared
from ctxbench.cli.app import app
from ctxbench.cli.options import Columns, Csv, Digits, Folders, Md, OwnRows, Sort, Tex


@app.command()
def report(
    runs: Folders,
    columns: Columns = None,
    sort: Sort = "",
    digits: Digits = None,
    own: OwnRows = "last",
    csv: Csv = None,
    md: Md = None,
    tex: Tex = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write. Default: the run's own, or for several runs/TIME."),
    ] = None,
) -> None:
    """Print tables of a run or of several, and write their page.

    From their records, without measuring: report.html (every number, figure and sample in one file that
    sorts), the tables and the figures. Of several runs every record is a row, told apart by run where cases
    are equal, and in what the environments differ is listed. Of a study's folder, its costs with accuracies.
    """
    from ctxbench import api
    from ctxbench.report.run import write_report
    from ctxbench.report.view import View

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    seen = api.load_report(runs, out).seen(View(tuple(columns or ()), sort, digits, own))
    written = write_report(seen)
    shared.deliver(seen, exports, quiet)
    if not quiet:
        print(f"\nWritten to {seen.folder}: {', '.join(path.name for path in written)}.")
