"""The verb that trains a segmentation network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxbench.cli import shared
from ctxbench.cli import values as arguments
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ctxbench.train.config import TrainConfig
    from ctxbench.train.training import Progress

LINES = 20
"""Lines that a training prints where there is no terminal for a bar."""


@app.command()
def train(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="reconet (default), fcn, pspnet, deeplabv3plus, danet, psanet, ccnet or emanet.",
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
        typer.Option("-o", "--option", metavar="KEY=VALUE", help="An option of the context module."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    init: Annotated[Path | None, typer.Option(metavar="RUN", help="Start from a run's weights.")] = None,
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
) -> None:
    """Train a segmentation network, and evaluate it.

    Without arguments: RecoNet on a generated set, beside the same network without a context module. Settings
    come from the data set's preset, then --config, then the options. Writes a folder with checkpoints, logs,
    evaluation, curve and report. Exit codes: 0 trained, 2 bad input or a loss that is no number,
    130 interrupted.
    """
    if resume is not None:
        shared.refuse_beside(context, ("resume",), "--resume goes on with the run as it was begun")
        settings = None
    else:
        flags = {
            "model": model, "context": module, "backbone": backbone, "dataset": dataset, "root": root,
            "weights": weights, "init": init, "device": device, "devices": devices,
            "skip_bad": skip_bad or None, "baseline": False if no_baseline else None,
        }  # fmt: skip
        settings = _settings(flags, config, set_ or [], option or [], preset)

    # below this line torch is imported, which takes seconds: what is wrong above is refused at once
    from ctxbench import api
    from ctxbench.train.curves import result
    from ctxbench.train.engine import is_rank_zero
    from ctxbench.train.loop import resume as go_on
    from ctxbench.train.loop import train as begin

    folder = resume or out or api.new_folder()
    try:
        with _progress() as progress:
            if settings is None:
                run = go_on(folder, progress=progress)
            else:
                run = begin(settings, folder, progress=progress)
    except KeyboardInterrupt as stop:
        if is_rank_zero() and (folder / "config.toml").exists():
            where = f" {stop}" if str(stop) else ""
            say(f"interrupted{where}; go on with: ctxbench train --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    if not is_rank_zero():
        return
    shared.show(result(run))
    print(f"\nWritten to {run.folder}: report.md, curve.png, evaluation/, train.csv, last.ckpt, best.ckpt.")


def _settings(
    flags: dict[str, Any], file: Path | None, pairs: list[str], options: list[str], preset: str | None
) -> TrainConfig:
    """The configuration: the preset's settings, the file's over them, then the options', then --set's."""
    from ctxbench.train.config import assignments, read_toml
    from ctxbench.train.presets import configured

    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in flags.items()
        if value is not None
    }
    assigned = assignments(pairs)
    if options:
        of_context = arguments.options(options)
        if dotted := next((key for key in of_context if "." in key), None):
            raise UserError(f"-o takes KEY=VALUE, an option of the one context module, not {dotted!r}")
        assigned["context_options"] = {**of_context, **assigned.get("context_options", {})}
    return configured(read_toml(file) if file else {}, given, assigned, preset=preset)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr with loss, rate, speed and time left; without a terminal, some lines."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    def numbers(state: Progress) -> str:
        score = "" if state.miou is None else f"  mIoU {state.miou:.1f}"
        return f"loss {state.loss:.3f}  lr {state.lr:.2g}  {state.images_per_s:.1f} images/s{score}"

    def line(state: Progress) -> None:
        every = max(1, state.total // LINES)
        if state.evaluated is None and (state.done % every == 0 or state.done == state.total):
            say(f"{state.title}: iteration {state.done}/{state.total}  {numbers(state)}")

    console = Console(stderr=True)
    if not console.is_terminal:
        yield line
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"), TextColumn("left"), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Bar(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def show(state: Progress) -> None:
            if state.title not in tasks:
                tasks[state.title] = bar.add_task(state.title, total=state.total, numbers="")
            doing = numbers(state)
            if state.evaluated is not None:
                doing = "evaluating image {} of {}".format(*state.evaluated)
            bar.update(tasks[state.title], completed=state.done, numbers=doing)

        yield show
