"""What a comparison found, as a table: ratios with their intervals, verdicts, and what to know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ctxbench.measure import stats
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED, IDENTITY
from ctxbench.report.comparison.axis import MODULE, RUN, Axis
from ctxbench.report.comparison.difference import FAILED, Difference
from ctxbench.report.comparison.pairs import OTHER_MACHINE
from ctxbench.report.layout import names
from ctxbench.report.several import Source, in_words
from ctxbench.report.view import common, conditions, grouped
from ctxbench.subject.axes import WORDS
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, frame, lay_out, raw, significant
from ctxbench.table.grid import Grid
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd

LABEL = "tab:comparison"
"""Of the table in LaTeX."""


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Records compared along an axis with those at its ``baseline``; all ratios are over the latter.

    Of several runs, A, B and so on in the order they were given, the axis may be the runs themselves.
    """

    axis: Axis
    baseline: str
    threshold: float
    is_held_to: bool
    """Whether something slower is a failure: where runs are compared, or a threshold was given."""
    between_runs: dict[str, float]
    """Device to what two runs there differ by though nothing did; only where that is known of one of them."""
    differences: list[Difference]
    alone: dict[str, list[Record]]
    """Each value of the axis with the records there that are compared with nothing."""
    sources: Sequence[Source]
    environment: list[str]
    """A line for each fact that differs between runs, ``cpu: torch 2.12.0 in A, 2.13.0 in B``."""

    @property
    def exit_code(self) -> int:
        """1 if a case is SLOWER or FAILED where that is a failure, 3 if no pair was measured, else 0."""
        if self.is_held_to and any(each.verdict in ("SLOWER", FAILED) for each in self.differences):
            return 1
        return 0 if self._comparisons else 3

    @property
    def headline(self) -> str:
        """How many pairs got which verdict, on what."""
        verdicts = Counter(difference.verdict for difference in self.differences)
        cases = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()) or "no common case"
        alone = ", ".join(f"{len(records)} only in {word}" for word, records in self.alone.items())
        shared = " · ".join(common([each.b for each in self.differences], self._conditions))
        what = f"median latency {self._what}, threshold {100 * self.threshold:g} %: "
        parts = (cases, alone if self.axis.name == RUN else "", self._smallest_told, shared)
        return what + "; ".join(filter(None, parts))

    @property
    def _what(self) -> str:
        """What is held against what: ``of B over A``, ``by runtime over eager``."""
        if self.axis.name == MODULE:
            return f"over {self.baseline}"
        over = self._with_axis(self.baseline)
        if self.axis.name == RUN or len(self._values) == 1:
            others = self._values or [word for word in self.alone if word != self.baseline]
            return f"of {self._with_axis(in_words(others))} over {over}"
        return f"by {self._axis} over {over}"

    @property
    def _axis(self) -> str:
        return self.axis.name.replace("_", " ")

    def _with_axis(self, word: str) -> str:
        """A value of the axis, with the axis where it does not speak for itself, as a number."""
        speaks = self.axis.name in (RUN, MODULE, "device", *WORDS)
        return word if speaks else f"{self._axis} {word}"

    @cached_property
    def _values(self) -> list[str]:
        """The values of the axis that are held against the baseline."""
        return list(dict.fromkeys(map(self._value, self.differences)))

    def _value(self, difference: Difference) -> str:
        return self.axis.word(self.axis.value(difference.b))

    @property
    def _comparisons(self) -> int:
        return sum(difference.ratio is not None for difference in self.differences)

    @property
    def _conditions(self) -> partial[tuple[str, ...]]:
        """The conditions that a pair has in common."""
        return partial(conditions, free=self.axis.fields)

    @property
    def _smallest_told(self) -> str:
        """In words the smallest differences that could have been told; empty where none was compared."""
        told = sorted(100 * d.smallest_told for d in self.differences if d.smallest_told is not None)
        if not told:
            return ""
        span = dict.fromkeys(significant(pct, 2) for pct in (told[0], told[-1]))
        return f"the smallest difference that could be told is {' to '.join(span)} %"

    def grids(self) -> list[Grid]:
        """The comparison as one table."""
        records = [difference.b for difference in self.differences]
        place = {id(record): number for number, record in enumerate(records)}
        groups = [
            (label, [self.differences[number] for number in sorted(place[id(record)] for record in group)])
            for label, group in grouped(records, self._conditions)
        ]
        what = f"Latency {self._what}, threshold {100 * self.threshold:g} %"
        grid = lay_out(" · ".join([what, *common(records, self._conditions)]), self._columns(), groups)
        if any(OTHER_MACHINE in difference.reason for difference in self.differences):
            grid.preface = (
                f"Several machines: where a footnote says {OTHER_MACHINE}, ratio and verdict are of machine, "
                "software and code together."
            )
        grid.notes += [f"{source.said}." for source in self.sources if len(self.sources) > 1]
        grid.notes += self._said_of_intervals
        grid.notes += [
            f"Environments differ, so the code may not be the cause: {line}." for line in self.environment
        ]
        grid.notes += self._said_of_others
        if self._smallest_told:
            grid.notes.append(
                f"With these samples {self._smallest_told} by case: below it the interval holds 1, and the "
                "verdict is SAME or UNCLEAR. One of the other two asks for the threshold too."
            )
        if self.exit_code == 3:
            with_both = "in both runs" if len(self.sources) == 2 else f"in {self.baseline} and another run"
            where = with_both if self.axis.name == RUN else f"beside one of {self._with_axis(self.baseline)}"
            grid.findings.append(f"No case was measured {where}: nothing was compared.")
        return [grid]

    @property
    def _said_of_intervals(self) -> list[str]:
        """At which level the intervals are, and what is known of how runs differ by themselves."""
        said = []
        if self._comparisons > 1:
            said.append(
                f"The intervals of the {self._comparisons} ratios hold all together at 95 %: each is at "
                f"{significant(100 * self._level, 4)} % (Bonferroni), and so are the verdicts."
            )
        devices = dict.fromkeys(
            record.case.device for d in self.differences if d.ratio is not None for record in (d.a, d.b)
        )
        known = {device: f"{100 * share:.1f} %" for device, share in self.between_runs.items()}
        of = "runs" if self.axis.name == RUN else "processes"
        more = "" if self.axis.name == RUN else ", as it was found of two runs"
        return said + [
            f"The intervals hold the {known[device]} by which two {of} on {device} may differ though nothing "
            f"did{more} (ctxbench calibrate)."
            if device in known
            else f"The intervals lack what two {of} on {device} may differ by though nothing did, which was "
            "not known when these began: ctxbench calibrate finds it out for later ones."
            for device in devices
        ]

    @property
    def _level(self) -> float:
        """The level of each interval alone."""
        return 1 - (1 - stats.CONFIDENCE) / max(self._comparisons, 1)

    @property
    def _said_of_others(self) -> list[str]:
        """What is compared with nothing."""
        if self.axis.name == RUN:
            alone = [(word, record.case) for word, records in self.alone.items() for record in records]
            return [f"Only in {word}: {_in_words(case)}." for word, case in alone]

        def names_of(records: Sequence[Record]) -> str:
            return "; ".join(
                dict.fromkeys(self._names(records, with_form="implementation" not in self.axis.fields))
            )

        said = [
            f"At {self._axis} {word} alone, so compared with nothing: {names_of(records)}."
            for word, records in self.alone.items()
            if records
        ]
        without = [record for record in self.axis.records if not self.axis.has(record)]
        return said + ([f"Without {self._axis}: {names_of(without)}."] if without else [])

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: the conditions, both medians, their ratio, the verdict."""
        return frame(self._columns(), self.differences)

    def markdown(self) -> str:
        """The table in GitHub Markdown."""
        return "\n".join(map(grid_markdown, self.grids()))

    def latex(self) -> str:
        r"""The table in LaTeX; the preamble needs ``\usepackage{booktabs}``."""
        (grid,) = self.grids()
        return grid_latex(grid, grid.title, LABEL)

    def _names(self, records: Sequence[Record], *, with_form: bool = False) -> list[str]:
        """What rows are called, without what the axis says."""
        option = self.axis.name if self.axis.is_option else None
        bare = [
            replace(
                record,
                origin=None if self.axis.name == RUN else record.origin,
                case=replace(
                    record.case, options={k: v for k, v in record.case.options.items() if k != option}
                ),
            )
            for record in records
        ]
        return names(bare, with_form=with_form)

    def _columns(self) -> list[Column[Difference]]:
        records = [difference.b for difference in self.differences]
        named = dict(zip(map(id, records), self._names(records), strict=True))
        one = self._values[0] if len(self._values) == 1 else ""
        is_said = one or self.axis.name in (MODULE, "form")
        form = replace(_of_case("implementation"), in_grid=not (one and self.axis.name == "form"), rank=0)
        ratio = f"{one} / {self.baseline}" if self.axis.name == RUN and one else "ratio"
        over, here = self._with_axis(self.baseline), self._with_axis(one) if one else "here"
        return [
            Column(
                "title", "module", lambda d: named[id(d.b)], kind="text", in_frame=False
            ),
            *map(_of_case, ("case_id", "module")),
            form,
            *(_of_case(each.name) for each in IDENTITY if each.name not in ("module", "implementation")),
            raw("by", lambda d: self.axis.name, "text"),
            raw("baseline", lambda d: self.baseline, "text"),
            Column("value", self._axis, self._value, kind="text", in_grid=not is_said),
            raw("baseline_run", lambda d: _folder(d.a), "text"),
            raw("run", lambda d: _folder(d.b), "text"),
            Column("a_median_ms", "median", lambda d: d.a.latency.median_ms, over, "ms", rank=2),
            Column("b_median_ms", "median", lambda d: d.b.latency.median_ms, here, "ms", rank=1),
            Column("ratio", ratio, lambda d: d.ratio, unit="×", format="{:.3f}".format),
            Column("interval", ratio, _interval, "95 % interval", "×", kind="text", in_frame=False),
            raw("ratio_ci_lo", lambda d: d.lo),
            raw("ratio_ci_hi", lambda d: d.hi),
            raw("ratio_ci_level_pct", lambda d: None if d.ratio is None else 100 * self._level),
            Column(
                "smallest_told_pct", "told from", _smallest_told_pct, unit="%", digits=2, rank=3,
                about="The smallest difference whose interval would not have held 1.",
            ),
            Column(
                "verdict", "verdict", lambda d: d.verdict, kind="text", note=lambda d: d.reason,
                emphasis=lambda d: self.is_held_to and d.verdict in ("SLOWER", FAILED),
            ),
            raw("reason", lambda d: d.reason, "text"),
        ]  # fmt: skip


def _of_case(name: str) -> Column[Difference]:
    """A condition of the second record; the table says it in its title."""
    return replace(FIXED[name].of(lambda difference: difference.b), in_grid=False)


def _folder(record: Record) -> str | None:
    return record.origin.folder if record.origin else None


def _interval(difference: Difference) -> str | None:
    low, high = difference.lo, difference.hi
    return None if low is None or high is None else f"{low:.3f}–{high:.3f}"


def _smallest_told_pct(difference: Difference) -> float | None:
    return None if difference.smallest_told is None else 100 * difference.smallest_told


def _in_words(case: Case) -> str:
    config = f" ({case.config})" if case.config else ""
    return f"{case.module}{config}, {case.implementation}, {', '.join(filter(None, conditions(case)))}"
