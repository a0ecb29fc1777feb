"""The command line: parse, call :mod:`ctxbench.api`, print. Imports no torch; verbs import what they need."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctxbench import __version__, registry
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.measure.folder import Run
    from ctxbench.measure.session import Progress

OK, SLOWER, USAGE, NOTHING_MEASURED, SOME_NOT_MEASURED, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Count, measure and compare context modules, with the convention beside every number.",
)

Modules = Annotated[
    list[str] | None,
    typer.Argument(
        help="Names, comma lists, path/to/file.py:Class or package.module:Class. Default: Table 10's eight."
    ),
]
Module = Annotated[str, typer.Argument(help="A name, path/to/file.py:Class or package.module:Class.")]
Options = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", help="KEY=VALUE for the module's constructor; repeatable."),
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


def main() -> None:
    """Run the command line: every UserError is one line on stderr and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        _say(str(error))
        sys.exit(USAGE)
    except typer.Abort:  # Ctrl-C outside a measurement
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, `head` say, has enough
        sys.stderr.close()
        sys.exit(OK)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _say(error.format_message())  # Typer's own complaint about an option, whose class it does not export
        sys.exit(USAGE)


def _say(line: str) -> None:
    print(f"ctxbench: {line}", file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ctxbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def profile(
    modules: Modules = None,
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
    json: Annotated[Path | None, typer.Option(help="Also write the records here; - is stdout.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the summary here; - is stdout.")] = None,
    md: Annotated[
        Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")
    ] = None,
    tex: Annotated[Path | None, typer.Option(help="Also write the table in LaTeX here; - is stdout.")] = None,
) -> None:
    """Count and measure modules, and write a report.

    MACs, FLOPs, memory, latency, other counters' numbers and the paper's own column.
    Writes a folder with records, tables and figures. Exit codes: 0 all measured, 2 bad input, 3 nothing
    measured, 4 some cases not measured (their rows say why), 130 interrupted.
    """
    from ctxbench import api
    from ctxbench.measure.folder import Settings
    from ctxbench.report.run import load_run, write_report

    settings = Settings(
        budget_s=_positive("--budget", budget),
        timeout_s=_positive("--timeout", timeout),
        counters=_counters(counter),
    )
    conditions: dict[str, Any] = {
        "channels": [_integer("--channels", text) for text in _split([channels])],
        "sizes": [_size(text) for text in _split([size])],
        "options": _options(option),
        "implementations": _split([implementation]),
        "batch": batch,
        "dtype": dtype,
        "layout": "channels_last" if channels_last else "contiguous",
        "mode": mode,
        "device": device,
        "compile": compile,
    }
    folder = resume or out or api.new_folder()
    exports = {"json": json, "csv": csv, "md": md, "tex": tex}
    quiet = any(str(path) == "-" for path in exports.values())
    interrupted = False
    try:
        with _progress(quiet) as progress:
            if resume is not None:
                run = api.resume(resume, progress=progress)
            else:
                names = _split(modules) or api.TABLE_10
                run = api.profile(
                    names, out=folder, settings=settings, command=sys.argv, progress=progress, **conditions
                )
    except KeyboardInterrupt:
        if not (folder / "run.json").exists():
            raise typer.Exit(INTERRUPTED) from None
        write_report(folder)
        run, interrupted = load_run(folder), True
    _export(run, exports)
    if not quiet:
        _show(run)
        print(f"\nWritten to {folder}: records.jsonl, summary.csv, table.md, table.tex, and the figures.")
    if interrupted:
        _say(f"interrupted; go on with: ctxbench profile --resume {folder}")
        raise typer.Exit(INTERRUPTED)
    _exit_by_status(run)


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

    side = _size(size)
    height, width = side if isinstance(side, tuple) else (side, side)
    told = api.explain(
        module,
        (batch, channels, height, width),
        mode=mode,
        implementation=implementation,
        counters=_counters(counter),
        options=_options(option),
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

    Exit codes: 0 nothing is slower, 1 something is SLOWER, 2 bad input, 3 nothing was measured in both.
    """
    from ctxbench.report.diff import compare_runs

    difference = compare_runs(run_a, run_b, _threshold(fail_on))
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


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr with what is being done and the time left; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description:32}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(state: Progress) -> None:
            shape = "x".join(map(str, state.case.shape))
            name = state.case.module.rpartition("/")[2]
            bar.update(task, completed=state.fraction, description=f"{state.activity} {name} {shape}")

        yield show


def _show(run: Run) -> None:
    from rich.console import Console

    from ctxbench.report.tables import terminal_table

    Console(width=None if sys.stdout.isatty() else 160).print(terminal_table(run.records))


def _export(run: Run, exports: dict[str, Path | None]) -> None:
    from ctxbench.report.columns import summary
    from ctxbench.report.tables import latex, markdown

    draw: dict[str, Callable[[], str]] = {
        "json": lambda: dumps([record.to_json() for record in run.records], indent=1) + "\n",
        "csv": lambda: str(summary(run.records).to_csv(index=False)),
        "md": lambda: markdown(run.records),
        "tex": lambda: latex(run.records),
    }
    for kind, path in exports.items():
        if path is None:
            continue
        text = draw[kind]()
        if str(path) == "-":
            print(text, end="")
            continue
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error


def _exit_by_status(run: Run) -> None:
    failed = [record for record in run.records if record.status != "ok"]
    for record in failed:
        _say(f"{record.case.module}: {record.status}: {record.reason}")
    if failed:
        raise typer.Exit(NOTHING_MEASURED if len(failed) == len(run.records) else SOME_NOT_MEASURED)


def _split(texts: list[str] | None) -> list[str]:
    return [part.strip() for text in texts or [] for part in text.split(",") if part.strip()]


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{name} takes whole numbers, such as 512 or 256,512; not {text!r}") from None


def _size(text: str) -> int | tuple[int, int]:
    sides = [_integer("--size", side) for side in text.lower().replace("\u00d7", "x").split("x")]
    if len(sides) > 2:
        raise UserError(f"--size takes 64 or 64x48 (H x W), not {text!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise UserError(f"{name} takes a positive number of seconds, not {value:g}")
    return value


def _options(pairs: list[str] | None) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"-o takes KEY=VALUE, not {pair!r}")
        try:
            chosen[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a bare word is a string
            chosen[key] = {"true": True, "false": False}.get(text.lower(), text)
    return chosen


def _counters(names: list[str] | None) -> tuple[str, ...]:
    from ctxbench.counters import COUNTERS, DEFAULT, available

    chosen = tuple(_split(names)) if names else DEFAULT
    if chosen == ("none",):
        return ()
    for name in chosen:
        if name not in COUNTERS:
            raise UserError(f"unknown counter {name!r}; one of {', '.join(COUNTERS)}, or none")
        if not available(name):
            raise UserError(f"the counter {name} is not installed: pip install 'ctxbench[counters]'")
    return chosen


def _threshold(text: str) -> float:
    statistic, colon, share = text.partition(":")
    try:
        value = float(share.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if statistic != "median" or not colon or not 0 <= value < 10:
        raise UserError(f"--fail-on takes median:P%, such as median:5%, not {text!r}")
    return value
