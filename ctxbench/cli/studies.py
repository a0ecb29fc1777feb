"""What the verbs that train grids of cells share: their exports, their tables, and their exit codes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ctxbench.cli import shared
from ctxbench.cli.app import NOTHING_MEASURED, SOME_NOT_MEASURED, say
from ctxbench.cli.progress import Show, measuring

if TYPE_CHECKING:
    from ctxbench.study.cells import Progress
    from ctxbench.study.files import Found

PLACE = ("jobs", "executor", "partition")
"""Options that say where cells are trained, which a run that goes on takes too."""
Jobs = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Cells trained at once. Default: as many as there are cores; jobs, as SLURM lets run.",
    ),
]
ExecutorName = Annotated[
    Literal["here", "slurm"],
    typer.Option("--executor", help="Where cells are trained: in processes here, or as jobs, by submitit."),
]
Partition = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of the SLURM cluster. Default: the cluster's own.")
]
Quick = Annotated[bool, typer.Option("--quick", help="A first look: one seed, less training.")]
Csv = Annotated[Path | None, typer.Option(help="Also write every score as CSV here; - is stdout.")]
Md = Annotated[Path | None, typer.Option(help="Also write the tables in Markdown here; - is stdout.")]
Tex = Annotated[Path | None, typer.Option(help="Also write the tables in LaTeX here; - is stdout.")]


def place(executor: str, partition: str | None) -> str:
    """The options that have cells trained in the same place again."""
    options = ("--executor", executor) if executor != "here" else ()
    return "".join(
        f" {shlex.quote(part)}" for part in (*options, *(("--partition", partition) if partition else ()))
    )


def deliver(found: Found, name: str, exports: Mapping[str, Path | None], quiet: bool, folder: Path) -> None:
    """Write the exports that were asked for, and print the tables, unless ``quiet``."""
    from ctxbench.study.files import latex, markdown

    draw: dict[str, Callable[[], str]] = {
        "csv": lambda: str(found.to_frame().to_csv(index=False)),
        "md": lambda: markdown(found),
        "tex": lambda: latex(found, name),
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show(found.grids(), shared.WIDE)
        print(f"\nWritten to {folder}: report.html, {name}.csv, .md, .tex, .png, .svg.")


def exit_by_reasons(failed: Mapping[str, str], rows: int) -> None:
    """Say which of the rows could not be trained, and leave with the exit code for that, if any could not."""
    for name, reason in failed.items():
        say(f"{name}: {reason}")
    if failed:
        raise typer.Exit(NOTHING_MEASURED if len(failed) == rows else SOME_NOT_MEASURED)


def training(show: Show) -> Callable[[Progress], None]:
    """What shows how far a grid of cells is: a line for each that ended, where there is no terminal."""
    of_cost, ended = measuring(show), -1

    def tell(state: Progress) -> None:
        nonlocal ended
        if state.cost is not None:
            of_cost(state.cost)
        elif state.features is not None:
            show("features", state.features, 1.0)
        elif state.fraction is not None:
            ends = f"{state.ended} of {state.total} trainings ended, {state.failed} failed"
            text = ": ".join(filter(None, (ends, ", ".join(state.active))))
            show("training", state.fraction, 1.0, text, line=state.ended != ended)
            ended = state.ended
        else:
            show("training", state.ended, state.total, ", ".join(state.active))

    return tell
