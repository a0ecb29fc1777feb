"""Finding the files of a data set: folders, lists of a split, names that two systems spell differently."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ctxbench.errors import UserError, in_one_line

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"}
)
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


class NotFoundError(UserError):
    """A data set is not in the given folder; the message says what was looked for."""


def first_of(*places: Path) -> Path:
    """The first of ``places`` that exists.

    Raises NotFoundError that names them all, or the archive that would hold one and is still packed.
    """
    for place in places:
        if place.exists():
            return place
    for place in places:
        for archive in (place.with_name(place.name + suffix) for suffix in _ARCHIVES):
            if archive.exists():
                raise NotFoundError(f"looked for {place}, which {archive} may hold: unpack it there")
    raise NotFoundError(f"looked for {' and '.join(map(str, places))}")


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises NotFoundError, or UserError where it is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"looked for {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {in_one_line(error)}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_list(path: Path) -> list[str]:
    """The samples that a split's file lists, one in each line: a name, or an image's path."""
    return [stem_of(line) for line in lines_of(path)]


def stem_of(line: str) -> str:
    """The name of a sample without folders and without the suffix of an image; names may hold spaces."""
    line = line.replace("\\", "/")
    first = Path(line.split()[0])
    name = first if first.suffix.lower() in IMAGE_SUFFIXES else Path(line)
    return name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name


def existing(path: Path) -> Path:
    """``path``, or the file whose name looks the same but is composed otherwise.

    macOS writes "é" as "e" and an accent (NFD) where others write one character (NFC): a list and an archive
    made on two systems then differ in bytes only.
    """
    if path.exists():
        return path
    for form in ("NFC", "NFD"):
        if (other := Path(unicodedata.normalize(form, str(path)))).exists():
            return other
    return path


def same_name(name: str) -> str:
    """``name`` in the one spelling (NFC) that names are compared in."""
    return unicodedata.normalize("NFC", name)


def images_below(root: Path) -> list[Path]:
    """Every image file below ``root``, sorted, hidden ones left out; linked folders are entered.

    Raises UserError where a folder cannot be read.
    """
    return sorted(path for path in _files_below(root, ()) if path.suffix.lower() in IMAGE_SUFFIXES)


def _files_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder above itself would never end
        return
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {in_one_line(error)}") from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            yield from _files_below(folder / entry.name, (*above, real))
        else:
            yield folder / entry.name
