"""What a comparison goes along: the runs themselves, a condition, the module, or an option of modules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.layout import title
from ctxbench.subject import axes, resolve
from ctxbench.subject.expression import shown

RUN, MODULE, SIZE = "run", "module", "size"
BY_ITSELF = "default"
"""Of the axis ``threads``: as many as each library takes by itself."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    RUN: (),
    MODULE: ("module", "options", "implementation", "binding"),
    SIZE: ("height", "width", "binding"),
    "height": ("height", "binding"),
    "width": ("width", "binding"),
    "batch": ("batch", "binding"),
    "channels": ("channels", "options", "binding"),  # a preset chooses options by the channels
    "memory_format": ("layout",),
    "form": ("implementation",),
}
"""The fields of a case that go with an axis, where they are not one of its name.

A binding is found out at a shape: it may follow it."""
_SHOWN = 6
"""Values of an axis that an error names."""


@dataclass(frozen=True)
class Axis:
    """An axis by its name, and the records that are compared along it.

    It is ``run``, one of :data:`ctxbench.subject.axes.AXES`, or an option of some module.
    """

    name: str
    records: Sequence[Record]

    @property
    def is_option(self) -> bool:
        """Whether it is an option of modules."""
        return self.name not in (RUN, *axes.AXES)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a case that may differ in a pair, an option of that name aside."""
        return ("binding",) if self.is_option else _FIELDS.get(self.name, (self.name,))

    def value(self, record: Record) -> Any:
        """Where on the axis the record lies; of an option that its module has not, None."""
        if self.name == RUN:
            return record.origin.letter if record.origin else "A"
        return record.case.options.get(self.name) if self.is_option else axes.AXES[self.name](record.case)

    @property
    def values(self) -> list[Any]:
        """Every value that a record has, in order of appearance."""
        values: list[Any] = []
        for record in self.records:
            if self.has(record) and (value := self.value(record)) not in values:
                values.append(value)
        return values

    def has(self, record: Record) -> bool:
        """Whether the record lies on the axis; not where its module has no such option."""
        return not self.is_option or self.name in record.case.options

    def word(self, value: Any) -> str:
        """A value as a person writes it, a module by its title."""
        if self.name == MODULE:
            own = next((record for record in self.records if record.case.module == value), None)
            return title(own, self.records) if own else str(value)
        if value is None and self.name == "threads":
            return BY_ITSELF
        return "×".join(map(str, value)) if self.name == SIZE and isinstance(value, tuple) else shown(value)

    def chosen(self, baseline: Any) -> Any:
        """The value that a text, or the value itself, stands for. Raises UserError where no record has it."""
        if baseline in self.values:
            return baseline
        text = self._full(self.word(baseline))
        found = [value for value in self.values if text in self._spelled(value)]
        if len(found) == 1:
            return found[0]
        said = f"{self.name.replace('_', ' ')} {self.word(baseline)!r}"
        if found:
            raise UserError(
                f"{said} is several here: {', '.join(map(str, found))}; give one of these in full"
            )
        raise UserError(
            f"no {said} among what is compared; there are {', '.join(map(self.word, self.values))}"
        )

    def _full(self, text: str) -> str:
        """A text as values are spelled: a size is a square where it can be, a dtype in full."""
        text = _plain(text)
        if self.name == SIZE:
            size = axes.size_of("--baseline", text)
            return self.word(size[0] if isinstance(size, tuple) and size[0] == size[1] else size)
        return axes.SHORT.get(text, text) if self.name == "dtype" else text

    def _spelled(self, value: Any) -> set[str]:
        """What a value may be called, in small letters."""
        names = {self.word(value), *([value, resolve.label(value)] if self.name == MODULE else [])}
        return set(map(_plain, names))


def _plain(text: str) -> str:
    """A text in small letters and without spaces, as ``(2, 2)`` may be typed."""
    return "".join(text.lower().split())


def axis_of(name: str, records: Sequence[Record]) -> Axis:
    """The axis of that name. Raises UserError where there is none, or these records are all at one place."""
    options = dict.fromkeys(option for record in records for option in record.case.options)
    known = [*axes.AXES, *(option for option in options if option not in axes.AXES)]
    name = re.sub(r"[-\s]", "_", name.strip())
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? There are " if near else "there are "
        raise UserError(f"no axis {name!r}; {hint}{', '.join(known)}")
    axis = Axis(name, records)
    if not records:
        raise UserError("there are no cases to compare")
    if len(axis.values) < 2:
        varying = "; ".join(filter(None, (_with_values(Axis(other, records)) for other in known)))
        what = f"what varies is {varying}" if varying else "and nothing else varies"
        raise UserError(f"{name} is {axis.word(axis.values[0])} in every case, {what}")
    return axis


def _with_values(axis: Axis) -> str:
    """An axis with its values; empty where there are none to compare."""
    words = list(map(axis.word, axis.values))
    more = f" and {len(words) - _SHOWN} others" if len(words) > _SHOWN else ""
    return f"{axis.name} ({', '.join(words[:_SHOWN])}{more})" if len(words) > 1 else ""
