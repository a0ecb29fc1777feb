"""Files that are written whole or line by line, and folders that one process writes at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ctxbench.errors import UserError


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


def opened_to_append(path: Path) -> FileIO:
    """A file for :func:`append`; unbuffered, so that closing it cannot fail on a full disk."""
    return FileIO(path, "a")


def append(file: FileIO, line: bytes) -> None:
    """Append a line and flush it to the disk. Raises UserError where that cannot be."""
    with writing(Path(os.fsdecode(file.name))):
        while line:  # a disk that is nearly full takes a part, and refuses the rest
            line = line[file.write(line) :]
        os.fsync(file.fileno())


def cache_folder(name: str) -> Path:
    """Where the user's cache has what ctxbench keeps under a name; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "ctxbench" / name


@contextmanager
def locked(folder: Path, name: str = "run.lock") -> Iterator[None]:
    """Hold a folder for this process alone, by a lock file in it that is gone afterwards.

    A killed process lets go of it, and the processes it forked (a loader's workers may outlive a killed
    trainer) never held it. Raises UserError, naming the folder, where another process holds it or it cannot
    be written.
    """
    from filelock import FileLock, Timeout

    if not folder.is_dir():  # filelock would make it
        raise UserError(f"cannot write {folder}: it is no folder")
    path = folder / name
    lock = FileLock(path, thread_local=False)
    with writing(folder):
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UserError(f"{folder} is being written by another process") from error
    try:
        yield
    finally:
        with suppress(OSError):
            # POSIX: while it is held, since whoever waits for a file that is gone makes a new one.
            # Windows: a file in use cannot be removed, and filelock removes it itself.
            path.unlink()
        lock.release()
