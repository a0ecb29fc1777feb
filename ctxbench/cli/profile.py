"""``ctxbench profile``: count and measure modules, or count whole networks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.cli.options import (
    Batches,
    Budget,
    Channels,
    Columns,
    Counter,
    Csv,
    Devices,
    Digits,
    Dtypes,
    Forms,
    Inputs,
    Md,
    MemoryFormats,
    Modes,
    Modules,
    OptionsAxes,
    Output,
    OwnRows,
    PresetName,
    Runtimes,
    Sizes,
    Sort,
    Tex,
    Threads,
    Timeout,
    Where,
)
from ctxbench.errors import UserError
from ctxbench.networks.registry import NETWORKS, completed

if TYPE_CHECKING:
    from ctxbench.networks.cost import NetworkCosts

LOOKS = ("columns", "sort", "digits", "own")
"""The options about how tables look."""
BESIDE_CASES = ("cases", "shard", "counter", "budget", "timeout", "save-onnx", "out")
"""The options that mean something beside a file of cases, and those about looks."""
OF_NETWORKS = ("model", "backbone", "context", "size", "option", "json", "csv", "md", "tex")
"""The options that mean something for whole networks."""


@app.command()
def profile(
    context: typer.Context,
    modules: Modules = None,
    preset: PresetName = None,
    channels: Channels = "512",
    size: Sizes = "64",
    option: OptionsAxes = None,
    form: Forms = "",
    batch: Batches = "1",
    dtype: Dtypes = "float32",
    memory_format: MemoryFormats = "contiguous",
    channels_last: Annotated[bool, typer.Option("--channels-last", hidden=True)] = False,
    mode: Modes = "infer",
    device: Devices = "cpu",
    threads: Threads = None,
    runtime: Runtimes = "eager",
    compile: Annotated[bool, typer.Option("--compile", hidden=True)] = False,
    where: Where = "",
    cases: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Cases that are no grid: a TOML file with a table [[case]] each."),
    ] = None,
    shard: Annotated[
        Any,
        typer.Option(
            parser=values.shard,
            metavar="I/N",
            help="Measure the I-th of N parts of the cases alone, for job arrays; report shows the runs "
            "together.",
        ),
    ] = None,
    inputs: Inputs = None,
    output: Output = None,
    counter: Counter = None,
    budget: Budget = 2.5,
    timeout: Timeout = 120.0,
    save_onnx: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the models that onnxruntime and openvino run."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    model: Annotated[
        Any,
        typer.Option(
            parser=values.words,
            metavar="NAMES",
            help=f"Count whole networks at --size (512) instead, a comma list of {', '.join(NETWORKS)}.",
            autocompletion=completed,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="With --model: resnet50, resnet101 (default), resnet152, resnet-tiny or -small."),
    ] = None,
    block: Annotated[
        str | None, typer.Option("--context", help="With --model reconet: its context module, or none.")
    ] = None,
    columns: Columns = None,
    sort: Sort = "",
    digits: Digits = None,
    own: OwnRows = "last",
    json: Annotated[Path | None, typer.Option(help="Also write the records here; - is stdout.")] = None,
    csv: Csv = None,
    md: Md = None,
    tex: Tex = None,
) -> None:
    """Count and measure modules, and write a report; or count whole networks beside Table 9.

    Every condition takes a comma list, and each combination is a case: --batch 1,8 --dtype fp32,bf16
    --threads 1,2 --runtime eager,compile,onnxruntime,openvino; --where keeps a part of them.

    MACs, FLOPs, memory, latency, other counters' numbers and, where a paper prints the case, its own.
    Writes a folder with records, tables and figures. Exit codes: 0 all measured, 2 bad input, 3 nothing
    measured, 4 some cases not measured (their rows say why), 130 interrupted.
    """
    from ctxbench import api
    from ctxbench.report.run import load_run, write_report
    from ctxbench.report.view import View

    exports = {"json": json, "csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    if model is not None:
        shared.refuse_beside(context, OF_NETWORKS, "--model counts whole networks and measures nothing")
        if not model:
            raise UserError("--model takes names, such as reconet or reconet,pspnet")
        sizes = {"sizes": size} if "--size" in shared.given(context) else {}
        with progress.display(quiet=quiet) as show:
            show("counting", 0, 0, ", ".join(model))
            costs = api.count_networks(
                model,
                backbone=backbone or "resnet101",
                context=block,
                options=values.options(option),
                **sizes,
            )
        _deliver_networks(costs, exports, quiet)
        return
    if backbone or block:
        raise UserError("--backbone and --context go with --model, such as --model reconet")
    for flag, option_name in (("--channels-last", "--memory-format"), ("--compile", "--runtime")):
        if {flag, option_name} <= set(shared.given(context)):
            raise UserError(f"{flag} is a value of {option_name}: leave out one of the two")
    if cases is not None:
        shared.refuse_beside(
            context, (*BESIDE_CASES, *LOOKS, *exports), "--cases has the conditions of every case"
        )
    if resume is not None:
        shared.refuse_beside(
            context, ("resume", *LOOKS, *exports), "--resume goes on with the run as it was begun"
        )
    chosen = values.counters(counter)
    folder = resume or out or api.new_folder(shard)
    try:
        with progress.display(quiet=quiet) as show:
            run = api.profile(
                values.modules(modules or []),
                preset=preset,
                channels=channels,
                sizes=size,
                options=values.options_axes(option),
                implementations=form,
                batch=batch,
                dtype=dtype,
                layout=["channels_last"] if channels_last else memory_format,
                mode=mode,
                device=device,
                threads=threads,
                runtime=["compile"] if compile else runtime,
                where=where,
                cases_file=cases,
                shard=shard,
                inputs=inputs,
                output=output,
                counters=chosen,
                budget_s=budget,
                timeout_s=timeout,
                save_onnx=save_onnx,
                columns=columns or (),
                sort=sort,
                digits=digits,
                own=own,
                out=folder,
                resume=resume,
                command=["ctxbench", *sys.argv[1:]],
                progress=progress.measuring(show),
            )
    except KeyboardInterrupt:
        if not (folder / "run.json").exists():
            raise typer.Exit(INTERRUPTED) from None
        try:
            run = load_run(folder).seen(View(tuple(columns or ()), sort, digits, own))
            write_report(run)
            shared.deliver(run, exports, quiet)
        finally:  # also where a second Ctrl-C ends the report
            say(f"interrupted; go on with: ctxbench profile --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    shared.deliver(run, exports, quiet)
    if not quiet:
        files = "report.html, records.jsonl, summary.csv, table.md, table.tex, and the figures"
        print(f"\nWritten to {run.folder}: {files}.")
    shared.exit_by_status(run.records)


def _deliver_networks(costs: NetworkCosts, exports: Mapping[str, Path | None], quiet: bool) -> None:
    from ctxbench.table.latex import grid_latex
    from ctxbench.table.markdown import grid_markdown

    (grid,) = costs.grids()
    draw: dict[str, Callable[[], str]] = {
        "json": lambda: costs.to_frame().to_json(orient="records", indent=1) + "\n",
        "csv": lambda: str(costs.to_frame().to_csv(index=False)),
        "md": lambda: grid_markdown(grid),
        "tex": lambda: grid_latex(grid, grid.title, "tab:networks"),
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show([grid], shared.WIDE)
