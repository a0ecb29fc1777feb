"""``ctxbench paper``: the paper's tables and figures, regenerated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxbench.cli import progress, shared, studies, values
from ctxbench.cli.app import INTERRUPTED, NOTHING_MEASURED, SOME_NOT_MEASURED, app, say
from ctxbench.cli.options import CHANNELS, SIZE
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.cli.progress import Show
    from ctxbench.paper.sheet import Sheet

RANK = 64
TAKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*(f"table{number}" for number in range(1, 7)), "table9", "fig5", "frozen"), ("run",)),
    **dict.fromkeys(("table7", "table8"), ("quick", "dataset", "root", "weights", "seeds", "set", "device")),
    "table10": ("channels", "size", "rank", "quick", "device"),
    "growth": (),
}
"""Options besides --out that change a table; all has every one."""


@app.command()
def paper(
    context: typer.Context,
    table: Annotated[
        str,
        typer.Argument(
            help="table1 to table10, fig5, growth (the orders claimed), frozen (a study's rows), or all."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/paper"),
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="An evaluated run for tables 1 to 6 and 9, or to draw; for frozen a study; repeatable."
        ),
    ] = None,
    channels: Annotated[int, typer.Option(help="Table 10 at so many channels.")] = CHANNELS,
    size: Annotated[
        Any,
        typer.Option(
            parser=values.size("--size"), metavar="SIZE", help="Table 10 at this size, 64 or 64x48."
        ),
    ] = SIZE,
    rank: Annotated[int, typer.Option(help="Table 10 at this rank of TGM+TRM.")] = RANK,
    quick: Annotated[
        bool, typer.Option("--quick", help="Shorter trainings with one seed, shorter latency sampling.")
    ] = False,
    dataset: Annotated[
        str, typer.Option(help="Tables 7 and 8: data set to train on, with its preset.")
    ] = "synthetic",
    root: Annotated[
        Path | None, typer.Option(help="Tables 7 and 8: its folder, as its authors lay it out.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="BACKBONE=FILE", help="Tables 7 and 8: ImageNet weights; repeatable."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Tables 7 and 8: trainings of each row.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Tables 7 and 8: any setting of a training."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu or cuda, table 10 also cuda:N. Default: cpu for table 10, for trainings cuda if any."
        ),
    ] = None,
) -> None:
    """Regenerate a table or figure of the RecoNet paper, or all.

    Printed numbers beside measured ones, with a verdict. Writes NAME.csv, .md, .tex and the figure; all also
    writes the claim ledger and index.html. What is finished in the folder is not done again. Exit codes:
    0 all measured, 2 bad input, 3 nothing measured, 4 some rows not measured (they say why), 130 interrupted.
    """
    from ctxbench.paper.regenerate import paper as regenerate

    if table in TAKES:
        shared.refuse_beside(context, ("table", "out", *TAKES[table]), f"this would not change {table}")
    try:
        with progress.display() as show:
            show(table, 0, 0)
            sheets = regenerate(
                table,
                out=out,
                runs=run or (),
                channels=channels,
                size=size,
                rank=rank,
                device=device,
                quick=quick,
                dataset=dataset,
                root=root,
                weights=_files(weights or []),
                seeds=seeds,
                settings=set_ or (),
                command=["ctxbench", *sys.argv[1:]],
                measuring=progress.measuring(show),
                training=studies.training(show),
                say=_telling(show),
            )
    except KeyboardInterrupt:
        say(f"interrupted; the same command goes on with what {out} holds")
        raise typer.Exit(INTERRUPTED) from None
    _show(sheets, out)
    asked, missing = (sum(part) for part in zip(*(sheet.tally for sheet in sheets), strict=True))
    if missing:
        raise typer.Exit(NOTHING_MEASURED if missing == asked else SOME_NOT_MEASURED)


def _files(pairs: list[str]) -> dict[str, Path]:
    files = {}
    for pair in pairs:
        backbone, equals, file = pair.partition("=")
        if not equals:
            raise UserError(f"--weights takes BACKBONE=FILE, such as resnet50=resnet50.pth, not {pair!r}")
        files[backbone] = Path(file)
    return files


def _show(sheets: list[Sheet], out: Path) -> None:
    from ctxbench.paper.page import PAGE

    shared.show((sheet.grid for sheet in sheets), shared.WIDE)
    names = f"{PAGE}, and of each table" if len(sheets) > 1 else sheets[0].name
    figure = ", .png, .svg" if any(sheet.figure for sheet in sheets) else ""
    print(f"\nWritten to {out}: {names}: .csv, .md, .tex{figure}.")


def _telling(show: Show) -> Callable[[str], None]:
    """What says a line; that of a table that is begun is what is being done until more is known."""

    def tell(line: str) -> None:
        say(line)
        if line in TAKES:
            show(line, 0, 0)

    return tell
