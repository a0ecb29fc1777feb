"""The verbs about data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ctxbench.cli import progress, values
from ctxbench.cli.app import USAGE, app, say

MAX_NAMED = 20
"""Bad samples that are named; of more, the number is."""

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
        if info.reported_as:
            print(f"{'':17}mean IoU × {info.reported_share} is printed {info.reported_as}")


@data.command("check")
def check_whole(
    name: Annotated[str, typer.Argument(help="A name of `ctxbench data list`.")],
    root: Annotated[Path | None, typer.Argument(parser=values.place, help="The folder it lies in.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: those to train on and to evaluate on.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw samples with their masks here (PNG).")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Allow images of so many pixels, if their files are trusted.")
    ] = None,
) -> None:
    """Read every image and mask of a data set.

    Says what the values in the masks mean, counts the samples beside those of the authors' split, shows each
    class's share of the pixels, and names what is missing, unreadable, of differing sizes, or labelled with
    what is no class. Warns of classes without a pixel, images that two splits share, masks compressed with
    loss. Exit codes: 0 all is well, 2 something is wrong.
    """
    from rich.console import Console

    from ctxbench import api
    from ctxbench.data.check import sample_picture, shared_samples
    from ctxbench.data.reading import PIXEL_LIMIT

    if max_pixels:
        os.environ[PIXEL_LIMIT] = str(max_pixels)
    with progress.display() as show:
        checks = api.check_data(
            name, root, split=split, progress=lambda of, done, total: show(f"{name} {of}", done, total)
        )
    for check in checks:
        print(check.summary)
        if check.dataset.meaning:
            print(f"Masks: {check.dataset.meaning}.")
        Console().print(check.table())
        for warning in check.warnings:
            print(f"Warning: {warning}.")
        for _, error in check.problems[:MAX_NAMED]:
            say(str(error))
        if len(check.problems) > MAX_NAMED:
            say(f"and {len(check.problems) - MAX_NAMED} more samples of {check.dataset.split}")
    for warning in shared_samples(checks):
        print(f"Warning: {warning}.")
    if picture:
        sample_picture(checks[0].good, picture)
        print(f"Samples drawn to {picture}.")
    if any(check.problems for check in checks):
        raise typer.Exit(USAGE)
