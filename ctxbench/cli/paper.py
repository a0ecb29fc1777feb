"""The verbs that regenerate the paper and decode its numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctxbench.cli import shared
from ctxbench.cli import values as arguments
from ctxbench.cli.app import INTERRUPTED, app, say
from ctxbench.cli.profile import Batch, Module, Modules, Options, PresetName
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.subject.case import Case

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
    option: Annotated[
        list[str] | None, typer.Option("-o", "--option", help="KEY=VALUE for the constructor.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write every fit and near miss here; - is stdout.")
    ] = None,
) -> None:
    """Find the conventions that a printed number fits.

    MACs or FLOPs, biases, norms, functional operations seen or not, the last call or every call, MB or MiB,
    the input a pixel larger. With how many conventions were tried, and how many fits chance alone would give.
    """
    from ctxbench.audit.search import decode as search

    height, width = arguments.sides(size)
    found = search(
        module, *printed, shape=(batch, channels, height, width), options=arguments.options(option)
    )
    shared.export({"csv": lambda: str(found.to_frame().to_csv(index=False))}, {"csv": csv})
    if str(csv) != "-":
        print(found, end="")


@app.command()
def sweep(
    context: typer.Context,
    modules: Modules = None,
    axis: Annotated[
        str, typer.Option(help="size, height, width, channels, or an option such as rank.")
    ] = "size",
    values: Annotated[str, typer.Option(help="Three values or more, by comma: 32,64,128.")] = "",
    preset: PresetName = None,
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
    budget: Annotated[
        float | None, typer.Option(help="Seconds of latency sampling for each case, at most. Default: 2.5.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds any one step of a case may take. Default: 120.")
    ] = None,
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
    from ctxbench.report import sweep as sweeping
    from ctxbench.report.sweep_sheet import latex, markdown, sweep_grid, write_sweep

    exports = {"csv": csv, "md": md, "tex": tex}
    quiet = shared.goes_to_stdout(exports)
    if resume is not None:
        shared.refuse_beside(context, ("resume", *exports), "--resume goes on with the sweep as it was begun")
    if not latency and (budget is not None or timeout is not None):
        raise UserError("--budget and --timeout are about measuring: give --latency too, or leave them out")
    folder = resume or out or (api.new_folder() if latency else None)
    try:
        with shared.progress_bar(quiet=quiet or not (latency or resume)) as bar:
            progress = shared.measuring(bar)
            if resume is not None:
                found = sweeping.resume(resume, progress=progress)
            else:
                conditions: dict[str, Any] = {
                    "preset": preset,
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
                    _along(
                        axis,
                        arguments.split([values]),
                        arguments.modules(modules or []),
                        conditions,
                    ),
                    latency=latency,
                    out=folder,
                    settings=Settings(
                        budget_s=arguments.seconds(
                            "--budget", Settings.budget_s if budget is None else budget
                        ),
                        timeout_s=arguments.seconds(
                            "--timeout", Settings.timeout_s if timeout is None else timeout
                        ),
                        counters=(),
                    ),
                    command=["ctxbench", *sys.argv[1:]],
                    progress=progress,
                )
    except KeyboardInterrupt:
        if folder is not None and (folder / "run.json").exists():
            say(f"interrupted; go on with: ctxbench sweep --resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    if folder is not None:
        write_sweep(folder, found)
    draw: dict[str, Callable[[], str]] = {
        "csv": lambda: str(found.to_frame().to_csv(index=False)),
        "md": lambda: markdown(found),
        "tex": lambda: latex(found),
    }
    shared.export(draw, exports)
    if not quiet:
        shared.show([sweep_grid(found)])
        if folder is not None:
            print(f"\nWritten to {folder}: sweep.csv, sweep.md, sweep.tex, sweep.png, sweep.svg.")
    shared.exit_by_status(found.records)


def _along(axis: str, values: list[str], modules: Sequence[str], conditions: dict[str, Any]) -> list[Case]:
    """The cases of a sweep; what the axis itself says may not be said again."""
    from ctxbench.subject.cases import cases

    if not values:
        raise UserError("give the values of the axis, such as --axis size --values 32,64,128")
    channels, size = conditions.pop("channels"), conditions.pop("size")
    if (axis == "channels" and channels) or (axis == "size" and size):
        raise UserError(f"--axis {axis} takes its values from --values: leave out --{axis}")
    height, width = arguments.sides(size or SIZE)
    fixed = {"channels": channels or CHANNELS, "sizes": [(height, width)], **conditions}
    if axis == "size":
        return cases(modules, **{**fixed, "sizes": [arguments.sides(value) for value in values]})
    numbers = [arguments.integer("--values", value) for value in values]
    along: dict[str, dict[str, Any]] = {
        "channels": {"channels": numbers},
        "height": {"sizes": [(number, width) for number in numbers]},
        "width": {"sizes": [(height, number) for number in numbers]},
    }
    of_option = [{"options": {**conditions["options"], axis: number}} for number in numbers]
    swept = [along[axis]] if axis in along else of_option
    return [case for change in swept for case in cases(modules, **{**fixed, **change})]
