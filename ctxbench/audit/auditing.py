"""Audit a paper's table: each row by itself, then the table as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ctxbench.audit.findings import Looked, look
from ctxbench.audit.rows import Table
from ctxbench.audit.rule import TableRule, by_rules, runs_by, table_rules
from ctxbench.audit.search import Search
from ctxbench.audit.sheet import Audit, Line

Progress = Callable[[int, int, str], None]
"""Told how many rows are done, of how many, and which comes next."""


def audit(table: Table, *, search: Search | None = None, progress: Progress | None = None) -> Audit:
    """Audit a table's rows. After Ctrl-C it has those that were looked at, and says how many were not."""
    search = search or Search()
    looked: list[Looked] = []
    try:
        for number, row in enumerate(table.rows):
            if progress is not None:
                progress(number, len(table.rows), row.label)
            looked.append(look(row, search))
    except KeyboardInterrupt:
        pass
    rules = table_rules(looked, search)
    looked = [by_rules(number, looked, rules, search) for number in range(len(looked))]
    return Audit(
        name=table.name,
        looked=tuple(looked),
        lines=tuple(_lines(looked, rules, search)),
        rules=tuple(rules),
        problems=table.problems,
        unseen=len(table.rows) - len(looked),
    )


def _lines(looked: Sequence[Looked], rules: Sequence[TableRule], search: Search) -> Iterator[Line]:
    for number, of in enumerate(looked):
        for finding in of.findings:
            if not rules or finding.quantity.kind != "FLOPs" or not of.runs:
                yield Line(finding)
                continue
            named = list(runs_by(rules[0].rule, of, search)) or of.runs
            run = next((run for run in named if run == of.of(finding)), named[0])
            value = rules[0].rule.value(search.seen_by_view(run), finding.quantity)
            yield Line(
                finding,
                uniform="" if value is None else finding.quantity.printed(value),
                breaks=rules[0].broken.get(number, ""),
            )
