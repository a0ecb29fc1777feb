"""``ctxbench report``: a run's tables and figures, from its records."""

from __future__ import annotations

from ctxbench.cli import shared
from ctxbench.cli.app import app
from ctxbench.cli.options import Folder


@app.command()
def report(run: Folder) -> None:
    """Print a run's tables again, and write its page.

    From its records, without measuring: report.html (every number, figure and sample in one file that sorts),
    the tables and the figures.
    """
    from ctxbench.report.run import load_run, write_report

    read = load_run(run)
    written = write_report(read)
    shared.show(read.tables, shared.WIDE)
    print(f"\nWritten to {run}: {', '.join(path.name for path in written)}.")
