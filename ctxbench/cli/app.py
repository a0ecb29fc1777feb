"""The command line itself: its root options, its exit codes, and what becomes of an error."""

from __future__ import annotations

import shlex
import sys
import traceback
from typing import Annotated

import typer

from ctxbench.errors import UserError, ValuesNeededError
from ctxbench.version import __version__

OK, SLOWER, USAGE, NOTHING_MEASURED, SOME_NOT_MEASURED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130

TRACEBACK = "--traceback"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Count, measure, train and compare context modules, with the convention beside every number.",
)


def main() -> None:
    """Run the command line: a UserError is one line and exit code 2, a defect a traceback and 70."""
    wants_traceback = TRACEBACK in sys.argv[1:]
    if wants_traceback:  # anywhere on the line, since it is typed at its end, after a failure
        sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != TRACEBACK]
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        if wants_traceback:
            traceback.print_exception(error)
        say(str(error) + _command_that_runs(error))
        sys.exit(USAGE)
    except typer.Abort:  # Ctrl-C outside a measurement
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, `head` say, has enough
        sys.stderr.close()
        sys.exit(OK)
    except Exception as error:
        if not hasattr(error, "format_message"):
            traceback.print_exc()
            sys.exit(INTERNAL)
        say(error.format_message())  # Typer's own complaint about an option, whose class it does not export
        sys.exit(USAGE)


def _command_that_runs(error: UserError) -> str:
    """The command line with the options that an error names, ready to be pasted."""
    if not isinstance(error, ValuesNeededError) or not error.options:
        return ""
    return f": ctxbench {shlex.join([*sys.argv[1:], *(part for o in error.options for part in ('-o', o))])}"


def say(line: str) -> None:
    """Print one line for the user to stderr."""
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
    show_traceback: Annotated[
        bool, typer.Option(TRACEBACK, help="Of an error, show where it was raised; at any place of the line.")
    ] = False,
) -> None:
    pass
