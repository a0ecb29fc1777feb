"""The one exception that means: the user can mend this; and any other, in one line, or for want of memory.

What looks into an error imports what it needs then: ``ctxbench list`` comes this way too.
"""

import sys


def in_one_line(error: BaseException) -> str:
    """An exception's class and the first line of its message; a UserError's message says enough."""
    if isinstance(error, UserError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def in_users_code(error: BaseException) -> str:
    """Where it was raised, `` (block.py:12)``: the innermost line that is neither ours nor a library's.

    Empty where there is none, as for what went wrong before any of the user's code ran.
    """
    places = [*_raised_at(error), *(place for cause in _causes(error) for place in _raised_at(cause))]
    return f" ({places[0]})" if places else ""


def _causes(error: BaseException) -> list[BaseException]:
    """What an error came from, step by step."""
    causes: list[BaseException] = []
    while (cause := error.__cause__ or error.__context__) is not None and cause not in causes:
        causes.append(cause)
        error = cause
    return causes


def _raised_at(error: BaseException) -> list[str]:
    """Lines of the user's own files that an error came through, the innermost first."""
    import re
    import traceback
    from pathlib import Path

    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    for note in getattr(error, "__notes__", ()):  # what was raised in another process has its frames there
        frames += [(file, int(line)) for file, line in re.findall(r'File "([^"]+)", line (\d+)', note)]
    theirs = [(file, line) for file, line in frames if not _is_installed(file)]
    return [f"{Path(file).name}:{line}" for file, line in reversed(theirs)]


def _is_installed(file: str) -> bool:
    """Whether a file is Python's own, torch's or ours; a package that a block comes from is none of these."""
    import sysconfig
    from pathlib import Path

    place, names = Path(file), ("torch", "ctxbench", "ctxbench_modules")
    homes = [home for name in names for home in getattr(sys.modules.get(name), "__path__", ())]
    is_a_packages = not {"site-packages", "dist-packages"}.isdisjoint(place.parts)
    is_pythons = place.is_relative_to(sysconfig.get_path("stdlib")) and not is_a_packages
    return is_pythons or file.startswith("<") or any(map(place.is_relative_to, homes))


class UserError(Exception):
    """Bad input. Its message is one line: what was wrong, and what would be right.

    The CLI prints it without a traceback and exits with code 2.
    """


class ValuesNeededError(UserError):
    """Arguments need values that nobody can know; ``options`` are some that run, as ``-o`` takes them."""

    def __init__(self, message: str, options: tuple[str, ...] = ()) -> None:
        super().__init__(message, options)
        self.message, self.options = message, options

    def __str__(self) -> str:
        return self.message


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is for want of main memory: torch's allocator on the CPU raises a plain RuntimeError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)
