"""An audit as a result: every printed number with its verdict, and the rule that the table follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctxbench.audit.findings import VERDICTS, Finding, Looked, Verdict
from ctxbench.audit.matching import chance_in_words
from ctxbench.audit.rule import TableRule
from ctxbench.audit.unknowns import UNKNOWN
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.table.grid import Grid
from ctxbench.table.html import grid_html
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.page import page
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd

NO_PROOF = (
    "A convention that gives the digits is no proof that it was used. Chance: that some convention as plain "
    "as this one gives the digits of a random number. × MACs: what is counted against the MACs of every call "
    "of what the row names."
)


@dataclass(frozen=True)
class Line:
    """A finding in the table: what it has beside the row's own, and what one rule would print instead."""

    finding: Finding
    uniform: str = ""
    breaks: str = ""


@dataclass(frozen=True, repr=False)
class Audit(Result):
    """What a table's printed numbers turned out to be. ``str()`` is a table, a frame has a row a number.

    ``rules`` are what most rows follow, and what the others do; ``problems`` are lines for rows that could
    not be read. ``unseen`` counts rows that were not looked at before it was interrupted.
    """

    name: str
    looked: tuple[Looked, ...]
    lines: tuple[Line, ...]
    rules: tuple[TableRule, ...] = ()
    problems: tuple[str, ...] = ()
    unseen: int = 0

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How many numbers have each verdict that there is."""
        counted = Counter(line.finding.verdict for line in self.lines)
        return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}

    @property
    def headline(self) -> str:
        """The table, and how many of each verdict."""
        counted = ", ".join(f"{number} {verdict}" for verdict, number in self.verdicts.items())
        return f"{self.name}: {len(self.lines)} printed numbers, {counted or 'none read'}"

    def grids(self) -> list[Grid]:
        """The numbers with their verdicts."""
        columns = [c for c in COLUMNS if c.name not in ("note", "one_rule") or any(map(c.value, self.lines))]
        grid = lay_out(f"What {self.name} counts", columns, [("", self.lines)])
        grid.notes += [NO_PROOF, *dict.fromkeys(self._meanings()), *self.problems]
        grid.findings += self.sentences()
        return [grid]

    def sentences(self) -> list[str]:
        """What the table as a whole is, in sentences."""
        said = [f"{self.headline}."]
        for rule, which in zip(self.rules, ("Most rows", "Others of its rows"), strict=False):
            explained = len(rule.explained)
            if rule is self.rules[0] and 2 * explained < rule.of:
                which = "The most rows that one rule gives"
            said.append(
                f"{which}: {explained} of {rule.of} FLOPs are given by {rule.rule.words} "
                f"(by chance {chance_in_words(rule.chance)})."
            )
        if len(self.rules) > 1:
            said.append("Two rules in one table.")
        if self.rules:
            said += [
                f"{self.looked[number].row.label} breaks it: {why}."
                for number, why in sorted(self.rules[0].broken.items())
            ]
        if self.unseen:
            said.append(f"Interrupted: {self.unseen} rows were not looked at.")
        return said

    def _meanings(self) -> list[str]:
        return [f"{verdict}: {VERDICTS[verdict]}." for verdict in self.verdicts]

    def to_frame(self) -> pd.DataFrame:
        """One row per printed number, at full precision."""
        return frame([*COLUMNS, *MORE], self.lines)

    def csv(self) -> str:
        """The frame as CSV."""
        return str(self.to_frame().to_csv(index=False))

    def markdown(self) -> str:
        """The table for GitHub."""
        return "\n".join(map(grid_markdown, self.grids()))

    def latex(self) -> str:
        r"""The table as LaTeX; the preamble needs ``\usepackage{booktabs}``."""
        return "\n".join(grid_latex(grid, self.headline, "tab:audit") for grid in self.grids())

    def html(self) -> str:
        """The table as a page in one file."""
        return page(
            "ctxbench.audit",
            "audit.html",
            title=f"Audit of {self.name}",
            source="`ctxbench audit`",
            grids=self.grids(),
            table=grid_html,
            verdict_of=lambda text: text if text in VERDICTS else "",
        )

    def fails(self, verdicts: Container[Verdict]) -> list[Finding]:
        """The findings of these verdicts, in the rows' order."""
        return [line.finding for line in self.lines if line.finding.verdict in verdicts]


def _off(line: Line) -> str | None:
    nearest = line.finding.nearest
    if nearest is None:
        return None
    quantity, candidate = line.finding.quantity, nearest.candidates[0]
    return f"{quantity.printed(candidate.value)} ({quantity.off(candidate.value)})"


def _counted(line: Line) -> str | None:
    finding = line.finding
    if finding.fit is None:
        nearest = finding.nearest.candidates[0] if finding.nearest else None
        plain = f"{finding.quantity.off(nearest.value)}: {nearest.words}" if nearest else ""
        return "; ".join(filter(None, (finding.why, plain))) or None
    printing = finding.fit.printing
    cut = f", {printing.words}" if printing and printing.deviations else ""
    return f"{finding.convention}{cut}"


def _label(line: Line) -> str:
    row = line.finding.row
    return row.label if row.is_verified else f"{row.label} (unverified)"


def _note(line: Line) -> str | None:
    finding, pair = line.finding, ""
    if finding.of_pair is not None and UNKNOWN.search(finding.row.subject):
        pair = f"FLOPs and parameters by one configuration (by chance {chance_in_words(finding.of_pair)})"
    return "; ".join(filter(None, (finding.why if finding.fit else "", pair, line.breaks))) or None


COLUMNS: tuple[Column[Line], ...] = (
    Column("row", "row", _label, kind="text", about="The row's label."),
    Column(
        "printed",
        "printed",
        lambda line: str(line.finding.quantity),
        kind="text",
        about="The number as printed.",
    ),
    Column("kind", "of", lambda line: line.finding.quantity.kind, kind="text", about="What is printed."),
    Column("verdict", "verdict", lambda line: line.finding.verdict, kind="text", about="What it turned out."),
    Column("counted", "counted", _counted, kind="text", about="The plainest convention that gives it."),
    Column(
        "configuration",
        "of",
        lambda line: line.finding.configuration or None,
        part="configuration",
        kind="text",
        rank=1,
        about="What was run, and what of it the counter sees.",
    ),
    Column(
        "chance",
        "chance",
        lambda line: line.finding.chance,
        format=chance_in_words,
        about="That some convention as plain gives a random number's digits.",
    ),
    Column(
        "times_macs",
        "× MACs",
        lambda line: line.finding.factor,
        format=lambda factor: f"{factor:.2f}",
        about="What is counted against the MACs of every call of what the row names.",
    ),
    Column("nearest", "plainer count", _off, kind="text", rank=2, about="The plainest with other digits."),
    Column(
        "one_rule",
        "by one rule",
        lambda line: line.uniform or None,
        kind="text",
        rank=1,
        about="What the table's rule would print of what the row names.",
    ),
    Column(
        "note",
        "remark",
        _note,
        kind="text",
        rank=2,
        about="What its numbers say together, and how it breaks the table's rule.",
    ),
)
MORE: tuple[Column[Line], ...] = (
    raw("subject", lambda line: line.finding.row.subject, "text"),
    raw("shape", lambda line: "x".join(map(str, line.finding.row.shape or ())) or None, "text"),
    raw("paper_counts", lambda line: line.finding.row.counts or None, "text"),
    raw("source", lambda line: line.finding.row.source or None, "text"),
    raw("verified", lambda line: line.finding.row.is_verified, "bool"),
    raw("deviations", lambda line: line.finding.fit.deviations if line.finding.fit else None, "int"),
    raw("tried", lambda line: line.finding.tried, "int"),
    raw("plain_macs", lambda line: line.finding.plain),
    raw("chance_of_pair", lambda line: line.finding.of_pair),
)
