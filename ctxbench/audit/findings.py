"""What a row's printed numbers turn out to be: a verdict for each, and how likely it is by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, log, prod
from typing import Literal

from ctxbench.audit.candidates import Source
from ctxbench.audit.counting.aspects import FLOPS
from ctxbench.audit.counting.conventions import value_of
from ctxbench.audit.counting.parts import parts
from ctxbench.audit.counting.tools import COUNTERS, OPERATIONS
from ctxbench.audit.matching import Match, chance_of_any, chance_of_pair, fits, near_misses
from ctxbench.audit.quantity import Kind, Quantity
from ctxbench.audit.rows import UNSTATED, Row
from ctxbench.audit.runs import Run, runs
from ctxbench.audit.search import Search, of_one_number
from ctxbench.audit.unknowns import UNKNOWN, configurations, other_sizes, sizes
from ctxbench.errors import UserError
from ctxbench.subject import resolve

Verdict = Literal[
    "reproduced", "misleading", "near", "could be anything", "not reproduced", "contradicts its row",
    "not counted",
]  # fmt: skip
VERDICTS: Mapping[Verdict, str] = {
    "reproduced": "a convention gives the printed digits, and it counts what ran",
    "misleading": "a convention gives the printed digits, and is far from the MACs, and from twice the MACs",
    "near": "no convention that chance would not give as well, but plain counting comes within 5 %",
    "could be anything": "conventions give the digits, but so many were tried that some give any number",
    "not reproduced": "nothing that was tried gives the digits",
    "contradicts its row": "the FLOPs and the parameters are each reproduced, by no one configuration",
    "not counted": "what the row names cannot be built or run",
}
BY_CHANCE = 0.2
"""Beyond this chance that some candidate fits, a fit says nothing."""
SURE = 0.05
"""Up to this chance, a number says which configuration its row is of."""
FAR_FETCHED = 3
"""Deviations from which on a plain near miss is likelier than a fit that is not sure, and of no counter."""
NEAR_BY = log(1.05)
LEAST_COUNTED, MOST_COUNTED = 0.4, 3.0
"""What is counted against the MACs of what ran: without products, and twice with all that is small."""
PLAIN_BY = log(1.1)
"""ln of how far a number may be from the MACs, or twice the MACs, that does not mislead."""
SAYS_MORE: Mapping[Kind, tuple[Kind, ...]] = {
    "FLOPs": ("parameters", "memory"),
    "memory": ("FLOPs", "parameters"),
    "parameters": ("FLOPs",),
}
"""What other number of a row says of which configuration a number is."""
NOT_DERIVED = "measured GPU memory cannot be derived from the block"


@dataclass(frozen=True)
class Finding:
    """What one printed number is. ``chance`` is that some candidate as plain as the fit fits a random number.

    ``plain`` are the MACs of every call of what the row names, at its size, in the printed unit, and
    ``factor`` how many times as large what the fit counts is. ``nearest`` is the plainest near miss.
    ``of_pair`` is the chance that some configuration, as plain, gives random FLOPs and parameters together,
    where the row's are of one.
    """

    row: Row
    quantity: Quantity
    verdict: Verdict
    fit: Match | None = None
    chance: float | None = None
    nearest: Match | None = None
    plain: float | None = None
    factor: float | None = None
    tried: int = 0
    why: str = ""
    of_pair: float | None = None

    @property
    def convention(self) -> str:
        """What was counted, in words; empty where that is not known."""
        return self.fit.candidates[0].words if self.fit else ""

    @property
    def configuration(self) -> str:
        """What was run and seen, in words; empty where that is not known."""
        return f"{self.fit.run}; {self.fit.view}" if self.fit else ""


@dataclass(frozen=True)
class Looked:
    """A row's findings, with the runs that were looked at, by their words: those of no deviation first."""

    row: Row
    findings: tuple[Finding, ...]
    runs: tuple[Run, ...] = ()

    def of(self, finding: Finding) -> Run | None:
        """The run that a finding's fit is of."""
        fit = finding.fit
        return next((run for run in self.runs if fit is not None and run.words == fit.run), None)


def look(row: Row, search: Search) -> Looked:
    """Audit a row: run what it may be of, tier by tier, until each number is explained or nothing is left."""
    looked: list[Run] = []
    sources: list[Source] = []
    reasons: list[str] = []
    if row.subject == UNSTATED:
        return _not_counted(row, "the table does not say of what it is")
    try:
        for tier, more in enumerate(_tiers(row, search)):
            found, failed = search.sources(more, row.quantities)
            ran = {source.run for source in found}
            looked += [run for run in more if run.words in ran]
            sources += found
            reasons += failed
            if sources and all(_is_plain(sources, which, q, tier) for which, q in enumerate(row.quantities)):
                break
    except UserError as error:
        reasons.append(str(error))
    if not sources:
        return _not_counted(row, reasons[0] if reasons else "nothing to run")
    return Looked(row, tuple(_findings(row, sources, looked, search)), tuple(looked))


def _not_counted(row: Row, why: str) -> Looked:
    return Looked(row, tuple(Finding(row, quantity, "not counted", why=why) for quantity in row.quantities))


def _tiers(row: Row, search: Search) -> Iterator[list[Run]]:
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
    whole = search.seen_by_view(base[0])[OPERATIONS] if row.is_image or subject.startswith("head(") else None
    of_parts = [
        replace(base[0], part=part, words=_of_part(part), deviations=2)
        for part in (parts(whole) if whole else ())
    ]
    yield of_parts if row.is_image else others + of_parts
    elsewhere = [replace(run, deviations=2) for run in others] if row.is_image else []
    elsewhere += [
        base[0].at(size, steps)
        for size, steps in other_sizes(row.channels, known[0][2:]).items()
        if _may_be_at(size, base[0], row, search)
    ]
    yield elsewhere


def _may_be_at(size: tuple[int, int], base: Run, row: Row, search: Search) -> bool:
    """Whether an input of that size may have the row's FLOPs: MACs grow as the area, or as its square."""
    macs = _macs(search, base)
    if not macs or any(quantity.is_memory for quantity in row.quantities):
        return True
    area = prod(size) / prod(base.shape[2:])
    low, high = sorted((area, area**2))
    ratios = [q.value * unit.size / macs for q in row.quantities if q.kind == "FLOPs" for unit in q.units]
    return any(LEAST_COUNTED * low <= ratio <= MOST_COUNTED * high for ratio in ratios)


def _macs(search: Search, run: Run) -> int:
    seen = search.seen_by_view(run)[OPERATIONS]
    return value_of({"products": FLOPS["products"][0].words}, FLOPS, seen) or 0


def _of_part(part: str) -> str:
    return f"without its {part[1:]}" if part.startswith("-") else f"its {part} alone"


def _is_plain(sources: Sequence[Source], which: int, quantity: Quantity, tier: int) -> bool:
    """Whether no run of a later tier could give a number by anything plainer; sizes change no parameters."""
    if quantity.kind == "parameters" and tier:
        return True
    found = fits(of_one_number(sources, which), [quantity])
    if quantity.kind == "parameters":
        return bool(found)
    return bool(found) and found[0].deviations <= tier + (quantity.kind == "FLOPs" and tier == 0)


def _findings(
    row: Row, sources: Sequence[Source], looked: Sequence[Run], search: Search
) -> Iterator[Finding]:
    found = [_finding(row, which, sources) for which in range(len(row.quantities))]
    if apart := _apart(row, sources, found):
        found = [replace(f, verdict="contradicts its row", why=apart) if f.fit else f for f in found]
    else:
        found = _paired(sources, found)
    for finding in found:
        yield against_plain(finding, looked, search) if finding.quantity.kind == "FLOPs" else finding


def _of(sources: Sequence[Source], which: int) -> list[Source]:
    """The sources of one of the numbers, with all their values."""
    return [source._replace(candidates=(source.candidates[which],)) for source in sources]


def _finding(row: Row, which: int, sources: Sequence[Source]) -> Finding:
    """The plainest fit of a configuration that gives another of the row's numbers, or else of any.

    That there were several to take from is part of its chance.
    """
    quantity, alone = row.quantities[which], of_one_number(sources, which)
    narrowed = [
        _of([source for source in sources if source.run in giving], which)
        for other, of in enumerate(row.quantities)
        if of.kind in SAYS_MORE[quantity.kind] and (giving := _giving(of, _of(sources, other)))
    ]
    fit: Match | None = None
    chance = inf
    for some in (*narrowed, alone):  # one configuration for the row, where it gives the number
        found = sorted(fits(some, [quantity]), key=partial(_likeliest_first, row.counts.lower()))
        if not found:
            continue
        by_chance = min(1.0, (1 + len(narrowed)) * chance_of_any(some, quantity, found[0].deviations))
        if chance > BY_CHANCE and by_chance < chance:
            fit, chance = found[0], by_chance
    plainer = near_misses(alone, [quantity], fewer_than=fit.deviations if fit else inf)
    near = next((miss for miss in plainer if miss.deviations <= 1 and miss.distance <= NEAR_BY), None)
    tried = sum(source.size for source in alone)
    nearest = near or (plainer[-1] if plainer else None)
    if fit is None:
        verdict: Verdict = "near" if near else "not reproduced"
        why = NOT_DERIVED if quantity.is_memory and near is None else ""
        return Finding(row, quantity, verdict, nearest=nearest, tried=tried, why=why)
    is_far_fetched = fit.deviations >= FAR_FETCHED and not fit.candidates[0].has_name
    if near and chance > (SURE if is_far_fetched else BY_CHANCE):
        return Finding(row, quantity, "near", nearest=near, tried=tried)
    verdict = "reproduced" if chance <= BY_CHANCE else "could be anything"
    return Finding(row, quantity, verdict, fit, chance, nearest, tried=tried)


def _likeliest_first(counts: str, fit: Match) -> tuple[int, bool, bool, bool, bool]:
    """The plainest first; of those the counter that the row names, and plain counting that was cut off.

    Then the rules that counters have, and of these that of no counter last.
    """
    candidate, printing = fit.candidates[0], fit.printing
    is_said = any(name in counts and name in candidate.words for name in COUNTERS)
    is_plain = printing is not None and printing.deviations == fit.deviations
    return fit.deviations, not is_said, not is_plain, not candidate.has_name, candidate.is_leaf_rule


def _giving(quantity: Quantity, sources: Sequence[Source]) -> set[str]:
    """The runs that give a number as plainly as any does, where that is not by chance."""
    found = fits(sources, [quantity])
    if not found or chance_of_any(sources, quantity, found[0].deviations) > SURE:
        return set()
    return {match.run for match in found if match.deviations == found[0].deviations}


def _apart(row: Row, sources: Sequence[Source], found: Sequence[Finding]) -> str:
    """Why FLOPs and parameters contradict each other: both are reproduced, and never by the same run."""
    kinds: tuple[Kind, Kind] = ("FLOPs", "parameters")
    by_kind = {f.quantity.kind: (which, f) for which, f in enumerate(found) if f.verdict == "reproduced"}
    if not all(kind in by_kind for kind in kinds):
        return ""
    giving: list[set[str]] = []
    for which, finding in (by_kind[kind] for kind in kinds):
        giving.append({match.run for match in fits(_of(sources, which), [finding.quantity])})
    if giving[0] & giving[1]:
        return ""
    first, second = (by_kind[kind][1].fit for kind in kinds)
    return f"the FLOPs are of {first.run}, the parameters of {second.run}" if first and second else ""


def _paired(sources: Sequence[Source], found: Sequence[Finding]) -> list[Finding]:
    """The findings, of FLOPs and parameters with the chance of both where one run gives them."""
    kinds: tuple[Kind, Kind] = ("FLOPs", "parameters")
    both = [(which, f, f.fit) for which, f in enumerate(found) if f.quantity.kind in kinds and f.fit]
    if len(both) < len(kinds) or both[0][2].run != both[1][2].run:
        return list(found)
    (first, flops, fit), (second, parameters, other) = both
    of_both = [s._replace(candidates=(s.candidates[first], s.candidates[second])) for s in sources]
    quantities, limits = (flops.quantity, parameters.quantity), (fit.deviations, other.deviations)
    chance = chance_of_pair(of_both, quantities, limits)
    return [replace(f, of_pair=chance) if f.quantity.kind in kinds else f for f in found]


def against_plain(finding: Finding, looked: Sequence[Run], search: Search) -> Finding:
    """Hold what a fit counts against the MACs of what the row names, at its own size."""
    fit = finding.fit
    run = next((run for run in looked if fit is not None and run.words == fit.run), looked[0])
    named = next((o for o in (run, *looked) if not o.deviations and o.module == run.module), looked[0])
    macs = _macs(search, named)
    if not macs:
        return finding
    size = finding.quantity.size_near(macs)
    plain = macs / size
    if fit is None:
        return replace(finding, plain=plain)
    factor = fit.candidates[0].value / plain
    misleads = min(abs(log(factor)), abs(log(factor / 2))) > PLAIN_BY
    verdict: Verdict = "misleading" if misleads and finding.verdict == "reproduced" else finding.verdict
    return replace(finding, plain=plain, factor=factor, verdict=verdict)
