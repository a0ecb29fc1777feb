"""``ctxbench report``: a run's tables and figures, from its records."""

from __future__ import annotations

from ctxbench.cli import shared
from ctxbench.cli.app import app
from ctxbench.cli.options import Columns, Csv, Digits, Folder, Md, OwnRows, Sort, Tex


@app.command()
def report(
    run: Folder,
    columns: Columns = None,
    sort: Sort = "",
    digits: Digits = None,
    own: OwnRows = "last",
    csv: Csv = None,
    md: Md = None,
    tex: Tex = None,
) -> None:
    """Print a run's tables again, and write its page.

    From its records, without measuring: report.html (every number, figure and sample in one file that sorts),
    the tables and the figures.
    """
    from ctxbench.report.run import load_run, write_report
    from ctxbench.report.view import View

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    seen = load_run(run).seen(View(tuple(columns or ()), sort, digits, own))
    written = write_report(seen)
    shared.deliver(seen, exports, quiet)
    if not quiet:
        print(f"\nWritten to {run}: {', '.join(path.name for path in written)}.")
