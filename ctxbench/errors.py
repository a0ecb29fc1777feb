"""The one exception that means: the user can mend this; and any other, in one line, or for want of memory."""


def in_one_line(error: BaseException) -> str:
    """An exception's class and the first line of its message; a UserError's message says enough."""
    if isinstance(error, UserError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class UserError(Exception):
    """Bad input. Its message is one line: what was wrong, and what would be right.

    The CLI prints it without a traceback and exits with code 2.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is for want of main memory: torch's allocator on the CPU raises a plain RuntimeError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)
