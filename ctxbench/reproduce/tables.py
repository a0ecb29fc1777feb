"""Every table and figure of the paper by name, and all of them with their index page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ctxbench.errors import UserError
from ctxbench.measure import session
from ctxbench.paper.compare import SUBJECT
from ctxbench.paper.table10 import PAPER_SHAPE
from ctxbench.reproduce.complexity import RANK, table10
from ctxbench.reproduce.components import table7
from ctxbench.reproduce.fig5 import fig5
from ctxbench.reproduce.growth import growth
from ctxbench.reproduce.ledger import ledger, ledger_sheet
from ctxbench.reproduce.own_runs import OwnRun, of_table, read_runs
from ctxbench.reproduce.page import write_page
from ctxbench.reproduce.rank import table8
from ctxbench.reproduce.results import results_table
from ctxbench.reproduce.runner import Show
from ctxbench.reproduce.sheet import Sheet, origin, unmeasured, write_sheet
from ctxbench.reproduce.study import Study
from ctxbench.reproduce.table9 import table9
from ctxbench.segment.run import CONFIG, TrainedRun

ABLATION = "ablation"
"""Folder of the trainings of Tables 7 and 8, within the output's."""


@dataclass(frozen=True)
class Request:
    """What is asked of the tables: where to write, own runs, Table 10's shape, the ablations' study.

    With ``placing`` each run goes to the tables of its data set, else one of another data set is refused.
    ``device`` is Table 10's; ``command`` is kept as the origin. What takes long tells ``measuring`` (Table
    10), ``training`` (Tables 7 and 8) and ``say`` (one line each).
    """

    out: Path
    runs: tuple[Path, ...] = ()
    channels: int = PAPER_SHAPE[1]
    size: tuple[int, int] = PAPER_SHAPE[2:]
    rank: int = RANK
    device: str = "cpu"
    quick: bool = False
    placing: bool = False
    study: Study = field(default_factory=Study)
    command: Sequence[str] = ()
    measuring: Callable[[session.Progress], None] | None = None
    training: Show | None = None
    say: Callable[[str], None] | None = None

    @property
    def source(self) -> str:
        """The origin of what is counted or read, on the CPU."""
        return origin("cpu", self.command)


def make(name: str, request: Request) -> Sheet:
    """Make the table or figure of that name, and write its files.

    Raises UserError for a name not in :data:`TABLES`, and as the table does.
    """
    if name not in TABLES:
        raise UserError(f"no table {name!r}: one of {', '.join(TABLES)}, all")
    sheet = TABLES[name](request)
    write_sheet(sheet, request.out)
    return sheet


def make_all(request: Request) -> list[Sheet]:
    """Make everything that can be made, the ledger first, and the index page.

    What cannot is there with its reason and the command that would make it. Raises UserError where the runs
    or the device are not there, or the folder cannot be written.
    """
    read_runs(request.runs)
    origin(request.device, request.command)
    request = replace(request, placing=True)
    sheets = []
    for name in TABLES:
        if request.say is not None:
            request.say(name)
        try:
            sheets.append(make(name, request))
        except UserError as error:
            sheet = unmeasured(name, name, str(error), f"ctxbench paper {name}", source=request.source)
            write_sheet(sheet, request.out)
            sheets.append(sheet)
    claims = ledger(sheets)
    book = ledger_sheet(claims, source=request.source)
    write_sheet(book, request.out)
    write_page(request.out, sheets, claims, source=request.source)
    return [book, *sheets]


def _results(table: int, request: Request) -> Sheet:
    return results_table(table, _own(table, request), source=request.source)


def _own(table: int, request: Request) -> list[OwnRun]:
    runs = read_runs(request.runs)
    return of_table(runs, table) if request.placing else runs


def _ablation(of: Callable[..., Sheet], request: Request) -> Sheet:
    folder = request.out / ABLATION
    return of(request.study, folder, command=request.command, progress=request.training, say=request.say)


def _fig5(request: Request) -> Sheet:
    run = next((run for run in request.runs if (run / CONFIG).is_file()), None)
    if run is None and request.runs and not request.placing:
        raise UserError(f"{request.runs[0]} is no training run (no {CONFIG} in it): it has no maps to draw")
    return fig5(run or _trained(request.out), request.out, source=request.source)


def _trained(out: Path) -> Path | None:
    """A run of the ablations in ``out`` with sub-attention maps, of the figure's rank where there is one."""
    ranks: dict[Path, int] = {}
    for best in sorted((out / ABLATION).glob("runs/*/best.ckpt")):
        config = TrainedRun(best.parent).config
        if config.context in (None, SUBJECT):
            ranks[best.parent] = config.context_options.get("rank", RANK)
    return min(ranks, key=lambda run: abs(ranks[run] - RANK), default=None)


def _table9(request: Request) -> Sheet:
    return table9(_own(9, request), source=request.source)


def _table10(request: Request) -> Sheet:
    return table10(
        request.out,
        channels=request.channels,
        size=request.size,
        rank=request.rank,
        device=request.device,
        quick=request.quick,
        command=request.command,
        progress=request.measuring,
    )


TABLES: dict[str, Callable[[Request], Sheet]] = {
    **{f"table{number}": partial(_results, number) for number in range(1, 7)},
    "table7": partial(_ablation, table7),
    "table8": partial(_ablation, table8),
    "table9": _table9,
    "table10": _table10,
    "fig5": _fig5,
    "growth": lambda request: growth(source=request.source),
}
"""What makes each table and figure; ``growth`` has the orders and the rank that section 4 claims."""
