"""``ctxbench study``: accuracy beside cost, on frozen features or in whole networks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ctxbench.cli import progress, shared, studies, values
from ctxbench.cli.app import app, say
from ctxbench.cli.options import Inputs, Log, Modules, Options, Output, PresetName
from ctxbench.cli.studies import Csv, ExecutorName, Jobs, Md, Partition, Quick, Tex


@app.command()
def study(
    context: typer.Context,
    modules: Modules = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="MODULE", help="One of the modules, to compare others with too.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="As ctxbench data list has it.")] = "synthetic",
    root: Annotated[Path | None, typer.Option(help="Its folder, as its authors lay it out.")] = None,
    train_split: Annotated[str | None, typer.Option(help="Default: the usual one.")] = None,
    eval_split: Annotated[str | None, typer.Option(help="Default: the usual one.")] = None,
    images: Annotated[
        int | None, typer.Option(metavar="N", help="Train on so many images of the split. Default: all.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Default: resnet50; of the generated set resnet-tiny.")
    ] = None,
    stem: Annotated[Literal["deep", "deep-narrow", "plain"], typer.Option(help="Of the backbone.")] = "deep",
    stride_in: Annotated[Literal["3x3", "1x1"], typer.Option(help="Of its bottlenecks.")] = "3x3",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ImageNet weights. Default: random ones.")
    ] = None,
    level: Annotated[
        Literal["C2", "C3", "C4", "C5"] | None,
        typer.Option(help="Output of the backbone that heads see. Default: C3."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="N", help="Images are resized to N x N. Default: 256.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each head. Default: 3.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of each training. Default: 300.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images in a step. Default: 16.")] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train whole networks, as ctxbench train does, with each block.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Of whole networks, any setting of their training."),
    ] = None,
    quick: Quick = False,
    preset: PresetName = None,
    option: Options = None,
    inputs: Inputs = None,
    output: Output = None,
    jobs: Jobs = None,
    executor: ExecutorName = "here",
    partition: Partition = None,
    log: Log = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted study.")
    ] = None,
    csv: Csv = None,
    md: Md = None,
    tex: Tex = None,
) -> None:
    """Show what blocks gain beside what they cost, on frozen features or in whole networks.

    Features of a backbone that is not trained are computed once and kept; a small head is trained on them
    with each block and without one, from several seeds. mIoU and pixel accuracy, differences with intervals,
    cost, and the Pareto figure. It is not what a fine-tuned network reaches; --train trains whole networks
    instead, a GPU's work. Exit codes as those of profile.
    """
    from ctxbench import api

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    if resume is not None:
        shared.refuse_beside(
            context, ("resume", *studies.PLACE, *exports), "--resume goes on with the study as it was begun"
        )
    folder = resume or out or api.new_folder()
    place = studies.place(executor, partition)
    with shared.resumable("study", folder, "study.json", place), progress.display(quiet=quiet) as show:
        found = api.study(
            values.modules(modules or []),
            preset=preset,
            options=values.options(option),
            inputs=inputs,
            output=output,
            baseline=baseline,
            dataset=dataset,
            root=root,
            train_split=train_split,
            eval_split=eval_split,
            images=images,
            backbone=backbone,
            stem=stem,
            stride_in=stride_in,
            weights=weights,
            level=level,
            size=size,
            seeds=seeds,
            steps=steps,
            batch=batch,
            quick=quick,
            train=train,
            settings=set_ or (),
            jobs=jobs,
            executor=executor,
            partition=partition,
            log=values.split(log),
            out=folder,
            resume=resume,
            command=["ctxbench", *sys.argv[1:]],
            progress=studies.training(show),
            say=say,
        )
    studies.deliver(found, "study", exports, quiet, folder)
    studies.exit_by_reasons(found.failed, len(found.rows))
