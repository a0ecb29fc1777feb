"""``ctxbench train``: train a segmentation network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.cli.options import Log
from ctxbench.networks.registry import NETWORKS, completed

if TYPE_CHECKING:
    from ctxbench.cli.progress import Show
    from ctxbench.train.training import Progress

LINES = 20
"""Lines that a training prints where there is no terminal for a bar."""


@app.command()
def train(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help=f"{', '.join(NETWORKS)}. Default: reconet.",
            autocompletion=completed,
        ),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option("--context", help="Context module of reconet: a name, file.py:Class, or none."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="resnet50, 101 or 152, resnet-tiny or -small.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set's name. Default: synthetic.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="The data set's folder, as its authors lay it out.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="File of the backbone's ImageNet weights.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings of another data set's preset. Default: the data set's own.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; stands over the preset.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, over all else; docs/settings.md lists them."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            metavar="KEY=VALUE",
            help="An option of the context module; of another network, of its head.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    init: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Start from a run's weights, or a released network's file."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: cuda where there is one.")] = None,
    devices: Annotated[
        int | None, typer.Option(help="Processes, each with its GPU; under torchrun its own count stands.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out samples that cannot be read, and name them.")
    ] = False,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not also train it without a context module.")
    ] = False,
    log: Log = None,
) -> None:
    """Train a segmentation network, and evaluate it.

    Without arguments: RecoNet on a generated set, beside the same network without a context module. Settings
    come from the data set's preset, then --config, then the options. Writes a folder with checkpoints, logs,
    evaluation, curve and report. Exit codes: 0 trained, 2 bad input or a loss that is no number,
    130 interrupted.
    """
    if resume is not None:
        shared.refuse_beside(context, ("resume",), "--resume goes on with the run as it was begun")
    from ctxbench import api

    folder = resume or out or api.new_folder()
    try:
        with progress.display() as show:
            run = api.train(
                model,
                context=module,
                options=values.options(option),
                backbone=backbone,
                dataset=dataset,
                root=root,
                weights=weights,
                preset=preset,
                config=config,
                settings=set_ or [],
                out=folder,
                init=init,
                resume=resume,
                device=device,
                devices=devices,
                skip_bad=skip_bad,
                baseline=False if no_baseline else None,
                log=values.split(log),
                progress=_showing(show),
            )
    except KeyboardInterrupt as stop:
        from ctxbench.train.launch.engine import is_rank_zero

        if is_rank_zero() and (folder / "config.toml").exists():
            where = f" {stop}" if str(stop) else ""
            say(f"interrupted{where}; go on with: ctxbench train --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    from ctxbench.train.launch.engine import (
        is_rank_zero,  # not earlier: bad settings are refused before torch
    )

    if not is_rank_zero():
        return
    shared.show(run.grids())
    print(f"\nWritten to {run.folder}: report.md, curve.png, evaluation/, train.csv, last.ckpt, best.ckpt.")


def _showing(show: Show) -> Callable[[Progress], None]:
    """What shows a training: a task for each network, with its loss, rate, speed and last score."""

    def tell(state: Progress) -> None:
        score = "" if state.miou is None else f"  mIoU {state.miou:.1f}"
        text = f"loss {state.loss:.3f}  lr {state.lr:.2g}  {state.images_per_s:.1f} images/s{score}"
        if state.evaluated is not None:
            text = "evaluating image {} of {}".format(*state.evaluated)
        every = max(1, state.total // LINES)
        due = state.evaluated is None and (state.done % every == 0 or state.done == state.total)
        show(f"{state.title}: iteration", state.done, state.total, text, line=due)

    return tell
