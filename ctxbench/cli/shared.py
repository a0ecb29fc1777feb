"""What several verbs do alike: options that exclude others, exports, tables, exit codes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ctxbench.cli.app import INTERRUPTED, NOTHING_MEASURED, SOME_NOT_MEASURED, say
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.measure.records import Record
    from ctxbench.report.run import Report
    from ctxbench.table.grid import Grid

WIDE = 160
"""Columns of the widest tables, where stdout is no terminal."""
NEVER = 10**6
"""Younger collections between full ones."""


@contextmanager
def without_full_collections() -> Iterator[None]:
    """For what ends within seconds: what is imported is no garbage, and visiting it takes a fifth as long."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def given(context: typer.Context) -> list[str]:
    """The options and arguments that stand on the command line."""
    sources = {p.opts[-1]: context.get_parameter_source(str(p.name)) for p in context.command.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def refuse_beside(context: typer.Context, allowed: Iterable[str], why: str) -> None:
    """Raise UserError where anything but ``allowed`` stands on the command line."""
    if others := [name for name in given(context) if name.lstrip("-") not in allowed]:
        raise UserError(f"{why}: leave out {', '.join(others)}")


@contextmanager
def resumable(verb: str, folder: Path | None, plan: str, place: str = "") -> Iterator[None]:
    """Leave with the exit code of an interruption where the block has one.

    What it left goes on with ``--resume``, and the options of its ``place``, where its ``plan`` is in the
    folder, which is said.
    """
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None and (folder / plan).exists():
            say(f"interrupted; go on with: ctxbench {verb} --resume {folder}{place}")
        raise typer.Exit(INTERRUPTED) from None


def goes_to_stdout(exports: Mapping[str, Path | None]) -> bool:
    """Whether an export goes to stdout.

    Raises UserError where more than one does, or where a file cannot come to be: before, not after, the work.
    """
    for kind, path in exports.items():
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise UserError(f"--{kind} {path} " + ("is a folder" if path.is_dir() else "lies in no folder"))
    to_stdout = [f"--{kind}" for kind, path in exports.items() if str(path) == "-"]
    if len(to_stdout) > 1:
        raise UserError(f"only one export can go to stdout, not {' and '.join(to_stdout)}")
    return bool(to_stdout)


def export(draw: Mapping[str, Callable[[], str]], exports: Mapping[str, Path | None]) -> None:
    """Write the exports that were asked for, by kind."""
    from ctxbench.files import write_text

    for kind, path in exports.items():
        if str(path) == "-":
            print(draw[kind](), end="")
        elif path is not None:
            write_text(path, draw[kind]())


def deliver(run: Report, exports: Mapping[str, Path | None], quiet: bool) -> None:
    """Write the exports of a report that were asked for, and print its tables, unless ``quiet``."""
    from json import dumps

    from ctxbench.report.tables import write_latex

    if (path := exports.get("tex")) is not None and str(path) != "-":
        write_latex(path, run.latex())
        exports = {kind: path for kind, path in exports.items() if kind != "tex"}
    draw: dict[str, Callable[[], str]] = {
        "json": lambda: dumps([record.to_json() for record in run.records], indent=1) + "\n",
        "csv": lambda: str(run.to_frame().to_csv(index=False)),
        "md": run.markdown,
        "tex": run.latex,
    }
    export(draw, exports)
    if not quiet:
        show(run.grids(), WIDE)


def show(grids: Iterable[Grid], width: int = 120) -> None:
    """Print tables, fitted to the terminal, or to ``width`` columns where there is none."""
    from rich.console import Console

    from ctxbench.table.terminal import stacked

    Console(width=None if sys.stdout.isatty() else width).print(stacked(grids))


def exit_by_status(records: Sequence[Record]) -> None:
    """Say which records were not measured, and leave with the exit code for that, if any were not."""
    failed = [record for record in records if record.status != "ok"]
    several = len({record.case.shape for record in records}) > 1
    for record in failed:
        shape = f" {record.case.shape}" if several else ""
        say(f"{record.case.module}{shape}: {record.status}: {record.reason}")
    if failed:
        raise typer.Exit(NOTHING_MEASURED if len(failed) == len(records) else SOME_NOT_MEASURED)
