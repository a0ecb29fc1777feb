"""A run in shards, each a run of its own: which of the cases a shard has."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ctxbench.errors import UserError
from ctxbench.subject.case import Case
from ctxbench.typed import Natural


@dataclass(frozen=True)
class Shard:
    """A part of a run's cases: the ``number``-th of ``count``, from 1; all together have ``cases``.

    ``whole`` is equal for the shards of one run.
    """

    number: Natural
    count: Natural
    cases: Natural
    whole: str

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"


def dealt(cases: Sequence[Case], number: int, count: int) -> tuple[Shard, list[Case]]:
    """The ``number``-th of ``count`` shards of these cases, whatever the order that they are in.

    Cases are dealt one by one, from the costly to the cheap as far as that is known before they are counted:
    by runtime, mode and size of input. So each shard has as many as every other, or one fewer, of each kind.
    Raises UserError where there is no such shard, or it would be empty.
    """
    different = {case.id: case for case in cases}
    if not 1 <= number <= count:
        raise UserError(f"there is no shard {number}/{count}: 2/8 is the second of eight, the last is 8/8")
    if number > len(different):
        raise UserError(f"shard {number}/{count} is empty: the cases in all are {len(different)}")
    costly_first = sorted(different.values(), key=lambda c: (c.runtime, c.mode, -c.input_bytes, c.id))
    own = {case.id for case in costly_first[number - 1 :: count]}
    whole = hashlib.sha256(" ".join(sorted(different)).encode()).hexdigest()[:12]
    return Shard(number, count, len(different), whole), [c for id, c in different.items() if id in own]
