"""The verbs that regenerate the paper and decode its numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctxbench import arguments
from ctxbench.cli.app import INTERRUPTED, NOTHING_MEASURED, SOME_NOT_MEASURED, app, say
from ctxbench.cli.profile import Batch, Module, Modules, Options, _progress
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.measure.case import Case
    from ctxbench.reproduce.sweep import Sweep

CHANNELS, SIZE = 512, "64"


@app.command()
def decode(
    module: Module,
    printed: Annotated[
        list[str],
        typer.Argument(
            help="As printed, with the unit: FLOPs (19.33G, 2.4GMACs), memory (88.00MB), or both."
        ),
    ],
    channels: Annotated[int, typer.Option(help="Input channels.")] = CHANNELS,
    size: Annotated[str, typer.Option(help="Input size, 64 or 64x48 (H x W).")] = SIZE,
    batch: Batch = 1,
    option: Options = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write every fit and near miss here; - is stdout.")
    ] = None,
) -> None:
    """Find the conventions that a printed number fits.

    MACs or FLOPs, biases, norms, functional operations seen or not, the last call or every call, MB or MiB,
    the input a pixel larger. With how many conventions were tried, and how many fits chance alone would give.
    """
    from ctxbench.paper.decode import decode as search

    height, width = _sides(size)
    found = search(
        module, *printed, shape=(batch, channels, height, width), options=arguments.options(option)
    )
    if not _exported({csv: lambda: str(found.to_frame().to_csv(index=False))}):
        print(found, end="")


@app.command()
def sweep(
    modules: Modules = None,
    axis: Annotated[
        str, typer.Option(help="size, height, width, channels, or an option such as rank.")
    ] = "size",
    values: Annotated[str, typer.Option(help="Three values or more, by comma: 32,64,128.")] = "",
    channels: Annotated[int | None, typer.Option(help="Input channels. Default: 512.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size, 64 or 64x48 (H x W). Default: 64.")] = None,
    option: Options = None,
    implementation: Annotated[
        str, typer.Option(help="fast (default), published (the authors' operation order), or both by comma.")
    ] = "",
    batch: Batch = 1,
    dtype: Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    mode: Annotated[
        Literal["infer", "train"], typer.Option(help="The pass that peak memory and latency are of.")
    ] = "infer",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    latency: Annotated[bool, typer.Option("--latency", help="Measure latency too.")] = False,
    budget: Annotated[float, typer.Option(help="Seconds of latency sampling for each case, at most.")] = 2.5,
    timeout: Annotated[float, typer.Option(help="Seconds any one step of a case may take.")] = 120.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write table, figure and records. Latency: runs/TIME.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted sweep.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the exponents here; - is stdout.")] = None,
    md: Annotated[
        Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")
    ] = None,
    tex: Annotated[Path | None, typer.Option(help="Also write the table in LaTeX here; - is stdout.")] = None,
) -> None:
    """Fit how MACs, memory and latency grow, beside the claimed O(.).

    Exponents over positions, height, width, channels or rank, with 95 % intervals, the slope between the last
    two points, and a verdict. Exit codes as those of profile.
    """
    from ctxbench import api
    from ctxbench.measure.folder import Settings
    from ctxbench.reproduce import sweep as sweeping
    from ctxbench.reproduce.sweep_report import latex, markdown, write_sweep

    folder = resume or out or (api.new_folder() if latency else None)
    try:
        with _progress(quiet="-" in map(str, (csv, md, tex))) as progress:
            if resume is not None:
                if modules or values or out:
                    raise UserError(
                        "--resume goes on with the sweep as it was begun: leave out all but exports"
                    )
                found = sweeping.resume(resume, progress=progress)
            else:
                conditions: dict[str, Any] = {
                    "channels": channels,
                    "size": size,
                    "options": arguments.options(option),
                    "implementations": arguments.split([implementation]),
                    "batch": batch,
                    "dtype": dtype,
                    "mode": mode,
                    "device": device,
                }
                found = sweeping.sweep(
                    _along(axis, arguments.split([values]), arguments.modules(modules or []), conditions),
                    latency=latency,
                    out=folder,
                    settings=Settings(
                        budget_s=arguments.seconds("--budget", budget),
                        timeout_s=arguments.seconds("--timeout", timeout),
                        counters=(),
                    ),
                    command=["ctxbench", *sys.argv[1:]],
                    progress=progress,
                )
    except KeyboardInterrupt:
        if latency or resume:
            say(f"interrupted; go on with: ctxbench sweep --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    if folder is not None:
        write_sweep(folder, found)
    exports = {
        csv: lambda: str(found.to_frame().to_csv(index=False)),
        md: lambda: markdown(found),
        tex: lambda: latex(found),
    }
    if not _exported(exports):
        print(found, end="")
        if folder is not None:
            print(f"\nWritten to {folder}: sweep.csv, sweep.md, sweep.tex, sweep.png, sweep.svg.")
    _exit_by_status(found)


def _along(axis: str, values: list[str], modules: list[str], conditions: dict[str, Any]) -> list[Case]:
    """The cases of a sweep; what the axis itself says may not be said again."""
    from ctxbench import api

    if not modules or not values:
        raise UserError("give a module and values: ctxbench sweep nonlocal --axis size --values 32,64,128")
    channels, size = conditions.pop("channels"), conditions.pop("size")
    if (axis == "channels" and channels) or (axis == "size" and size):
        raise UserError(f"--axis {axis} takes its values from --values: leave out --{axis}")
    height, width = _sides(size or SIZE)
    fixed = {"channels": channels or CHANNELS, "sizes": [(height, width)], **conditions}
    if axis == "size":
        return api.cases(modules, **{**fixed, "sizes": [_sides(value) for value in values]})
    numbers = [arguments.integer("--values", value) for value in values]
    along: dict[str, dict[str, Any]] = {
        "channels": {"channels": numbers},
        "height": {"sizes": [(number, width) for number in numbers]},
        "width": {"sizes": [(height, number) for number in numbers]},
    }
    of_option = [{"options": {**conditions["options"], axis: number}} for number in numbers]
    swept = [along[axis]] if axis in along else of_option
    return [case for change in swept for case in api.cases(modules, **{**fixed, **change})]


def _sides(text: str) -> tuple[int, int]:
    size = arguments.size(text)
    return size if isinstance(size, tuple) else (size, size)


def _exported(exports: dict[Path | None, Callable[[], str]]) -> bool:
    """Write the exports that were asked for; whether one of them went to stdout."""
    from ctxbench.files import write_text

    to_stdout = False
    for path, draw in exports.items():
        if str(path) == "-":
            print(draw(), end="")
            to_stdout = True
        elif path is not None:
            write_text(path, draw())
    return to_stdout


def _exit_by_status(found: Sweep) -> None:
    failed = [record for record in found.records if record.status != "ok"]
    for record in failed:
        say(f"{record.case.module} {record.case.shape}: {record.status}: {record.reason}")
    if failed:
        raise typer.Exit(NOTHING_MEASURED if len(failed) == len(found.records) else SOME_NOT_MEASURED)
