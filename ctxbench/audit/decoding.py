"""What a printed number may mean, as the search of :mod:`ctxbench.audit.matching` has it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Literal

from ctxbench.audit.candidates import Candidate
from ctxbench.audit.matching import Match, chance_in_words
from ctxbench.audit.quantity import ROUNDED, Quantity
from ctxbench.counters import Shape
from ctxbench.subject import registry
from ctxbench.table.terminal import LINE

if TYPE_CHECKING:
    import pandas as pd

MAX_MATCHES = 6
"""How many fits, and how many near misses, the text shows of each kind; the frame has them all."""

Printed = Literal["both", "FLOPs", "memory", "parameters"]
"""Which of the printed numbers an outcome is of: one of them, or all by one convention."""


@dataclass(frozen=True)
class Outcome:
    """What the search made of printed numbers: ``fits``, the plainest first, and ``near_misses``.

    The near misses, the nearest first, have fewer deviations than the plainest fit; the last is the plainest
    way to count there is. ``tried`` counts the conventions that differ in their numbers.
    """

    quantities: tuple[Quantity, ...]
    tried: int
    fits: tuple[Match, ...]
    near_misses: tuple[Match, ...]

    @property
    def shown_fits(self) -> list[Match]:
        """The plainest few, and the leaf rule wherever it stands."""
        return [*self.fits[:MAX_MATCHES], *(fit for fit in self.fits[MAX_MATCHES:] if fit.is_leaf_rule)]

    @property
    def shown_misses(self) -> tuple[Match, ...]:
        """The nearest few, and the plainest."""
        plainest = self.near_misses[-1:]
        return (*self.near_misses[:-1][: MAX_MATCHES - 1], *plainest)


@dataclass(frozen=True, repr=False)
class Decoding:
    """What a printed number, or a pair, may mean: ``str()`` in words, :meth:`to_frame` every match.

    ``outcomes`` holds that of both numbers by one convention first, then of each alone. ``runs`` names what
    was run, and ``not_tried`` says which runs failed, and why.
    """

    module: str
    shape: Shape
    runs: tuple[str, ...]
    outcomes: Mapping[Printed, Outcome]
    not_tried: tuple[str, ...] = ()
    bound: str = ""
    """What was found out by trial about a module that is not built in, in one line."""

    @property
    def is_reproduced(self) -> bool:
        """Whether one convention gives everything that was printed."""
        return bool(next(iter(self.outcomes.values())).fits)

    def to_frame(self) -> pd.DataFrame:
        """Every fit and near miss, a row each; values in the printed units."""
        import pandas as pd

        rows = []
        for kind, outcome in self.outcomes.items():
            for match in (*outcome.fits, *outcome.near_misses):
                row: dict[str, object] = {
                    "kind": kind,
                    "fits": match.is_fit,
                    "deviations": match.deviations,
                    "printing": match.printing.words if match.printing else None,
                    "expected_by_chance": match.by_chance,
                    "may_be_chance": match.may_be_chance if match.is_fit else None,
                    "log_distance": match.distance,
                    "is_leaf_rule": match.is_leaf_rule,
                }
                for quantity, candidate in zip(outcome.quantities, match.candidates, strict=True):
                    row |= _columns(quantity, candidate)
                rows.append({**row, "view": match.view, "run": match.run})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        printed = " and ".join(map(str, next(iter(self.outcomes.values())).quantities))
        fits = ", ".join(f"{which} {len(outcome.fits)} fits" for which, outcome in self.outcomes.items())
        return f"<Decoding {printed} of {self.module}, input {'×'.join(map(str, self.shape))}: {fits}>"

    def __str__(self) -> str:
        spec = registry.spec(self.module)
        shape = "×".join(map(str, self.shape))
        printed = " and ".join(map(str, next(iter(self.outcomes.values())).quantities))
        lines = [f"{spec.title if spec else self.module}, input {shape}: what {printed} may count"]
        lines.append(fill(f"Runs: {'; '.join(self.runs)}.", LINE, subsequent_indent="  "))
        for which in self.outcomes:
            lines += ["", *self._section(which)]
        lines += [f"{self.bound[0].upper()}{self.bound[1:]}."] if self.bound else []
        lines += [f"Not tried: {reason}" for reason in self.not_tried]
        return "\n".join(lines) + "\n"

    def _section(self, which: Printed) -> list[str]:
        outcome = self.outcomes[which]
        numbers = " and ".join(map(str, outcome.quantities))
        if len(self.outcomes) > 1:
            numbers += " by one convention" if which == "both" else " alone"
        tried = f"of {outcome.tried:,} conventions with different numbers"
        if not outcome.fits:
            misses = _near_misses(outcome)
            return [f"{numbers}: not reproduced; the nearest {tried}", *misses]
        lines = [f"{numbers}: fits {len(outcome.fits)} {tried}"]
        if which != "both" and "both" in self.outcomes and self.is_reproduced:
            return lines  # what gives both numbers says more than what gives one
        fits = [
            line
            for number, fit in enumerate(outcome.shown_fits, start=1)
            for line in _in_words(f"{number}.", fit, outcome, _fit_remarks(fit))
        ]
        if len(outcome.fits) > MAX_MATCHES:
            fits.append(f"  {len(outcome.fits)} in all: to_frame() and --csv have every one.")
        misses = _near_misses(outcome)
        if misses:
            misses.insert(0, "  Plainer, but with other digits:")
        # Where chance may have made all the fits, a plain near miss is the likelier answer: it comes first.
        return [*lines, *misses, *fits] if outcome.fits[0].may_be_chance else [*lines, *fits, *misses]


def _columns(quantity: Quantity, candidate: Candidate) -> dict[str, object]:
    name = quantity.kind.lower()
    return {
        f"{name}_{quantity.unit.lower()}".rstrip("_"): candidate.value,
        f"{name}_error": quantity.error(candidate.value),
        f"{name}_convention": candidate.words,
        f"{name}_n_equivalent": candidate.n_equivalent,
    }


def _near_misses(outcome: Outcome) -> list[str]:
    return [
        line
        for miss in outcome.shown_misses
        for line in _in_words("–", miss, outcome, [_off(miss, outcome), _count(miss.deviations)])
    ]


def _in_words(mark: str, match: Match, outcome: Outcome, remarks: list[str]) -> list[str]:
    """A match: its values with remarks, what was counted for each, what was seen, what was run."""
    values = " and ".join(
        f"{candidate.value:#.6g} {quantity.unit}"
        for quantity, candidate in zip(outcome.quantities, match.candidates, strict=True)
    )
    lines = [f"  {mark} {values} ({'; '.join(remarks)})"]
    for words in (*map(_counted, match.candidates), match.view, match.run):
        lines.append(fill(words, LINE, initial_indent="     ", subsequent_indent="       "))
    return lines


def _fit_remarks(fit: Match) -> list[str]:
    remarks = [_count(fit.deviations)]
    if fit.printing and fit.printing != ROUNDED:
        remarks.append(fit.printing.words)
    if fit.by_chance is not None:
        expected = chance_in_words(fit.by_chance)
        remarks.append(f"{expected} expected by chance{', so may be chance' if fit.may_be_chance else ''}")
    if fit.is_leaf_rule:
        remarks.append("the leaf rule")
    return remarks


def _off(miss: Match, outcome: Outcome) -> str:
    return ", ".join(q.off(c.value) for q, c in zip(outcome.quantities, miss.candidates, strict=True))


def _count(deviations: int) -> str:
    return f"{deviations} deviation" + ("" if deviations == 1 else "s")


def _counted(candidate: Candidate) -> str:
    if not candidate.n_equivalent:
        return candidate.words
    return (
        f"{candidate.words}, the plainest of {candidate.n_equivalent + 1} conventions with this very number"
    )
