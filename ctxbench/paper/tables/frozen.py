"""What Tables 5, 7 and 8 of the paper are about, by frozen features: a sheet of its own.

No printed number stands on it: heads on features of a network that is not trained reach other numbers than
the paper's networks, which were trained as a whole, and only differences within a study can be compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ctxbench.errors import UserError
from ctxbench.measure.folder import read_run
from ctxbench.paper import printed
from ctxbench.paper.comparison import SUBJECT
from ctxbench.paper.sheet import Sheet, unmeasured
from ctxbench.paper.tables.table7 import RANK
from ctxbench.study.accuracy.rows import Row
from ctxbench.study.accuracy.sheet import FRAME, STAR, score_columns
from ctxbench.study.cells import COST
from ctxbench.study.context import NO_CONTEXT
from ctxbench.study.frozen.grid import begun, read
from ctxbench.study.frozen.spec import GENERATED, StudyPlan
from ctxbench.study.significance import LEVEL
from ctxbench.study.whole.spec import trains
from ctxbench.subject.case import Case
from ctxbench.subject.expression import parse_call, split_call
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.typed import literal

NAME = "frozen"
TITLE = "By frozen features: what Tables 5, 7 and 8 of the paper are about"
COMMAND = (
    "ctxbench study reconet 'reconet(rank=16)' 'reconet(rank=128)' --dataset sift_flow --root SIFT_FLOW "
    "--weights resnet50.pth --out STUDY; ctxbench paper frozen --run STUDY"
)


class Line(NamedTuple):
    """A row of a study, in the group of the table that it is about."""

    group: str
    row: Row


COLUMNS: list[Column[Line]] = [column.of(lambda line: line.row) for column in score_columns()]
RAW: list[Column[Line]] = [
    raw("about", lambda line: line.group, "text"),
    *(column.of(lambda line: line.row) for column in FRAME),
]


def frozen(folders: Sequence[Path], *, source: str) -> Sheet:
    """Show the rows of studies on frozen features of real images that are about the paper's tables.

    ``source`` is the sheet's origin. Raises UserError where a folder holds no such study.
    """
    lines, plans = list[Line](), list[StudyPlan]()
    for folder in folders:
        if trains(folder):
            raise UserError(f"{folder} is a study of whole networks, not of frozen features")
        plan, _ = begun(folder)
        if (studied := read(folder, read_run(folder / COST))) is None:
            raise UserError(f"{folder} holds a study without features: go on with it first")
        if found := _lines(plan, studied.rows):
            lines += found
            plans.append(plan)
    if not lines:
        why = "no study of TGM+TRM on frozen features of real images was given"
        return unmeasured(NAME, TITLE, why, COMMAND, source=source)
    groups = {line.group: [other for other in lines if other.group == line.group] for line in lines}
    table = lay_out(TITLE, COLUMNS, list(groups.items()))
    table.notes += [
        "No number here is the paper's, and none can stand beside one: the paper trained whole networks.",
        *dict.fromkeys(note for plan in plans for note in plan.notes),
        f"Mean ± sample standard deviation over seeds. {plans[0].interval} {STAR}: p < {LEVEL:g} after "
        "Holm's correction for all differences of its study.",
        "Of Table 7, TGM+TRM alone is a block; its other parts are of whole networks.",
    ]
    return Sheet(NAME, TITLE, table, frame(RAW, lines), source)


def _lines(plan: StudyPlan, rows: Sequence[Row]) -> list[Line]:
    """The rows of a study by the table that they are about; none without TGM+TRM, or of generated images."""
    if plan.source.dataset == GENERATED:
        return []
    by_rank = {_rank(case): row for case, row in zip(plan.subjects, rows, strict=True)}
    none = by_rank.pop(0)
    ranks = {rank: row for rank, row in sorted(by_rank.items()) if rank > 0}
    about = {f"Table 7, components, on {plan.source.about}": [ranks[RANK]] if RANK in ranks else []}
    if plan.source.dataset == "sift_flow":
        about = {name.replace("7, components", "5, SIFT-Flow"): rows for name, rows in about.items()} | about
    printed_ranks = {int(line["rank"]) for line in printed.rows(8)}
    of_table8 = [row for rank, row in ranks.items() if rank in printed_ranks]
    about[f"Table 8, rank, on {plan.source.about}"] = of_table8 if len(of_table8) > 1 else []
    return [Line(group, row) for group, found in about.items() if found for row in (none, *found)]


def _rank(case: Case) -> int:
    """The rank of TGM+TRM; 0 of no context module, -1 of another."""
    if case.module == NO_CONTEXT:
        return 0
    target, call = split_call(case.module)
    if target != SUBJECT:
        return -1
    given = parse_call(call).keywords.get("rank") if call else None
    return int(literal(given) if given else case.options.get("rank", RANK))
