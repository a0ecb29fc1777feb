"""The command line itself: its root options, its exit codes, and what becomes of an error."""

from __future__ import annotations

import errno
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated

import typer

from ctxbench.errors import UserError, ValuesNeededError
from ctxbench.version import __version__

OK, SLOWER, USAGE, NOTHING_MEASURED, SOME_NOT_MEASURED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130

TRACEBACK = "--traceback"

OF_THE_SYSTEM = frozenset(
    (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOSPC)
)
"""What a system may say of any path that a user names, however well it was looked at before."""

NAMES: dict[str, Callable[[], Sequence[str]]] = {}
"""By option what it takes a name of: said where it is given none. A verb puts its own here."""

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
        _refuse_empty(sys.argv[1:])
        sys.exit(app(standalone_mode=False))
    except typer.Abort:  # Ctrl-C outside a measurement
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, `head` say, has enough
        sys.stderr.close()
        sys.exit(OK)
    except Exception as error:
        line = _of_input(error)
        if line is None or wants_traceback:
            traceback.print_exc()
        if line is None:
            sys.exit(INTERNAL)
        say(line)
        sys.exit(USAGE)


def _command_that_runs(error: UserError) -> str:
    """The command line with the options that an error names, ready to be pasted."""
    if not isinstance(error, ValuesNeededError) or not error.options:
        return ""
    return f": ctxbench {shlex.join([*sys.argv[1:], *(part for o in error.options for part in ('-o', o))])}"


def _of_input(error: Exception) -> str | None:
    """What to say of an error that the user can mend; None of a defect."""
    if isinstance(error, UserError):
        return str(error) + _command_that_runs(error)
    if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):  # worded anew by each version
        near = f" (Possible options: {', '.join(sorted(error.possibilities))})" if error.possibilities else ""
        return f"No such option: {error.option_name}{near}"
    if hasattr(error, "format_message"):  # Typer's own complaint, whose class it does not export
        said = re.sub(
            r"unexpected extra arguments? \(", "unexpected extra argument(s) (", error.format_message()
        )
        known = NAMES.get(getattr(error, "option_name", None) or "")
        return f"{said} There are: {', '.join(known())}" if known and "requires" in said else said
    return None


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise UserError for an option whose value is empty, as a shell's unset variable leaves it."""
    for option, value in pairwise([*arguments, "its end"]):
        name, equals, text = option.partition("=")
        if name.startswith("-") and not (text if equals else value):
            raise UserError(f"{name} is given an empty text: give it a value, or leave it out")


def say(line: str) -> None:
    """Print one line for the user to stderr; of a word too long for one, such as a path, both ends."""
    short = re.sub(r"\S{241,}", lambda word: f"{word[0][:100]}…{word[0][-100:]}", line)
    print(f"ctxbench: {' '.join(short.splitlines())}", file=sys.stderr)


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
