"""A paper's table as a CSV: a row for each thing that was counted, with its numbers as printed.

Columns, in any order: ``subject`` (what ``ctxbench profile`` takes, with ``?`` for what is not known, or
``network(MODEL, classes=K)``; ``-`` for what cannot be stated), at least one of ``flops``, ``memory`` and
``parameters``, and where they are known ``label``, ``shape`` (``1x512x97x97``) or ``channels`` and ``size``
(``97``, ``512x2048``), ``counts`` (what the paper says that it counts), ``source`` and ``verified`` (``no``:
from memory, and no finding). Channels that stand nowhere are those of the subject's own call, 3 of a network,
or 512.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ctxbench.audit.quantity import KINDS, Kind, Quantity
from ctxbench.audit.unknowns import IMAGE_CHANNELS
from ctxbench.counters import Shape
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from _csv import Reader

MAX_ROWS = 1000
"""Of a table: no paper's has more, and each takes a second or so."""
PRINTED: Mapping[str, Kind] = {"flops": "FLOPs", "memory": "memory", "parameters": "parameters"}
OTHERS = ("label", "subject", "shape", "channels", "size", "counts", "source", "verified")
ALIASES = {
    "params": "parameters",
    "macs": "flops",
    "gflops": "flops",
    "name": "label",
    "row": "label",
    "input": "shape",
}
UNSTATED = "-"
"""The subject of a row that nobody could state: it is kept, and not counted."""
NETWORK = re.compile(r"network\((?P<model>\w+)(?P<rest>.*)\)")


@dataclass(frozen=True)
class Row:
    """A row of a table: what was counted, as printed. ``shape`` is None where it is not said.

    ``channels`` are 0 where they are not; ``size`` (H, W) then stands alone.
    """

    label: str
    subject: str
    quantities: tuple[Quantity, ...]
    shape: Shape | None
    channels: int
    size: tuple[int, int] | None = None
    counts: str = ""
    source: str = ""
    is_verified: bool = True

    @property
    def is_image(self) -> bool:
        """Whether it is of a whole network, which takes an image."""
        return self.channels == IMAGE_CHANNELS

    def of(self, channels: int) -> Row:
        """It for an input of so many channels, which it does not say itself."""
        return replace(self, channels=channels, shape=(1, channels, *self.size) if self.size else None)


@dataclass(frozen=True)
class Table:
    """The rows that could be read, and a line for each that could not."""

    name: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """Read a table. Raises UserError where there is none, or its header has not what it needs."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return read_lines(path.name, lines)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def read_lines(name: str, lines: Iterable[str]) -> Table:
    """Read the lines of a table. Raises UserError where its header has not what it needs."""
    fed = _Fed(lines)
    reader = csv.reader(fed, strict=True)
    try:
        header = [_column(cell) for cell in next(reader, [])]
    except csv.Error as error:
        raise UserError(f"{name}, line 1: {error}") from error
    if "subject" not in header or not PRINTED.keys() & set(header):
        raise UserError(
            f"{name}, line 1: a header with subject and flops, memory or parameters is needed, "
            f"not {','.join(header)[:60]!r}"
        )
    twice = {column for column in header if header.count(column) > 1}
    unknown = [column for column in header if column not in (*PRINTED, *OTHERS)]
    problems = [f"{name}, line 1: the column {column!r} stands there twice" for column in sorted(twice)]
    problems += [f"{name}, line 1: the column {column!r} is not read" for column in dict.fromkeys(unknown)]
    rows: list[Row] = []
    for line, cells in islice(_lines(reader, fed, name, problems), MAX_ROWS + 1):
        if len(rows) == MAX_ROWS:
            problems.append(f"{name}: over {MAX_ROWS:,} rows; the first {MAX_ROWS:,} are audited")
            break
        try:
            rows.append(_row(dict(zip(header, cells, strict=False)), len(cells) > len(header)))
        except UserError as error:
            problems.append(f"{name}, line {line}: {error}")
    return Table(name, tuple(rows), tuple(problems))


class _Fed(Iterator[str]):
    """Lines for a reader, which can be fed again: where a quote is left open, to the lines after its own."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._waiting: list[str] = []
        self._taken: list[str] = []
        self.number = 1
        """Of the first line of the row that comes next."""

    def __next__(self) -> str:
        self._taken.append(self._waiting.pop() if self._waiting else next(self._lines))
        return self._taken[-1]

    def go_on(self, *, again: bool = False) -> None:
        """To the next row; after a row that is none, from the line after its first."""
        own = 1 if again else len(self._taken)
        self._waiting += self._taken[own:][::-1]
        self._taken.clear()
        self.number += own


def _lines(reader: Reader, fed: _Fed, name: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its first line; what is no CSV is a problem."""
    fed.go_on()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"{name}, line {fed.number}: {_wrong(error)}")
            fed.go_on(again=True)
            continue
        if any(cell.strip() for cell in cells):
            yield fed.number, cells
        fed.go_on()


def _wrong(error: csv.Error) -> str:
    is_of_quotes = any(words in str(error) for words in ("end of data", "expected after"))
    return "a quote is left open, or closed inside a cell" if is_of_quotes else str(error)


def _column(text: str) -> str:
    name = text.strip().lower()
    return ALIASES.get(name, name)


def _row(cells: Mapping[str, str], is_longer: bool) -> Row:
    """Raises UserError, saying which cell is wrong."""
    if is_longer:
        raise UserError(
            "it has more cells than the header; a decimal comma or a comma in a cell needs quotes"
        )
    cells = {column: text.strip() for column, text in cells.items()}
    subject = cells["subject"]
    if not subject:
        raise UserError("it has no subject")
    printed = {column: cells.get(column, "") for column in PRINTED}
    quantities = [Quantity.of(PRINTED[column], text) for column, text in printed.items() if text not in "–-"]
    if not quantities:
        raise UserError(f"nothing is printed for {subject}")
    network = NETWORK.fullmatch(subject)
    channels = IMAGE_CHANNELS if network else 0
    if network:
        subject = f"ctxbench.networks.network:published_network('{network['model']}'{network['rest']})"
    if text := cells.get("channels"):
        channels = _sides("channels", text, (1,))[0]
    shape: Shape | None = None
    size: tuple[int, int] | None = None
    if text := cells.get("shape"):
        *batch, channels, height, width = _sides("shape", text, (4, 3))
        shape = (batch[0] if batch else 1, channels, height, width)
    elif text := cells.get("size"):
        sides = _sides("size", text, (1, 2))
        size = (sides[0], sides[-1])
        shape = (1, channels, *size) if channels else None
    return Row(
        label=cells.get("label") or cells["subject"],
        subject=subject,
        quantities=tuple(sorted(quantities, key=lambda q: KINDS.index(q.kind))),
        shape=shape,
        channels=channels,
        size=size,
        counts=cells.get("counts", ""),
        source=cells.get("source", ""),
        is_verified=cells.get("verified", "").lower() not in ("no", "false", "0"),
    )


def _sides(column: str, text: str, counts: tuple[int, ...]) -> list[int]:
    parts = re.split(r"\s*[x×*]\s*", text.strip())
    if len(parts) not in counts or not all(re.fullmatch(r"[1-9]\d{0,5}", part) for part in parts):
        example = {"channels": "512", "size": "97 or 512x2048", "shape": "1x512x97x97"}[column]
        raise UserError(f"{column} {text!r}: such as {example}")
    return list(map(int, parts))
