"""``ctxbench probe``: what kind of context a block can use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ctxbench.cli import progress, shared, studies, values
from ctxbench.cli.app import app
from ctxbench.cli.options import Inputs, Modules, Options, Output, PresetName
from ctxbench.cli.studies import Csv, ExecutorName, Jobs, Md, Partition, Quick, Tex


@app.command()
def probe(
    context: typer.Context,
    modules: Modules = None,
    tasks: Annotated[
        Any,
        typer.Option(
            parser=values.words,
            metavar="TASKS",
            help="By comma: majority, count, region, key, row, column, "
            "two-hops, offset, nearest, relation. Default: all.",
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(help="Trainings of each cell.")] = 3,
    quick: Quick = False,
    preset: PresetName = None,
    option: Options = None,
    inputs: Inputs = None,
    output: Output = None,
    jobs: Jobs = None,
    executor: ExecutorName = "here",
    partition: Partition = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with interrupted probes.")] = None,
    csv: Csv = None,
    md: Md = None,
    tex: Tex = None,
) -> None:
    """Find out what kind of context a block can use.

    Trains small networks on generated maps whose labels need one kind of context each: the whole map's
    majority, one's row or column, the same key elsewhere, a fixed offset and so on; beside no context module,
    chance and ceiling. A block takes some minutes on two cores. Exit codes as those of profile.
    """
    from ctxbench import api

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    if resume is not None:
        shared.refuse_beside(
            context,
            ("resume", *studies.PLACE, *exports),
            "--resume goes on with the probes as they were begun",
        )
    folder = resume or out or api.new_folder()
    place = studies.place(executor, partition)
    with shared.resumable("probe", folder, "probe.json", place), progress.display(quiet=quiet) as show:
        found = api.probe(
            values.modules(modules or []),
            preset=preset,
            options=values.options(option),
            inputs=inputs,
            output=output,
            tasks=tasks or (),
            seeds=seeds,
            quick=quick,
            jobs=jobs,
            executor=executor,
            partition=partition,
            out=folder,
            resume=resume,
            command=["ctxbench", *sys.argv[1:]],
            progress=studies.training(show),
        )
    studies.deliver(found, "probes", exports, quiet, folder)
    studies.exit_by_reasons(found.failed, len(found.rows) - 1)
