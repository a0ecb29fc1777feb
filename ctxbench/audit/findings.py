"""What a row's printed numbers turn out to be: a verdict for each, and how likely it is by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, log
from typing import Literal

from ctxbench.audit.candidates import Source
from ctxbench.audit.counting.tools import COUNTERS, VIEWS
from ctxbench.audit.matching import (
    Match,
    chance_of_any,
    chance_of_near,
    chance_of_pair,
    fits,
    near_misses,
)
from ctxbench.audit.quantity import Kind, Quantity
from ctxbench.audit.rows import UNSTATED, Row
from ctxbench.audit.runs import Run
from ctxbench.audit.search import Search, of_one_number
from ctxbench.audit.unknowns import channels_of
from ctxbench.errors import UserError

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
"""Deviations from which on a plain near miss is likelier than a fit that is not sure, and of no counter.

So it is where the fit is not of what the row says.
"""
NEAR_BY = log(1.05)
NEAR_BY_CHANCE = 0.25
"""Up to this chance that some count as plain comes as near, a near miss says something."""
PLAIN_BY = log(1.1)
"""ln of how far a number may be from the MACs, or twice the MACs, that does not mislead."""
SAYS_MORE: Mapping[Kind, tuple[Kind, ...]] = {
    "FLOPs": ("parameters", "memory"),
    "memory": ("FLOPs", "parameters"),
    "parameters": ("FLOPs",),
}
"""What other number of a row says of which configuration a number is."""
PAIR: tuple[Kind, Kind] = ("FLOPs", "parameters")
"""What one configuration gives both of."""
NOT_DERIVED = "measured GPU memory cannot be derived from the block"
OF_OTHERS = "nothing that was run has the parameters of its row"
NO_FIT = -1
"""Deviations that none has."""


@dataclass(frozen=True)
class Finding:
    """What one printed number is. ``chance`` is that some candidate as plain as the fit fits a random number.

    ``plain`` are the MACs of every call of what the row names, at its size, in the printed unit, and
    ``factor`` how many times as large what the fit counts is. ``nearest`` is the plainest near miss.
    ``is_near`` says that it is so near as is hardly by chance. ``of_pair`` is the chance that some
    configuration, as plain, gives random FLOPs and parameters together, where the row's are of one.
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
    is_near: bool = False

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
        row = row if row.channels else row.of(channels_of(row.subject))
        for tier, more in enumerate(search.tiers(row)):
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
    most = _trusted(found)
    found = [
        _finding(row, which, sources, most[f.quantity.kind]) if f.quantity.kind in most else f
        for which, f in enumerate(found)
    ]
    for finding in _paired(sources, _apart(sources, found)):
        yield against_plain(finding, looked, search) if finding.quantity.kind == "FLOPs" else finding


def _of(sources: Sequence[Source], which: int) -> list[Source]:
    """The sources of one of the numbers, with all their values."""
    return [source._replace(candidates=(source.candidates[which],)) for source in sources]


def _trusted(found: Sequence[Finding]) -> Mapping[Kind, int]:
    """The deviations that a fit may have, by kind, where nothing that was run has the row's parameters.

    It is then of something else: plain counting may still come out, and whatever else does is by chance.
    """
    parameters = next((f for f in found if f.quantity.kind == "parameters"), None)
    if parameters is None or parameters.fit:
        return {}
    return {"FLOPs": 1} if parameters.verdict == "near" else {"FLOPs": 1, "memory": NO_FIT}


def _finding(row: Row, which: int, sources: Sequence[Source], most: float = inf) -> Finding:
    """The plainest fit of a configuration that gives another of the row's numbers, or else of any.

    That there were several to take from is part of its chance. It has ``most`` deviations at most.
    """
    quantity, alone = row.quantities[which], of_one_number(sources, which)
    plainest = min(fits(alone, [quantity]), key=lambda fit: fit.deviations, default=None)
    narrowed = [
        _of([source for source in sources if source.run in giving], which)
        for other, of in enumerate(row.quantities)
        if of.kind in SAYS_MORE[quantity.kind] and (giving := _giving(of, _of(sources, other), plainest))
    ]
    fit: Match | None = None
    chance = inf
    for some in (*narrowed, alone):  # one configuration for the row, where it gives the number
        trusted = [fit for fit in fits(some, [quantity]) if fit.deviations <= most]
        found = sorted(trusted, key=partial(_likeliest_first, row.counts.lower()))
        if not found:
            continue
        by_chance = min(1.0, (1 + len(narrowed)) * chance_of_any(some, quantity, found[0].deviations))
        if chance > BY_CHANCE and by_chance < chance:
            fit, chance = found[0], by_chance
    plainer = near_misses(alone, [quantity], fewer_than=fit.deviations if fit else inf)
    close = next((miss for miss in plainer if miss.deviations <= 1 and miss.distance <= NEAR_BY), None)
    is_near = close is not None and chance_of_near(alone, quantity, close) <= NEAR_BY_CHANCE
    tried = sum(source.size for source in alone)
    nearest = close or (plainer[-1] if plainer else None)
    if fit is None:
        verdict: Verdict = "near" if is_near else "not reproduced"
        whys = (OF_OTHERS if most < inf else "", NOT_DERIVED if quantity.is_memory and not is_near else "")
        why = "; ".join(filter(None, whys))
        return Finding(row, quantity, verdict, nearest=nearest, tried=tried, why=why)
    # runs of what the row says: their sources deviate by the view alone
    as_said = {source.run for source in sources if source.deviations == VIEWS[source.view]}
    is_unnamed = fit.deviations >= FAR_FETCHED and not fit.candidates[0].has_name
    is_far_fetched = is_unnamed or fit.run not in as_said
    if is_near and chance > (SURE if is_far_fetched else BY_CHANCE):
        return Finding(row, quantity, "near", nearest=nearest, tried=tried)
    verdict = "reproduced" if chance <= BY_CHANCE else "could be anything"
    return Finding(row, quantity, verdict, fit, chance, nearest, tried=tried, is_near=is_near)


def _likeliest_first(counts: str, fit: Match) -> tuple[int, bool, bool, bool, bool]:
    """The plainest first; of those the counter that the row names, and plain counting that was cut off.

    Then the rules that counters have, and of these that of no counter last.
    """
    candidate, printing = fit.candidates[0], fit.printing
    is_said = any(name in counts and name in candidate.words for name in COUNTERS)
    is_plain = printing is not None and printing.deviations == fit.deviations
    return fit.deviations, not is_said, not is_plain, not candidate.has_name, candidate.is_leaf_rule


def _giving(quantity: Quantity, sources: Sequence[Source], other: Match | None) -> set[str]:
    """The runs that give a number as plainly as any does, where that is not by chance.

    None where the row's ``other`` number is plainer by itself, and of another run.
    """
    found = fits(sources, [quantity])
    if not found or chance_of_any(sources, quantity, found[0].deviations) > SURE:
        return set()
    giving = {match.run for match in found if match.deviations == found[0].deviations}
    if other and other.deviations < found[0].deviations and other.run not in giving:
        return set()
    return giving


def _apart(sources: Sequence[Source], found: Sequence[Finding]) -> list[Finding]:
    """The findings; FLOPs and parameters that are both reproduced, and never by the same run, contradict.

    Where one of the two is not sure it is that one that chance may have made.
    """
    of_kind = {f.quantity.kind: which for which, f in enumerate(found) if f.verdict == "reproduced"}
    pair = [of_kind[kind] for kind in PAIR if kind in of_kind]
    giving = [{match.run for match in fits(_of(sources, which), [found[which].quantity])} for which in pair]
    if len(pair) < len(PAIR) or giving[0] & giving[1]:
        return list(found)
    flops, parameters = (fit.run for which in pair if (fit := found[which].fit))
    why = f"the FLOPs are of {flops}, the parameters of {parameters}"
    less_sure = max(pair, key=lambda which: found[which].chance or 0.0)
    verdicts: dict[int, Verdict] = dict.fromkeys(pair, "contradicts its row")
    if (found[less_sure].chance or 0.0) > SURE:
        verdicts = {less_sure: "could be anything"}
    return [
        replace(f, verdict=verdicts[which], why=why) if which in verdicts else f
        for which, f in enumerate(found)
    ]


def _paired(sources: Sequence[Source], found: Sequence[Finding]) -> list[Finding]:
    """The findings, of FLOPs and parameters with the chance of both where one run gives them."""
    both = [(which, f, f.fit) for which, f in enumerate(found) if f.quantity.kind in PAIR and f.fit]
    if len(both) < len(PAIR) or both[0][2].run != both[1][2].run:
        return list(found)
    (first, flops, fit), (second, parameters, other) = both
    of_both = [s._replace(candidates=(s.candidates[first], s.candidates[second])) for s in sources]
    quantities, limits = (flops.quantity, parameters.quantity), (fit.deviations, other.deviations)
    chance = chance_of_pair(of_both, quantities, limits)
    return [replace(f, of_pair=chance) if f.quantity.kind in PAIR else f for f in found]


def against_plain(finding: Finding, looked: Sequence[Run], search: Search) -> Finding:
    """Hold what a fit counts against the MACs of what the row names, at its own size."""
    fit = finding.fit
    run = next((run for run in looked if fit is not None and run.words == fit.run), looked[0])
    named = next((o for o in (run, *looked) if not o.deviations and o.module == run.module), looked[0])
    macs = search.macs(named)
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
