"""The verbs that count, measure and compare context modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctxbench.cli import network, shared
from ctxbench.cli import values as arguments
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.errors import UserError
from ctxbench.subject import registry

if TYPE_CHECKING:
    from ctxbench.report.run import Profile


Modules = Annotated[
    list[str] | None,
    typer.Argument(
        help="Names, comma lists, path/to/file.py:Class or package.module:Class. Default: Table 10's eight."
    ),
]
Module = Annotated[str, typer.Argument(help="A name, path/to/file.py:Class or package.module:Class.")]
Options = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", help="KEY=VALUE for each constructor, MODULE.KEY=VALUE for one."),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Build modules as a preset has them, such as table10; else as published."),
]
Channels = Annotated[str, typer.Option(help="Input channels; a comma list sweeps.")]
Size = Annotated[str, typer.Option(help="Input size, 64 or 64x48 (H x W); a comma list sweeps.")]
Batch = Annotated[int, typer.Option(help="Batch size.")]
Implementation = Annotated[
    str | None, typer.Option(help="fast (default) or published (the authors' operation order).")
]
ModeOption = Annotated[
    Literal["infer", "train"], typer.Option(help="Forward in eval mode, or forward and backward in training.")
]
Counter = Annotated[
    list[str] | None,
    typer.Option(
        help="Other counters: fvcore, thop, torch, ptflops, torchinfo, or none; repeatable, comma lists."
    ),
]
Folder = Annotated[Path, typer.Argument(help="A run's folder.")]


@app.command()
def profile(
    context: typer.Context,
    modules: Modules = None,
    preset: PresetName = None,
    channels: Channels = "512",
    size: Size = "64",
    option: Options = None,
    implementation: Annotated[
        str, typer.Option(help="fast (default), published (the authors' operation order), or both by comma.")
    ] = "",
    batch: Batch = 1,
    dtype: Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="NHWC memory layout.")] = False,
    mode: ModeOption = "infer",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    compile: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    counter: Counter = None,
    budget: Annotated[float, typer.Option(help="Seconds of latency sampling for each case, at most.")] = 2.5,
    timeout: Annotated[float, typer.Option(help="Seconds any one step of a case may take.")] = 120.0,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/TIME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Count whole networks at --size (512) instead: reconet, pspnet, …; a comma list."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="With --model: resnet50, resnet101 (default), resnet152, resnet-tiny or -small."),
    ] = None,
    block: Annotated[
        str | None, typer.Option("--context", help="With --model reconet: its context module, or none.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the records here; - is stdout.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the summary here; - is stdout.")] = None,
    md: Annotated[
        Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")
    ] = None,
    tex: Annotated[Path | None, typer.Option(help="Also write the table in LaTeX here; - is stdout.")] = None,
) -> None:
    """Count and measure modules, and write a report; or count whole networks beside Table 9.

    MACs, FLOPs, memory, latency, other counters' numbers and the paper's own column.
    Writes a folder with records, tables and figures. Exit codes: 0 all measured, 2 bad input, 3 nothing
    measured, 4 some cases not measured (their rows say why), 130 interrupted.
    """
    from ctxbench import api
    from ctxbench.measure.folder import Settings
    from ctxbench.report.run import load_run, write_report

    exports = {"json": json, "csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    if model is not None:
        shared.refuse_beside(context, network.ALLOWED, "--model counts whole networks and measures nothing")
        costs = network.count_networks(
            model, backbone, block, size if "--size" in shared.given(context) else None, option
        )
        shared.export(network.drawings(costs), exports)
        if not quiet:
            shared.show([costs.grid()], shared.WIDE)
        return
    if backbone or block:
        raise UserError("--backbone and --context go with --model, such as --model reconet")
    if resume is not None:
        shared.refuse_beside(context, ("resume", *exports), "--resume goes on with the run as it was begun")
    settings = Settings(
        budget_s=arguments.seconds("--budget", budget),
        timeout_s=arguments.seconds("--timeout", timeout),
        counters=arguments.counters(counter),
    )
    conditions: dict[str, Any] = {
        "channels": [arguments.integer("--channels", text) for text in arguments.split([channels])],
        "sizes": [arguments.size(text) for text in arguments.split([size])],
        "options": arguments.options(option),
        "implementations": arguments.split([implementation]),
        "batch": batch,
        "dtype": dtype,
        "layout": "channels_last" if channels_last else "contiguous",
        "mode": mode,
        "device": device,
        "compile": compile,
    }
    folder = resume or out or api.new_folder()
    try:
        with shared.progress_bar(quiet=quiet) as bar:
            progress = shared.measuring(bar)
            if resume is not None:
                run = api.resume(resume, progress=progress)
            else:
                run = api.profile(
                    arguments.modules(modules or []),
                    preset=preset,
                    out=folder,
                    settings=settings,
                    command=["ctxbench", *sys.argv[1:]],
                    progress=progress,
                    **conditions,
                )
    except KeyboardInterrupt:
        if not (folder / "run.json").exists():
            raise typer.Exit(INTERRUPTED) from None
        try:
            write_report(folder)
            _deliver(load_run(folder), exports, quiet)
        finally:  # also where a second Ctrl-C ends the report
            say(f"interrupted; go on with: ctxbench profile --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    _deliver(run, exports, quiet)
    shared.exit_by_status(run.records)


@app.command("list")
def list_modules() -> None:
    """List the registered modules."""
    print(registry.catalogue(), end="")


@app.command()
def explain(
    module: Module,
    channels: Annotated[int, typer.Option(help="Input channels.")] = 512,
    size: Annotated[str, typer.Option(help="Input size, 64 or 64x48 (H x W).")] = "64",
    option: Options = None,
    implementation: Implementation = None,
    batch: Batch = 1,
    mode: ModeOption = "infer",
    counter: Counter = None,
) -> None:
    """Take a module's cost apart, by operation.

    And by module, with what each other counter missed.
    """
    from ctxbench import api

    height, width = arguments.sides(size)
    told = api.explain(
        module,
        (batch, channels, height, width),
        mode=mode,
        implementation=implementation,
        counters=arguments.counters(counter),
        options=arguments.options(option),
    )
    print(told, end="")


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="The baseline run's folder.")],
    run_b: Annotated[Path, typer.Argument(help="The other run's folder.")],
    fail_on: Annotated[
        str,
        typer.Option(help="median:P%: a case is SLOWER when its median surely grew, and by more than P %."),
    ] = "median:5%",
) -> None:
    """Compare two runs, case by case.

    The ratio of the medians with its 95 % interval, and a verdict.

    Exit codes: 0 nothing is slower, 1 something is SLOWER, 2 bad input, 3 nothing was measured in both,
    70 a defect of ctxbench itself.
    """
    from ctxbench.report.compare import compare_runs

    difference = compare_runs(run_a, run_b, arguments.threshold(fail_on))
    print(difference, end="")
    raise typer.Exit(difference.exit_code)


@app.command()
def report(run: Folder) -> None:
    """Rebuild a run's tables and figures.

    From its records, without measuring.
    """
    from ctxbench.report.run import write_report

    for path in write_report(run):
        print(path)


@app.command()
def env(device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu") -> None:
    """Print what a record says of this machine."""
    from ctxbench.measure.environment import environment

    for key, value in environment(device).items():
        print(f"{key:28} {value}")


def _deliver(run: Profile, exports: Mapping[str, Path | None], quiet: bool) -> None:
    from ctxbench.report.columns import summary
    from ctxbench.report.tables import grids, latex, markdown

    tables = grids(run.records)
    draw: dict[str, Callable[[], str]] = {
        "json": lambda: dumps([record.to_json() for record in run.records], indent=1) + "\n",
        "csv": lambda: str(summary(run.records).to_csv(index=False)),
        "md": lambda: markdown(tables, run.records),
        "tex": lambda: latex(tables),
    }
    shared.export(draw, exports)
    if quiet:
        return
    shared.show(tables, shared.WIDE)
    print(f"\nWritten to {run.folder}: records.jsonl, summary.csv, table.md, table.tex, and the figures.")
