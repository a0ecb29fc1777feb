"""``ctxbench report``: a run's tables and figures, from its records."""

from __future__ import annotations

from ctxbench.cli.app import app
from ctxbench.cli.options import Folder


@app.command()
def report(run: Folder) -> None:
    """Rebuild a run's tables and figures.

    From its records, without measuring.
    """
    from ctxbench import api

    for path in api.report(run):
        print(path)
