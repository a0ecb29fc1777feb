"""The verbs about data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import shared
from ctxbench.cli.app import USAGE, app, say

SHOWN = 20
"""How many bad samples are named."""

data = typer.Typer(help="Data sets: which there are, and whether one is whole.")
app.add_typer(data, name="data")


@data.command("list")
def list_datasets() -> None:
    """List the data sets, their splits, and where to get them."""
    from ctxbench.data import DATASETS

    for info in DATASETS.values():
        print(f"{info.name:17}{info.title} ({', '.join(info.splits)})")
        if info.source:
            print(f"{'':17}{info.source}")


@data.command()
def check(
    name: Annotated[str, typer.Argument(help="A name of `ctxbench data list`.")],
    root: Annotated[Path | None, typer.Argument(help="The folder it lies in.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: those to train on and to evaluate on.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw samples with their masks here (PNG).")] = None,
) -> None:
    """Read every image and mask of a data set.

    Counts them beside those of the authors' split, shows each class's share of the pixels, and names what is
    missing, unreadable, of differing sizes, or labelled with what is no class. Exit codes: 0 all is well, 2
    something is wrong.
    """
    from rich.console import Console

    from ctxbench.data import DATASETS, open_dataset
    from ctxbench.data import check as checking

    info = DATASETS.get(name)
    splits = [split] if split or info is None else [info.train_split, info.eval_split]
    found = []
    for dataset in [open_dataset(name, root, one) for one in splits]:
        with shared.progress_bar(counted=True) as bar:
            found.append(checking.check(dataset, shared.counting(bar, f"{name} {dataset.split}")))
    for one in found:
        print(one.summary)
        Console().print(one.table())
        for _, error in one.problems[:SHOWN]:
            say(str(error))
        if len(one.problems) > SHOWN:
            say(f"and {len(one.problems) - SHOWN} more samples of {one.dataset.split}")
    if picture:
        checking.sample_picture(found[0].good, picture)
        print(f"Samples drawn to {picture}.")
    if any(one.problems for one in found):
        raise typer.Exit(USAGE)
