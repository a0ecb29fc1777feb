"""Every table and figure of the paper by name, and all of them with their index page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.measure.progress import RunProgress
from ctxbench.paper.ablation.settings import Study
from ctxbench.paper.comparison import SUBJECT
from ctxbench.paper.ledger import ledger, ledger_sheet
from ctxbench.paper.own_runs import read_runs
from ctxbench.paper.page import write_page
from ctxbench.paper.printed.table10 import PAPER_SHAPE
from ctxbench.paper.provenance import origin, put_together
from ctxbench.paper.sheet import Sheet, unmeasured, write_sheet
from ctxbench.paper.tables.fig5 import fig5, has_maps
from ctxbench.paper.tables.frozen import NAME, frozen
from ctxbench.paper.tables.growth import growth
from ctxbench.paper.tables.table1_to_6 import results_table
from ctxbench.paper.tables.table7 import component_rows, table7
from ctxbench.paper.tables.table8 import rank_rows, table8
from ctxbench.paper.tables.table9 import table9
from ctxbench.paper.tables.table10 import RANK, table10
from ctxbench.paper.tables.table10 import check as check_table10
from ctxbench.study.cells import Show
from ctxbench.study.whole.grid import check as check_grid
from ctxbench.train.run import CONFIG, TrainedRun

ABLATION = "ablation"
"""Folder of the trainings of Tables 7 and 8, within the output's."""


@dataclass(frozen=True)
class Request:
    """What is asked of the tables: where to write, own runs, Table 10's shape, the ablations' study.

    With ``skip_other_datasets`` each run goes to the tables of its data set, else one of another data set
    is refused. ``device`` is Table 10's; ``command`` is kept as the origin. What takes long tells
    ``measuring`` (Table 10), ``training`` (Tables 7 and 8) and ``say`` (one line each).
    """

    out: Path
    runs: tuple[Path, ...] = ()
    studies: tuple[Path, ...] = ()
    channels: int = PAPER_SHAPE[1]
    size: tuple[int, int] = PAPER_SHAPE[2:]
    rank: int = RANK
    device: str = "cpu"
    quick: bool = False
    skip_other_datasets: bool = False
    study: Study = field(default_factory=Study)
    command: Sequence[str] = ()
    measuring: Callable[[RunProgress], None] | None = None
    training: Show | None = None
    say: Callable[[str], None] | None = None

    @property
    def table10(self) -> dict[str, Any]:
        """What Table 10 is asked for."""
        names = ("channels", "size", "rank", "device", "quick")
        return {name: getattr(self, name) for name in names}

    @property
    def counted(self) -> str:
        """The origin of what is counted or drawn here, on the CPU."""
        return origin("cpu", self.command)

    @property
    def put_together(self) -> str:
        """The origin of what holds no number of this machine's own."""
        return put_together(self.command)


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

    What cannot is there with its reason and the command that would make it; files of it that are there
    already stay. Raises UserError, before anything is written, where a run, the data set, a setting, a case
    of Table 10 or a folder in use is refused; and where the folder cannot be written.
    """
    _check(request)
    request = replace(request, skip_other_datasets=True)
    sheets = []
    for name in TABLES:
        if request.say is not None:
            request.say(name)
        try:
            sheets.append(make(name, request))
        except UserError as error:
            sheets.append(_missed(name, str(error), request))
    frames = {sheet.name: sheet.frame for sheet in sheets}
    book = ledger_sheet(ledger(frames), source=request.put_together)
    write_sheet(book, request.out)
    write_page(request.out, book, sheets, source=request.put_together)
    return [book, *sheets]


def _check(request: Request) -> None:
    read_runs(request.runs)
    check_table10(request.out, **request.table10)
    rows = [*component_rows(request.study), *rank_rows(request.study)]
    check_grid(rows, request.study.seeds, request.out / ABLATION)


def _missed(name: str, reason: str, request: Request) -> Sheet:
    """A table that could not be made; it is written where no files of an earlier time would be lost."""
    kept = (request.out / f"{name}.csv").exists()
    why = f"{reason}; the files of an earlier {name} were kept" if kept else reason
    sheet = unmeasured(name, name, why, f"ctxbench paper {name}", source=request.put_together)
    if not kept:
        write_sheet(sheet, request.out)
    return sheet


def _results(table: int, request: Request) -> Sheet:
    runs = read_runs(request.runs)
    return results_table(
        table, runs, source=request.put_together, skip_other_datasets=request.skip_other_datasets
    )


def _ablation(of: Callable[..., Sheet], request: Request) -> Sheet:
    folder = request.out / ABLATION
    return of(request.study, folder, command=request.command, progress=request.training, say=request.say)


def _fig5(request: Request) -> Sheet:
    run = next((run for run in request.runs if (run / CONFIG).is_file() and has_maps(run)), None)
    if run is None and request.runs and not request.skip_other_datasets:
        raise UserError(
            f"{', '.join(map(str, request.runs))}: no training run with sub-attention maps to draw; one with "
            "context reconet has them"
        )
    return fig5(run or _trained(request.out), request.out, source=request.counted)


def _trained(out: Path) -> Path | None:
    """A run of the ablations in ``out`` with sub-attention maps, of the figure's rank where there is one."""
    ranks: dict[Path, int] = {}
    for best in sorted((out / ABLATION).glob("runs/*/best.ckpt")):
        config = TrainedRun(best.parent).config
        if config.context in (None, SUBJECT):
            ranks[best.parent] = config.context_options.get("rank", RANK)
    return min(ranks, key=lambda run: abs(ranks[run] - RANK), default=None)


def _table9(request: Request) -> Sheet:
    return table9(
        read_runs(request.runs),
        source=f"costs: {request.counted}",
        skip_other_datasets=request.skip_other_datasets,
    )


def _table10(request: Request) -> Sheet:
    return table10(
        request.out,
        **request.table10,
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
    NAME: lambda request: frozen(request.studies, source=request.put_together),
    "growth": lambda request: growth(source=request.counted),
}
"""What makes each table and figure; ``growth`` has the orders and the rank that section 4 claims;
``frozen`` what Tables 5, 7 and 8 are about, by frozen features."""
