"""The one rule that explains most rows of a table, which rows break it, and what these have instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import comb

from ctxbench.audit.candidates import Candidate
from ctxbench.audit.counting.aspects import FLOPS, Seen
from ctxbench.audit.counting.conventions import value_of
from ctxbench.audit.counting.tools import EVERY_CALL, LAST_CALL, TOOLS, VIEWS
from ctxbench.audit.findings import BY_CHANCE, SURE, Finding, Looked, against_plain
from ctxbench.audit.matching import MAY_BE_CHANCE, Match
from ctxbench.audit.quantity import PRINTINGS, Printing, Quantity, Unit
from ctxbench.audit.runs import Run
from ctxbench.audit.search import Search
from ctxbench.table.column import significant

LEAST = 2
"""Rows that a rule explains: of one row its own verdict says more."""
MOST_RULES = 2
"""Of a table: that of most rows, and that of those which break it."""


@dataclass(frozen=True)
class Rule:
    """One way to count every row's FLOPs: a view, the treatments by aspect, which unit, and the printing.

    ``size`` (H, W) is of the input, where that is not as the rows say.
    """

    view: str
    treatments: tuple[tuple[str, str], ...]
    unlikely_unit: int = 0
    printing: Printing = PRINTINGS[0]
    name: str = ""
    times: int = 1
    size: tuple[int, int] | None = None

    @property
    def deviations(self) -> int:
        """How far from plain counting it is; what has a name is one deviation."""
        own = sum(
            treatment.deviations
            for aspect, of in FLOPS.items()
            for treatment in of
            if treatment.words == dict(self.treatments).get(aspect, "")
        )
        counted = own + VIEWS[self.view]
        if self.name:
            counted = min(counted, TOOLS[self.name].deviations)
        beside = self.unlikely_unit + self.printing.deviations + self.times - 1
        return counted + beside + (2 if self.size else 0)

    @property
    def rank(self) -> tuple[int, int, int, bool]:
        """Lower is plainer: few deviations, few things counted, every operation seen, a name."""
        return self.deviations, len(self.treatments), VIEWS[self.view], not self.name

    @property
    def counted(self) -> str:
        """What it counts, in words."""
        words = " + ".join(words for _, words in self.treatments)
        words += f", as {self.name} counts" if self.name else ""
        return words if self.times == 1 else f"{self.times} times: {words}"

    @property
    def words(self) -> str:
        """It in words."""
        parts = [self.counted]
        parts += [self.view] if self.view in (EVERY_CALL, LAST_CALL) else []
        parts += [f"for an input of {self.size[0]}×{self.size[1]}"] if self.size else []
        parts += ["in units of 2³⁰ or 2²⁰"] if self.unlikely_unit else []
        parts += [self.printing.words] if self.printing.deviations else []
        return ", ".join(parts)

    def value(self, views: Mapping[str, Seen], quantity: Quantity) -> float | None:
        """What it makes of a run, in the printed unit; None where it has no such number."""
        counted = self._in_unit(views, quantity)
        return None if counted is None else counted[0]

    def gives(self, views: Mapping[str, Seen], quantity: Quantity) -> bool:
        """Whether it gives the printed digits of a run."""
        value = self.value(views, quantity)
        return value is not None and self.printing.gives(value, quantity.digits)

    def match(self, run: Run, views: Mapping[str, Seen], quantity: Quantity) -> Match | None:
        """It as the fit of a run whose digits it gives; None where it does not."""
        counted = self._in_unit(views, quantity)
        if counted is None or not self.printing.gives(counted[0], quantity.digits):
            return None
        value, unit = counted
        words = f"{self.counted} ({unit.words})"
        candidate = Candidate(value, words, self.deviations, has_name=bool(self.name))
        distance = quantity.distance(value)
        return Match((candidate,), run.words, self._seen(views), self.deviations, distance, self.printing)

    def _seen(self, views: Mapping[str, Seen]) -> str:
        return self.view if self.view in views else EVERY_CALL  # no leaf is called twice

    def _in_unit(self, views: Mapping[str, Seen], quantity: Quantity) -> tuple[float, Unit] | None:
        number = value_of(dict(self.treatments), FLOPS, views[self._seen(views)])
        units = [unit for unit in quantity.units if unit.deviations == self.unlikely_unit]
        if not number or not units:
            return None
        number *= self.times
        unit = min(units, key=lambda unit: quantity.distance(number / unit.size))
        return number / unit.size, unit


@dataclass(frozen=True)
class TableRule:
    """A rule with the numbers of the rows that it explains, and those of its rows that it does not.

    ``chance`` is at most that some rule of those tried explains as many of the table's rows.
    """

    rule: Rule
    explained: frozenset[int]
    broken: Mapping[int, str]
    of: int
    chance: float


def table_rules(table: Sequence[Looked], search: Search) -> list[TableRule]:
    """The rule that explains most rows, and another where two rows or more that break it follow that."""
    rows = {
        number: (looked, finding)
        for number, looked in enumerate(table)
        for finding in looked.findings
        if looked.runs and finding.quantity.kind == "FLOPs"
    }
    if len(rows) < LEAST:
        return []
    rules = list(dict.fromkeys(_rules(rows.values())))
    explains = {rule: frozenset(_explained(rule, rows, search)) for rule in rules}
    found: list[TableRule] = []
    left = frozenset(rows)
    while left and len(found) < MOST_RULES:
        best = min(rules, key=lambda rule: (-len(explains[rule] & left), *rule.rank))
        if len(explains[best] & left) < LEAST:
            break
        broken = {n: _instead(best, *rows[n], search) for n in left - explains[best]} if not found else {}
        chance = _chance(best, len(explains[best] & left), {n: rows[n] for n in left}, len(rules), search)
        found.append(TableRule(best, explains[best] & left, broken, len(left), chance))
        left -= explains[best]
    return found


def by_rules(number: int, table: Sequence[Looked], rules: Sequence[TableRule], search: Search) -> Looked:
    """A row with its FLOPs as the table's rule has them, where other rows show surely that it is the rule.

    The chance is then that this one way to count gives a random number's digits. Of a row that breaks the
    rule, a fit that may be chance is taken for that.
    """
    looked = table[number]
    sure = [rule for rule in rules if len(rule.explained) > LEAST and rule.chance <= SURE]
    own = next((rule for rule in rules if number in rule.explained), None)
    if own and own in sure:
        by = partial(_by, own.rule)
    elif sure and own is None:
        by = partial(_alone, sure[0].rule)
    else:
        return looked
    findings = [
        by(looked, finding, search) if finding.quantity.kind == "FLOPs" else finding
        for finding in looked.findings
    ]
    return replace(looked, findings=tuple(findings))


def _alone(others: Rule, looked: Looked, finding: Finding, search: Search) -> Finding:
    """A finding whose neighbours surely follow a rule that it breaks: what may be chance is no other rule."""
    fit = finding.fit
    if fit is None or finding.chance is None or finding.chance < MAY_BE_CHANCE:
        return finding
    by_rule = [
        others.value(search.seen_by_view(run), finding.quantity) for run in runs_by(others, looked, search)
    ]
    if finding.verdict not in ("reproduced", "misleading") or fit.candidates[0].value in by_rule:
        return finding  # that is the rule, brought to its digits by another printing
    if finding.is_near:
        return replace(finding, verdict="near", fit=None, chance=None, factor=None)
    return replace(finding, verdict="could be anything")


def _by(rule: Rule, looked: Looked, finding: Finding, search: Search) -> Finding:
    tried = list(runs_by(rule, looked, search))
    matches = (rule.match(run, search.seen_by_view(run), finding.quantity) for run in tried)
    fit = next(filter(None, matches))
    chance = min(1.0, len(tried) * finding.quantity.share(rule.printing))
    own = finding.fit
    if chance > BY_CHANCE or finding.verdict == "contradicts its row":
        return finding
    if own and finding.verdict == "reproduced" and own.run == fit.run and own.deviations < fit.deviations:
        return finding  # its digits are few, and plainer counting of the same run gives them too
    if own and own.candidates[0].value == fit.candidates[0].value:
        if finding.verdict != "could be anything":
            return finding
        fit = own  # the same number in the row's own, plainer words
    return against_plain(replace(finding, verdict="reproduced", fit=fit, chance=chance), looked.runs, search)


def _rules(rows: Iterable[tuple[Looked, Finding]]) -> Iterator[Rule]:
    """The plain ones, those of counters by name, and those that the rows' own fits are."""
    rows = list(rows)
    of_size = Counter(_size(looked, finding) for looked, finding in rows)
    sizes = [None, *(size for size, n in of_size.items() if size and n >= LEAST)]  # each costs a pass a row
    for printing, size in product(PRINTINGS, sizes):
        for treatment, view in product(FLOPS["products"], VIEWS):
            yield Rule(view, (("products", treatment.words),), printing=printing, size=size)
        for name, tool in TOOLS.items():
            treatments = tuple(tool.treatments.items())
            for times in (1, 2) if tool.is_of_macs else (1,):
                yield Rule(tool.view, treatments, printing=printing, name=name, times=times, size=size)
    for looked, finding in rows:
        if finding.fit is None or finding.fit.printing is None:
            continue
        counted, size = finding.fit.candidates[0], _size(looked, finding)
        yield Rule(
            finding.fit.view, counted.treatments, counted.unlikely_unit, finding.fit.printing,
            times=counted.times, size=size if size in sizes else None,
        )  # fmt: skip


def _size(looked: Looked, finding: Finding) -> tuple[int, int] | None:
    """The input that a row's fit is of, where the row says another or none."""
    run = looked.of(finding)
    if run is None or run.part or (looked.row.shape and run.shape[0] != looked.row.shape[0]):
        return None
    return None if run.shape == looked.row.shape else run.shape[2:]


def _explained(rule: Rule, rows: Mapping[int, tuple[Looked, Finding]], search: Search) -> Iterator[int]:
    for number, (looked, finding) in rows.items():
        runs = runs_by(rule, looked, search)
        if any(rule.gives(search.seen_by_view(run), finding.quantity) for run in runs):
            yield number


def runs_by(rule: Rule, looked: Looked, search: Search) -> Iterator[Run]:
    """The runs of a row that a rule is held against: as the row says, or every one that it leaves open.

    A rule of another input has those of that. Of a row that does not say its input, no other rule has any.
    """
    for run in _named(looked, search):
        if looked.row.shape is None or rule.size is None:
            if rule.size == (None if looked.row.shape else run.shape[2:]):
                yield run
        elif search.can_run(other := run.at(rule.size, deviations=2)):
            yield other


def _named(looked: Looked, search: Search) -> list[Run]:
    """The runs of a row that are as it says; of those only what has its parameters, where they are sure."""
    named = [run for run in looked.runs if not run.deviations]
    for finding in looked.findings:
        run, chance = looked.of(finding), finding.chance
        if finding.quantity.kind == "parameters" and run in named and chance is not None and chance <= SURE:
            own = search.parameters(run)
            return [other for other in named if search.parameters(other) == own]
    return named


def _instead(rule: Rule, looked: Looked, finding: Finding, search: Search) -> str:
    """What a row that breaks the rule has instead of it."""
    quantity, named = finding.quantity, list(runs_by(rule, looked, search)) or list(looked.runs[:1])
    value = rule.value(search.seen_by_view(named[0]), quantity)
    by_other = replace(rule, printing=next(p for p in PRINTINGS if p != rule.printing))
    if any(by_other.gives(search.seen_by_view(run), quantity) for run in named):
        return f"the same rule, {by_other.printing.words}"
    for run in looked.runs:
        is_other = run.deviations or looked.row.shape is None  # and none that its parameters exclude
        if is_other and run not in named and rule.gives(search.seen_by_view(run), quantity):
            given = rule.value(search.seen_by_view(run), quantity)
            times = f", {significant(given / value, 2)} times as much" if given and value else ""
            return f"the same rule for another input or configuration{times}: {run.words}"
    if finding.verdict in ("reproduced", "misleading"):
        return f"another rule: {finding.convention}"
    return "no rule found" if value is None else f"off by {quantity.off(value)} from it"


def _chance(
    rule: Rule, explained: int, rows: Mapping[int, tuple[Looked, Finding]], tried: int, search: Search
) -> float:
    """At most the chance that some rule of so many explains so many rows of random numbers."""
    shares = [
        min(1.0, len(list(runs_by(rule, looked, search))) * finding.quantity.share(rule.printing))
        for looked, finding in rows.values()
    ]
    share, n = sum(shares) / len(shares), len(shares)
    tail = sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(explained, n + 1))
    return min(1.0, tried * tail)
