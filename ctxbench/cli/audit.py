"""``ctxbench audit``: what the numbers of a paper's table count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import INTERRUPTED, NAMES, NOTHING_MEASURED, OK, SLOWER, app, say
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.audit.findings import Verdict


@app.command()
def audit(
    table: Annotated[
        Path | None,
        typer.Argument(
            parser=values.place,
            help="CSV with a header: subject (what profile takes, ? for what is not known, or "
            "network(MODEL, classes=K)), flops, memory, parameters as printed; label, shape, channels, size, "
            "counts, source, verified.",
        ),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            help="A paper whose table comes with ctxbench, ccnet for one; without a name, all of them."
        ),
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Verdicts, with commas, that leave with 1: misleading,contradicts.")
    ] = "",
    csv: Annotated[
        Path | None, typer.Option(help="Also write every number as CSV here; - is stdout.")
    ] = None,
    md: Annotated[Path | None, typer.Option(help="Also write the table in Markdown here.")] = None,
    tex: Annotated[Path | None, typer.Option(help="Also write the table in LaTeX here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the table as a page here.")] = None,
) -> None:
    """Find what the printed numbers of a paper's table count.

    Each number has a verdict, with how likely it is by chance: reproduced, misleading, near, could be
    anything, not reproduced, contradicts its row, not counted. The table has the one rule that explains most
    rows, and the rows that break it.

    Exit codes: 0, or 1 where --fail-on says so, 2 bad input, 3 no row could be read, 130 interrupted, with
    what was found until then; 70 a defect of ctxbench itself.
    """
    from ctxbench import api

    exports = {"csv": csv, "md": md, "tex": tex, "html": html}
    quiet = shared.goes_to_stdout(exports)
    wanted = _verdicts(fail_on) if fail_on else set()
    with shared.without_full_collections(), progress.display() as show:
        found = api.audit(table, paper=paper, progress=lambda done, of, label: show("rows", done, of, label))
    shared.export({"csv": found.csv, "md": found.markdown, "tex": found.latex, "html": found.html}, exports)
    if not quiet:
        shared.show(found.grids(), shared.WIDE)
    for problem in found.problems:
        say(problem)
    failed = found.fails(wanted)
    for finding in failed:
        say(f"{finding.row.label}: {finding.quantity} is {finding.verdict}")
    if found.unseen:
        say(f"interrupted: {found.unseen} rows were not looked at")
        raise typer.Exit(INTERRUPTED)
    if not found.lines:
        raise typer.Exit(NOTHING_MEASURED)
    raise typer.Exit(SLOWER if failed else OK)


def _verdicts(text: str) -> set[Verdict]:
    """The verdicts that --fail-on names, each by its beginning. Raises UserError for what is none."""
    from ctxbench.audit.findings import VERDICTS

    wanted: set[Verdict] = set()
    for part in values.words(text):
        meant = [verdict for verdict in VERDICTS if verdict.startswith(part.replace("-", " "))]
        if not meant:
            raise UserError(f"--fail-on {part}: no verdict; there are: {', '.join(VERDICTS)}")
        wanted.update(meant)
    return wanted


def _papers() -> list[str]:
    from ctxbench.audit.literature import papers

    return papers()


NAMES["--paper"] = _papers
