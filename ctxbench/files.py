"""Files that are written whole or not at all, and folders that one process writes at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from ctxbench.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: nothing guards a run's folder there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write within it into a UserError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes ``path``'s place, flushed, once that is done.

    A pipe or a device, such as /dev/null, is written to as it is. Raises UserError where that cannot be;
    what was at ``path`` then stands, and nothing is left over.
    """
    if path.exists() and not path.is_file():
        with writing(path):
            yield path
        return
    target = path.resolve()  # a link stays, and what it points to is written
    new = target.with_name(f".{target.name}.new")
    with writing(path):
        try:
            yield new
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole."""
    with written_whole(path) as new:
        new.write_text(text, encoding="utf-8")
    return path


def lock(file: FileIO, path: Path) -> None:
    """Hold ``file`` until it is closed. Raises UserError where another process holds it, naming ``path``."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{path} is being written by another process") from error
