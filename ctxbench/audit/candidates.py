"""Ways to count, each with its number: the candidates that a search holds against what is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctxbench.audit.quantity import Floats


class Candidate(NamedTuple):
    """One way to count: its value in the printed unit, what was counted, in words, and how far from plain.

    ``n_equivalent`` is how many other ways give the same value, ``is_leaf_rule`` whether this is the rule of
    :mod:`ctxbench.counters.leaf_rule`, which is known from print and comes first among equals; then comes
    what ``has_name``, being the rule of a counter. ``treatments`` are the words by aspect, and their sum is
    counted so many ``times``.
    """

    value: float
    words: str
    deviations: int
    is_leaf_rule: bool = False
    n_equivalent: int = 0
    has_name: bool = False
    treatments: tuple[tuple[str, str], ...] = ()
    unlikely_unit: int = 0
    times: int = 1


class Candidates(Sequence[Candidate]):
    """Candidates as arrays, so that a hundred thousand take no time; one is made when it is looked at.

    ``make`` makes that of a place, without what the arrays say of it.
    """

    def __init__(
        self,
        values: Floats,
        deviations: NDArray[np.int64],
        make: Callable[[int], Candidate],
        n_equivalent: NDArray[np.int64] | None = None,
    ) -> None:
        self.values, self.deviations, self._make = values, deviations, make
        self._n_equivalent = np.zeros(len(values), np.int64) if n_equivalent is None else n_equivalent

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Candidates:
        """Candidates that are there already."""
        if isinstance(candidates, Candidates):
            return candidates
        values = np.array([candidate.value for candidate in candidates], dtype=np.float64)
        deviations = np.array([candidate.deviations for candidate in candidates], dtype=np.int64)
        equivalent = np.array([candidate.n_equivalent for candidate in candidates], dtype=np.int64)
        return cls(values, deviations, candidates.__getitem__, equivalent)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Any) -> Any:
        if which >= len(self):
            raise IndexError(which)
        return self._make(int(which))._replace(
            value=float(self.values[which]),
            deviations=int(self.deviations[which]),
            n_equivalent=int(self._n_equivalent[which]),
        )

    def only(self, which: NDArray[Any]) -> Candidates:
        """Those at these places."""
        places = np.arange(len(self))[which]
        return Candidates(
            self.values[places],
            self.deviations[places],
            lambda i: self._make(int(places[i])),
            self._n_equivalent[places],
        )

    def distinct(self, order: NDArray[Any] | None = None) -> Candidates:
        """Of one value the candidate of fewest deviations, the first in ``order`` where that is a tie."""
        order = np.arange(len(self)) if order is None else order
        by_value = np.lexsort((order, self.deviations, self.values))
        _, first, equivalent = np.unique(self.values[by_value], return_index=True, return_counts=True)
        plainest = by_value[first]
        seen = np.argsort(order[plainest], kind="stable")
        kept = self.only(plainest[seen])
        kept._n_equivalent = equivalent[seen] - 1
        return kept


class Source(NamedTuple):
    """For each printed number its candidates, no two of one value. ``deviations`` are the source's own."""

    candidates: tuple[Sequence[Candidate], ...]
    deviations: int = 0
    run: str = ""
    view: str = ""

    @property
    def size(self) -> int:
        """How many matches it could make."""
        return prod(map(len, self.candidates))
