"""Which conventions a printed FLOPs or memory number of a module fits.

Every convention of :mod:`ctxbench.audit.counting`, over every run of :mod:`ctxbench.audit.runs`, is a
candidate for the search of :mod:`ctxbench.audit.matching`, where the words are explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf, log, prod
from typing import Any

import numpy as np

from ctxbench.audit.candidates import Candidate, Candidates, Source
from ctxbench.audit.counting.aspects import ASPECTS, FLOPS, Seen
from ctxbench.audit.counting.conventions import Conventions, leaf_rule, value_of
from ctxbench.audit.counting.parts import of_part, parts
from ctxbench.audit.counting.tools import OPERATIONS, VIEWS
from ctxbench.audit.decoding import Decoding, Outcome, Printed
from ctxbench.audit.matching import fits, near_misses
from ctxbench.audit.quantity import KINDS, Quantity
from ctxbench.audit.rows import Row
from ctxbench.audit.runs import Run, runs
from ctxbench.audit.unknowns import UNKNOWN, configurations, other_sizes, sizes
from ctxbench.counters import Shape
from ctxbench.errors import UserError
from ctxbench.subject import resolve
from ctxbench.subject.interface import Interface

MAX_DEVIATIONS = 6
"""From plain counting that one convention has: beyond it, some convention gives any number."""
FAR = 1000.0
"""A factor: a number that is further from all that can be counted is of another unit, or another input."""
LEAST_COUNTED, MOST_COUNTED = 0.4, 3.0
"""What is counted against the MACs of what ran: without products, and twice with all that is small."""


def decode(
    module: str,
    *printed: str,
    shape: Shape = (1, 512, 64, 64),
    options: Mapping[str, Any] | None = None,
    asked: Interface | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Decoding:
    """Search the conventions for those that give the printed digits.

    ``printed`` are a number of FLOPs (or MACs) such as ``"21.47G"``, one of memory such as ``"96.50MB"``, one
    of parameters such as ``"0.14Mparams"``, or several of these. ``module`` is a name as for
    :func:`ctxbench.profile`, with ``?`` for what is not known; it is run on inputs of ``shape`` (N, C, H, W)
    with the defaults of its own paper, changed by ``options``, and called as ``asked``; ``progress`` is told
    how many of its runs are done, of how many. Raises UserError where a number cannot be read, two are of one
    kind, one is a thousand times off from all that can be counted, ``shape`` holds nothing, or the module
    cannot be built or run.
    """
    quantities = sorted(map(Quantity.parse, printed), key=lambda quantity: KINDS.index(quantity.kind))
    if len({quantity.kind for quantity in quantities}) != len(quantities) or not quantities:
        raise UserError(
            "give one number of FLOPs (21.47G), one of memory (96.50MB), one of parameters (0.14Mparams), or "
            "one of each"
        )
    if min(shape) < 1:
        raise UserError(f"an input has at least one element, not {'×'.join(map(str, shape))}")
    search = Search()
    all_runs = [
        run
        for subject in configurations(module, shape)
        for run in runs(resolve.canonical(subject), shape, options or {}, asked)
    ]
    if UNKNOWN.search(module):  # each is as likely as the others
        all_runs = [run for run in all_runs if not run.deviations]
    sources, not_tried = search.sources(all_runs, quantities, progress)
    outcomes: dict[Printed, Outcome] = {}
    if len(quantities) > 1:
        outcomes["both"] = _outcome(sources, quantities)
    for i, quantity in enumerate(quantities):
        alone = _outcome(of_one_number(sources, i), [quantity])
        _check_plausible(alone, quantity, shape)
        outcomes[quantity.kind] = alone
    return Decoding(
        module=module if UNKNOWN.search(module) else resolve.canonical(module),
        shape=shape,
        runs=tuple(run.words for run in all_runs),
        outcomes=outcomes,
        not_tried=tuple(not_tried),
        bound=all_runs[0].case.bound,
    )


class Search:
    """Makes candidates of runs. What was looked at once is kept: rows of a table are often of one block."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, Seen]] = {}
        self._candidates: dict[str, Candidates] = {}

    def seen_by_view(self, run: Run, *, training: bool = False) -> dict[str, Seen]:
        """:meth:`Run.seen_by_view`, once."""
        key = f"{run.key} {training}"
        if run.part and key not in self._seen:
            whole = self.seen_by_view(replace(run, part=""), training=training)
            self._seen[key] = {view: of_part(seen, run.part) for view, seen in whole.items()}
        if key not in self._seen:
            known = self._seen.get(f"{run.key} True")
            self._seen[key] = known or run.seen_by_view(training=training)
        return self._seen[key]

    def can_run(self, run: Run) -> bool:
        """Whether a run can be looked at."""
        try:
            self.seen_by_view(run)
        except UserError:
            return False
        return True

    def parameters(self, run: Run) -> int:
        """How many parameters a run has."""
        return self.seen_by_view(run)[OPERATIONS].parameters.all

    def macs(self, run: Run) -> int:
        """The MACs of every call of a run."""
        seen = self.seen_by_view(run)[OPERATIONS]
        return value_of({"products": FLOPS["products"][0].words}, FLOPS, seen) or 0

    def tiers(self, row: Row) -> Iterator[list[Run]]:
        """What a row may be of: as it says; single deviations; and other sizes or parts, two deviations."""
        known = [row.shape] if row.shape else [(1, row.channels, *size) for size in sizes(row.channels)]
        is_open = bool(UNKNOWN.search(row.subject)) or row.shape is None
        base: list[Run] = []
        others: list[Run] = []
        for shape in known:
            for subject in configurations(row.subject, shape):
                first, *deviating = runs(resolve.canonical(subject), shape, {})
                sides = f", {shape[2]}×{shape[3]}" if is_open else ""
                base.append(replace(first, words=f"{first.words}{sides}"))
                others += deviating
        yield base
        if is_open:  # every value of what is open is as likely, and there are enough of them
            return
        if not any(quantity.is_memory for quantity in row.quantities):  # it is for memory that batches matter
            others = [run for run in others if run.shape[0] == known[0][0]]
        has_parts = row.is_image or row.subject.startswith("head(")
        of_parts = [
            replace(base[0], part=part, words=_of_part(part), deviations=2)
            for part in (parts(self.seen_by_view(base[0])[OPERATIONS]) if has_parts else ())
        ]
        yield of_parts if row.is_image else others + of_parts
        elsewhere = [replace(run, deviations=2) for run in others] if row.is_image else []
        elsewhere += [
            base[0].at(size, steps)
            for size, steps in other_sizes(row.channels, known[0][2:]).items()
            if self._may_be_at(size, base[0], row)
        ]
        yield elsewhere

    def _may_be_at(self, size: tuple[int, int], base: Run, row: Row) -> bool:
        """Whether an input of that size may have the row's FLOPs: MACs grow as the area, or as its square."""
        macs = self.macs(base)
        if not macs or any(quantity.is_memory for quantity in row.quantities):
            return True
        area = prod(size) / prod(base.shape[2:])
        low, high = sorted((area, area**2))
        ratios = [q.value * unit.size / macs for q in row.quantities if q.kind == "FLOPs" for unit in q.units]
        return any(LEAST_COUNTED * low <= ratio <= MOST_COUNTED * high for ratio in ratios)

    def sources(
        self,
        all_runs: Sequence[Run],
        quantities: Sequence[Quantity],
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[list[Source], list[str]]:
        """A source for each run in each view, and why runs other than the one asked for fail."""
        sources, not_tried = [], []
        training = any(quantity.is_memory for quantity in quantities)
        for number, run in enumerate(all_runs):
            if progress is not None:
                progress(number, len(all_runs))
            try:
                seen_by_view = self.seen_by_view(run, training=training)
            except UserError as error:
                if not run.deviations and sum(not other.deviations for other in all_runs) == 1:
                    raise
                not_tried.append(f"{run.words} ({error})")
                continue
            for view, seen in seen_by_view.items():
                # The leaf rule looks at last calls; where no leaf is called twice, every call is its last.
                by_leaf_rule = view == list(seen_by_view)[-1]
                candidates = tuple(self._of(run, quantity, seen, by_leaf_rule) for quantity in quantities)
                sources.append(Source(candidates, VIEWS[view] + run.deviations, run.words, view))
        return sources, not_tried

    def _of(self, run: Run, quantity: Quantity, seen: Seen, by_leaf_rule: bool) -> Candidates:
        units = [unit.words for unit in quantity.units]
        key = f"{run.key} {seen.view} {quantity.kind} {units} {seen.held.peak_train}"
        if key not in self._candidates:
            self._candidates[key] = _candidates(quantity, seen, by_leaf_rule)
        return self._candidates[key]


def _of_part(part: str) -> str:
    return f"without its {part[1:]}" if part.startswith("-") else f"its {part} alone"


def _candidates(quantity: Quantity, seen: Seen, by_leaf_rule: bool) -> Candidates:
    """Each value that a convention gives, by the plainest, and of those the most like the leaf rule."""
    aspects = ASPECTS[quantity.kind]
    rule_value = leaf_rule(aspects, seen) if by_leaf_rule and quantity.kind != "parameters" else None
    found = Conventions(aspects, seen)
    twice = found.of_macs  # whose MACs papers double, so that they are FLOPs
    ways, units = len(found) + len(twice), quantity.units
    sizes = np.array([unit.size for unit in units], dtype=np.float64)
    unlikely = np.array([unit.deviations for unit in units])

    def make(which: int) -> Candidate:
        unit, way = units[which // ways], which % ways
        times = 1 if way < len(found) else 2
        convention = found[way if times == 1 else twice[way - len(found)]]
        is_rule = times * convention.value == rule_value and not unit.deviations
        words = f"{'' if times == 1 else '2 times: '}{convention.words} ({unit.words})"
        return Candidate(
            value=0.0,
            words=words,
            deviations=0,
            is_leaf_rule=is_rule,
            has_name=bool(convention.tools),
            treatments=tuple(convention.treatments.items()),
            unlikely_unit=unit.deviations,
            times=times,
        )

    numbers = np.concatenate((found.values, 2 * found.values[twice]))  # (ways,)
    steps = np.concatenate((found.deviations, found.deviations[twice] + 1))  # (ways,)
    unlike = np.concatenate((found.unlike_leaf_rule, found.unlike_leaf_rule[twice]))  # (ways,)
    values = (numbers[None] / sizes[:, None]).reshape(-1)  # (units · ways,)
    deviations = (steps[None] + unlikely[:, None]).reshape(-1)  # (units · ways,)
    order = np.argsort(np.argsort(unlike, kind="stable"))  # (ways,)
    ranks = (order[None] + ways * np.arange(len(units))[:, None]).reshape(-1)  # (units · ways,)
    near = deviations <= MAX_DEVIATIONS
    return Candidates(values, deviations, make).only(near).distinct(ranks[near])


def of_one_number(sources: Iterable[Source], which: int) -> list[Source]:
    """The sources of one of the numbers alone, each value left only where it takes the fewest deviations."""
    sources = list(sources)
    of = [Candidates.of(source.candidates[which]) for source in sources]
    numbers = np.concatenate([np.full(len(c), i) for i, c in enumerate(of)])
    places = np.concatenate([np.arange(len(c)) for c in of])
    values = np.concatenate([c.values for c in of])
    deviations = np.concatenate([c.deviations + s.deviations for c, s in zip(of, sources, strict=True)])
    by_value = np.lexsort((numbers, deviations, values))
    first = by_value[np.unique(values[by_value], return_index=True)[1]]
    kept_of = [np.sort(places[first[numbers[first] == i]]) for i in range(len(sources))]
    return [
        source._replace(candidates=(candidates.only(kept),))
        for source, candidates, kept in zip(sources, of, kept_of, strict=True)
    ]


def _outcome(sources: Sequence[Source], quantities: Sequence[Quantity]) -> Outcome:
    fitting = fits(sources, quantities)
    misses = near_misses(sources, quantities, fewer_than=fitting[0].deviations if fitting else inf)
    tried = sum(source.size for source in sources)
    return Outcome(tuple(quantities), tried, tuple(fitting), tuple(misses))


def _check_plausible(outcome: Outcome, quantity: Quantity, shape: Shape) -> None:
    """Refuse a number that has nothing to do with what was counted: it would only get absurd near misses."""
    if outcome.fits or outcome.near_misses[0].distance < log(FAR):
        return
    nearest = outcome.near_misses[0].candidates[0].value
    raise UserError(
        f"{quantity} is over {FAR:.0f} times off from all that can be counted on an input of "
        f"{'×'.join(map(str, shape))} (the nearest is {nearest:.3g} {quantity.unit}): "
        "give the number's unit, and the input's channels and size, as they are in print"
    )
