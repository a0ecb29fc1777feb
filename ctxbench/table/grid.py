"""A table before it is drawn: headings, groups of rows, every cell's text, and the notes under it.

Terminal, Markdown, LaTeX and HTML draw the same grid, so they cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

EMPTY = "–"
"""A cell without a value."""


@dataclass(frozen=True)
class Cell:
    """A cell's text. ``best`` marks the column's significantly best; ``note`` is the number of a footnote.

    ``cite`` is the BibTeX key of what the text names.
    """

    text: str
    best: bool = False
    note: int = 0
    cite: str = ""


@dataclass(frozen=True)
class Heading:
    """A column's heading: ``header`` stands over neighbours that share it, ``part`` and ``unit`` under it."""

    name: str
    header: str
    part: str = ""
    unit: str = ""
    rank: int = 0
    """Where the room is short, columns of the highest rank give way first; those of rank 0 never do."""
    counts: bool = False
    """Whether its cells are numbers though they have no unit."""

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which are set to the right."""
        return self.counts or bool(self.unit)

    @property
    def words(self) -> str:
        """The heading in one line without its unit, ``MACs published``."""
        return f"{self.header} {self.part}".strip()

    @property
    def line(self) -> str:
        """The heading in one line, ``MACs published (G)``."""
        return f"{self.words} ({self.unit})" if self.unit else self.words


@dataclass(frozen=True)
class Span:
    """Neighbouring headings that share what stands over them; ``start`` is the first one's column, from 0."""

    header: str
    start: int
    headings: Sequence[Heading]


@dataclass(frozen=True)
class Group:
    """Rows measured under the same conditions; ``label`` names what differs from the other groups."""

    label: str
    rows: list[list[Cell]]


@dataclass
class Grid:
    """A table: its title, headings, groups of rows, footnotes by number, notes for the reader, findings.

    ``preface`` stands above the table: what must be known before it is read.
    """

    title: str
    headings: list[Heading]
    groups: list[Group] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    preface: str = ""

    def spans(self) -> list[Span]:
        """The headings from left to right, neighbours of one header together."""
        spans: list[Span] = []
        start = 0
        for header, neighbours in groupby(self.headings, key=lambda heading: heading.header):
            headings = tuple(neighbours)
            spans.append(Span(header, start, headings))
            start += len(headings)
        return spans

    def without(self, hidden: Sequence[Heading]) -> "Grid":
        """The same table, but for the columns of these headings."""
        kept = [i for i, heading in enumerate(self.headings) if heading not in hidden]
        groups = [Group(group.label, [[row[i] for i in kept] for row in group.rows]) for group in self.groups]
        return replace(self, headings=[self.headings[i] for i in kept], groups=groups)

    def footnote(self, reason: str) -> int:
        """The number of a footnote, which is new where no cell gave this reason before."""
        if reason not in self.footnotes:
            self.footnotes.append(reason)
        return self.footnotes.index(reason) + 1
