"""The one search for what gives a printed number: ways to count, from any source, held against the digits.

The words, here and in all of ``audit``:

========== ====================================================================================
candidate  one way to count: the number it gives, in words, and its deviations from plain counting
deviation  one step away from plain counting, which is the MACs of every product of the block as asked for
source     candidates that may stand together: all were counted in the same view of the same run
match      for each printed number one candidate, all of one source
fit        a match whose candidates all end in the printed digits, by one printing
near miss  a match that is no fit, but at most half as far off as any with fewer deviations
========== ====================================================================================

A fit is no proof: among many candidates some fit any number by chance. So each says how many would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, log, prod

import numpy as np

from ctxbench.audit.candidates import Candidate, Candidates, Source
from ctxbench.audit.quantity import NEAR, PRINTINGS, Floats, Printing, Quantity

MAY_BE_CHANCE = 0.1
"""Fits of a random number, on average, from which on a fit is marked as one that chance may have made."""


@dataclass(frozen=True)
class Match:
    """For each printed number one candidate. ``run`` and ``view`` say what was run and what was seen of it.

    ``deviations`` counts those of the candidates, of their source and of the printing. A fit has the
    ``printing`` and ``by_chance``: how many fits random numbers (log-uniform, within a factor of two of the
    printed ones) have on average among matches of no more deviations. A near miss has neither.
    ``distance`` is the largest |ln(value / printed)|.
    """

    candidates: tuple[Candidate, ...]
    run: str
    view: str
    deviations: int
    distance: float
    printing: Printing | None = None
    by_chance: float | None = None

    @property
    def is_fit(self) -> bool:
        """Whether it gives the printed digits."""
        return self.printing is not None

    @property
    def is_leaf_rule(self) -> bool:
        """Whether every number is as the leaf rule has it."""
        return all(candidate.is_leaf_rule for candidate in self.candidates)

    @property
    def may_be_chance(self) -> bool:
        """Whether a random number would fit nearly as well."""
        return self.by_chance is not None and self.by_chance >= MAY_BE_CHANCE


def fits(
    sources: Iterable[Source], quantities: Sequence[Quantity], printings: Sequence[Printing] = PRINTINGS
) -> list[Match]:
    """Every match that ends in the printed digits, the plainest first, the leaf rule first among equals."""
    sources = list(sources)
    expected = _expected_by_chance(sources, quantities, printings)
    matches = []
    for source in sources:
        promising = [
            Candidates.of(of).only(q.ends_in(Candidates.of(of).values, printings))
            for of, q in zip(source.candidates, quantities, strict=True)
        ]
        for candidates in product(*promising):
            printing = _printing(candidates, quantities, printings)
            if printing is not None:
                deviations = _deviations(source, candidates) + printing.deviations
                matches.append(
                    _match(source, candidates, quantities, deviations, printing, expected(deviations))
                )
    return sorted(
        matches,
        key=lambda match: (match.deviations, not match.is_leaf_rule, not match.candidates[0].has_name),
    )


def near_misses(
    sources: Iterable[Source],
    quantities: Sequence[Quantity],
    printings: Sequence[Printing] = PRINTINGS,
    *,
    fewer_than: float = inf,
) -> list[Match]:
    """The near misses, and in any case the nearest match of all: the nearest first, and so the plainest last.

    Only those with fewer than so many deviations: what is plainer than the plainest fit can be told so.
    """
    nearest: dict[int, Match] = {}
    for source in sources:
        for candidates in _nearest(source, quantities):
            deviations = _deviations(source, candidates)
            match = _match(source, candidates, quantities, deviations)
            if (
                deviations < fewer_than
                and (deviations not in nearest or match.distance < nearest[deviations].distance)
                and _printing(candidates, quantities, printings) is None
            ):
                nearest[deviations] = match
    by_deviations = [match for _, match in sorted(nearest.items())]
    misses: list[Match] = []
    for match in by_deviations:
        if not misses or match.distance <= misses[-1].distance / 2:
            misses.append(match)
    nearest_of_all = min(by_deviations, key=lambda match: match.distance, default=None)
    if nearest_of_all is not None and nearest_of_all not in misses:
        misses.append(nearest_of_all)
    return misses[::-1]


def _match(
    source: Source,
    candidates: tuple[Candidate, ...],
    quantities: Sequence[Quantity],
    deviations: int,
    printing: Printing | None = None,
    by_chance: float | None = None,
) -> Match:
    distance = max(q.distance(c.value) for c, q in zip(candidates, quantities, strict=True))
    return Match(candidates, source.run, source.view, deviations, distance, printing, by_chance)


def _deviations(source: Source, candidates: Iterable[Candidate]) -> int:
    return source.deviations + sum(candidate.deviations for candidate in candidates)


def _printing(
    candidates: Iterable[Candidate], quantities: Sequence[Quantity], printings: Iterable[Printing]
) -> Printing | None:
    """The first printing by which all end in the printed digits: who cuts one number off cuts them all."""
    pairs = list(zip(candidates, quantities, strict=True))
    return next((p for p in printings if all(p.gives(c.value, q.digits) for c, q in pairs)), None)


def _nearest(source: Source, quantities: Sequence[Quantity]) -> Iterator[tuple[Candidate, ...]]:
    """Every combination of the candidates that are, for each number of deviations, nearest in print."""
    nearest: list[list[Candidate]] = []
    for candidates, quantity in zip(map(Candidates.of, source.candidates), quantities, strict=True):
        distances = quantity.distances(candidates.values)
        by_distance = np.lexsort((distances, candidates.deviations))
        _, first = np.unique(candidates.deviations[by_distance], return_index=True)
        nearest.append([candidates[i] for i in by_distance[first]])
    return product(*nearest)


def _expected_by_chance(
    sources: Iterable[Source], quantities: Sequence[Quantity], printings: Sequence[Printing]
) -> Callable[[int], float]:
    """From a number of deviations to the fits that random numbers have on average with no more of them."""
    near: Counter[int] = Counter()  # deviations to matches within a factor of two
    for source in sources:
        combined = Counter({source.deviations: 1})
        for candidates, quantity in zip(source.candidates, quantities, strict=True):
            of = Candidates.of(candidates)
            combined = _convolved(combined, Counter(of.deviations[quantity.are_near(of.values)].tolist()))
        near.update(combined)

    def expected(limit: int) -> float:
        return sum(
            matches * _share(quantities, [p for p in printings if deviations + p.deviations <= limit])
            for deviations, matches in near.items()
        )

    return expected


def chance_of_any(
    sources: Iterable[Source],
    quantity: Quantity,
    limit: int,
) -> float:
    """The chance that some candidate of at most so many deviations gives the digits of a random number.

    That number is log-uniform within a factor of two of the printed one, and has its decimals. Candidates
    that end in the same digits count once: of all digits, this is the share that some candidate ends in.
    """
    return _share_of([end for source in sources for end in _ends(source, 0, quantity, limit)], quantity)


def chance_of_near(sources: Iterable[Source], quantity: Quantity, miss: Match) -> float:
    """The chance that some candidate of no more deviations comes as near to a random number as ``miss`` does.

    That number is log-uniform within a factor of two of the printed one.
    """
    reach, off = log(NEAR), miss.distance
    places = [np.zeros(0)]
    for source in sources:
        candidates = Candidates.of(source.candidates[0])
        plain = (candidates.deviations + source.deviations <= miss.deviations) & (candidates.values > 0)
        places.append(np.log(candidates.values[plain] / quantity.value))
    centres = np.sort(np.concatenate(places))
    starts, ends = (np.clip(centres + side, -reach, reach) for side in (-off, off))
    starts[1:] = np.maximum(starts[1:], ends[:-1])  # what two come near to counts once
    return float((ends - starts).sum()) / (2 * reach)


def chance_of_pair(
    sources: Iterable[Source], quantities: tuple[Quantity, Quantity], limits: tuple[int, int]
) -> float:
    """The chance that one run gives the digits of two random numbers, each by at most so many deviations.

    The numbers are as in :func:`chance_of_any`, and know nothing of each other.
    """
    by_run: dict[str, tuple[list[Floats], list[Floats]]] = {}
    for source in sources:
        for which, ends in enumerate(by_run.setdefault(source.run, ([], []))):
            ends += _ends(source, which, quantities[which], limits[which])
    beside: dict[float, list[Floats]] = {}  # digits of the second number, and of the first beside them
    for firsts, seconds in by_run.values():
        for digits in np.unique(np.concatenate(seconds)):
            beside.setdefault(float(digits), []).extend(firsts)
    return sum(
        _share_of([np.array([digits])], quantities[1]) * _share_of(firsts, quantities[0])
        for digits, firsts in beside.items()
    )


def _ends(source: Source, which: int, quantity: Quantity, limit: int) -> list[Floats]:
    """The digits that candidates of at most so many deviations end in, by each printing."""
    candidates = Candidates.of(source.candidates[which])
    near = quantity.are_near(candidates.values)
    ends = []
    for printing in PRINTINGS:
        plain = near & (candidates.deviations + source.deviations + printing.deviations <= limit)
        ends.append(printing.cell(candidates.values[plain] / quantity.step))
    return ends


def _share_of(ends: Sequence[Floats], quantity: Quantity) -> float:
    """The share of random numbers that end in one of these digits, each counted once."""
    digits = np.unique(np.concatenate(ends)) if ends else np.zeros(0)
    digits = digits[digits > 0]
    widths = np.log((digits + 0.5) / (digits - 0.5))
    return min(1.0, float(widths.sum()) / log(NEAR**2))


def chance_in_words(chance: float) -> str:
    """A chance, or how many are expected by it, as it is printed."""
    return "under 0.001" if chance < 0.001 else f"{chance:.2g}"


def _convolved(a: Mapping[int, int], b: Mapping[int, int]) -> Counter[int]:
    sums: Counter[int] = Counter()
    for (i, n), (j, m) in product(a.items(), b.items()):
        sums[i + j] += n * m
    return sums


def _share(quantities: Sequence[Quantity], printings: Sequence[Printing]) -> float:
    """The share of random numbers that end in the printed digits by any printing: inclusion–exclusion."""
    return sum(
        (-1.0) ** (size + 1) * prod(quantity.share(*group) for quantity in quantities)
        for size in range(1, len(printings) + 1)
        for group in combinations(printings, size)
    )
