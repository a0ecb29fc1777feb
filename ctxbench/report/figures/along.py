"""Records along an axis: its values in order, the lines that go along it, and what is held beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctxbench.measure.records import Record
from ctxbench.report.layout import names
from ctxbench.report.view import in_threads
from ctxbench.subject import axes
from ctxbench.subject.case import Case

WORDS: Mapping[str, Callable[[Any], str]] = {
    "batch": "batch {}".format,
    "channels": "{} channels".format,
    "size": lambda size: "×".join(map(str, size if isinstance(size, tuple) else (size, size))),
    "dtype": str,
    "memory_format": str,
    "mode": str,
    "device": str,
    "threads": lambda number: "default threads" if number is None else in_threads(number),
    "runtime": str,
    "form": str,
}
"""The axes along which records are drawn, each with what it calls a value."""


@dataclass(frozen=True)
class Held:
    """Records that share all conditions but the one along an axis.

    ``label`` says what they do not share with the others; ``lines`` are module, and form and options where
    there are several, to what was measured at each value of the axis, or of each of several.
    """

    label: str
    lines: dict[str, dict[Any, Record]]


def varied(records: Sequence[Record]) -> list[str]:
    """The axes on which records differ."""
    return [axis for axis in WORDS if len(values(records, axis)) > 1]


def values(records: Sequence[Record], axis: str) -> list[Any]:
    """What the records have on an axis: numbers from the least up, words as they came."""
    found = list(dict.fromkeys(axes.AXES[axis](record.case) for record in records))
    return sorted(found, key=_number) if axis not in axes.WORDS and axis != "device" else found


def _number(value: Any) -> tuple[int, ...]:
    """A place among others for a number, a pair of sides, or none."""
    return (0,) if value is None else value if isinstance(value, tuple) else (value, value)


def too_long(axis: str, at: Sequence[Any], room: int) -> bool:
    """Whether the values of an axis cannot stand beside each other in a room of so many characters."""
    return max(len(WORDS[axis](value)) for value in at) * len(at) > room


def held(records: Sequence[Record], *along: str) -> list[Held]:
    """Put together what differs along an axis alone, or several."""
    others = [other for other in varied(records) if other not in (*along, "form")]

    def label(case: Case) -> str:
        return " · ".join(WORDS[other](axes.AXES[other](case)) for other in others)

    def at(case: Case) -> Any:
        found = tuple(axes.AXES[axis](case) for axis in along)
        return found if len(along) > 1 else found[0]

    groups: dict[str, dict[str, dict[Any, Record]]] = {}
    for record, name in zip(records, names(records, with_form="form" not in along), strict=True):
        lines = groups.setdefault(label(record.case), {})
        lines.setdefault(name, {})[at(record.case)] = record
    return [Held(label, lines) for label, lines in groups.items()]
