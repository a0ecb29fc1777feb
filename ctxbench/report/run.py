"""The report of a run, or of several: every table and figure that follows from the records, in a folder."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Self

import pandas as pd
from matplotlib.figure import Figure

from ctxbench.errors import UserError
from ctxbench.files import write_text, writing
from ctxbench.measure.folder import PLAN, Run, read_run
from ctxbench.measure.records import Origin, Record
from ctxbench.report.columns import status, summary
from ctxbench.report.figures import plots
from ctxbench.report.figures.along import values, varied
from ctxbench.report.figures.heat import heat
from ctxbench.report.figures.multiples import multiples
from ctxbench.report.figures.ranks import ranks
from ctxbench.report.layout import caption
from ctxbench.report.page import write_page
from ctxbench.report.several import (
    Source,
    are_apart,
    check_different,
    missing_shards,
    read_runs,
    said_of_runs,
)
from ctxbench.report.tables import grids, latex, markdown, write_latex
from ctxbench.report.view import ALL, View, conditions, family, grouped
from ctxbench.table.column import significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.table.style import SMALL, save, stem
from ctxbench.table.terminal import picture

MOST_BARS = 12
"""Sets of conditions up to which each gets a chart of bars; lines show more of them together."""
MOST_PLACES = 12
"""Values of an axis up to which figures along it can be read."""

Groups = list[tuple[str, list[Record]]]
"""Records that one figure is drawn of, each with what tells its file from the others'."""


@dataclass(frozen=True, repr=False)
class Report(Result):
    """Records and the folder of what is made of them: ``str()`` is the table, :meth:`to_frame` the summary.

    ``view`` says which columns and rows of it are seen.
    """

    records: list[Record]
    folder: Path
    view: View = ALL

    @property
    def sources(self) -> Sequence[Source]:
        """The runs that the records are from."""
        raise NotImplementedError

    def seen(self, view: View) -> Self:
        """The same records, seen so. Raises UserError where they lack a column that the view has."""
        view.check(self.records)
        return replace(self, view=view)

    @cached_property
    def _grids(self) -> list[Grid]:
        tables = grids(self.records, self.view)
        tables[0].notes += said_of_runs(self.sources)
        if len(self.sources) > 1:
            missing = missing_shards(self.sources)
            tables[0].findings += [f"{line[:1].upper()}{line[1:]}." for line in missing]
        return tables

    def grids(self) -> list[Grid]:
        """The tables of its records, laid out once for whatever draws them."""
        return self._grids

    @property
    def headline(self) -> str:
        """The folder, how many cases ended how, their conditions, and the range of their medians."""
        ended = Counter(map(status, self.records))
        medians = [median for r in self.records if (median := r.latency.median_ms) is not None]
        ends = (
            dict.fromkeys(significant(median, 4) for median in (min(medians), max(medians)))
            if medians
            else ()
        )
        timed = f"median latency of one call {' to '.join(ends)} ms" if ends else "no latency measured"
        cases = ", ".join(f"{number} {how}" for how, number in ended.items())
        of = f" of {len(self.sources)} runs" if len(self.sources) > 1 else ""
        return f"{self.folder}{of}: {cases}; {caption(self.records)}; {timed}"

    def markdown(self) -> str:
        """The tables in GitHub Markdown."""
        return markdown(self.grids(), self.records, self.view)

    def latex(self) -> str:
        """The table for a paper."""
        return latex(self.records, self.view, said_of_runs(self.sources))

    def to_frame(self) -> pd.DataFrame:
        """The columns of ``summary.csv``, or those asked for and what each row is of; in the rows' order."""
        return self.view.frame(self.records)


@dataclass(frozen=True, repr=False)
class Profile(Report, Run):
    """A run, finished or not, and its folder."""

    @classmethod
    def of(cls, run: Run, folder: Path | str) -> "Profile":
        """A run that is in memory, and the folder it is in."""
        return cls(run.plan, run.records, Path(folder))

    @property
    def sources(self) -> Sequence[Source]:
        """The run itself."""
        return [Source("", self.folder, self)]


@dataclass(frozen=True, repr=False)
class Merged(Report):
    """Several runs whose records are seen together, and the folder that their report goes to."""

    runs: tuple[Source, ...] = ()

    @property
    def sources(self) -> Sequence[Source]:
        """The runs that were merged."""
        return self.runs


def load_run(folder: Path | str) -> Profile:
    """Read a run, finished or not. Raises UserError where ``folder`` holds none, or a damaged one."""
    return Profile.of(read_run(Path(folder)), folder)


def load_report(
    folders: Sequence[Path | str], out: Path | str, read: Callable[[Path], Run] = read_run
) -> Report:
    """Read one run or several, whose report goes to ``out``; of several every record, equal cases together.

    ``read`` reads one.

    Raises UserError where a folder holds no run or a damaged one, or is given twice, and where ``out`` holds
    a run that is not the only one.
    """
    where, paths = Path(out), [Path(folder) for folder in folders]
    runs = read_runs(paths, read)
    check_different(paths)
    if (where / PLAN).exists() and [where.resolve()] != [path.resolve() for path in paths]:
        raise UserError(f"{where} holds a run, with a report of its own: choose another --out")
    if len(runs) == 1:
        return Profile.of(runs[0].run, where)
    equal: dict[str, list[Record]] = {}
    for record in (record for source in runs for record in source.run.records):
        equal.setdefault(record.case.id, []).append(record)
    return Merged(list(chain.from_iterable(equal.values())), where, ALL, tuple(runs))


def write_report(report: Report) -> list[Path]:
    """Write the tables of a run or of several, their page and their figures.

    ``summary.csv``, ``table.md``, ``table.tex`` and what it cites, ``table.svg``, ``report.html``.
    Each file is written whole, then renamed; their paths are the answer. Raises UserError where the folder
    cannot be written.
    """
    folder = report.folder
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # of a batch that was not found there is nothing to draw
    drawn = replace(report, records=[record for record in report.records if not record.case.fit])
    figures = _figures(folder, drawn)
    pictures = "\n".join(f"![{p.stem}]({p.name})" for p in figures if p.suffix == ".png")
    pictures += "".join(f"\n\n{line}" for line in _left_out(drawn))
    origin = _origin(report)
    return [
        write_text(folder / "summary.csv", summary(report.records).to_csv(index=False)),
        write_text(folder / "table.md", f"{origin}\n\n{report.markdown()}\n{pictures}\n"),
        *write_latex(folder / "table.tex", report.latex()),
        write_text(folder / "table.svg", picture(report.grids()[:1])),
        write_page(folder, report.records, report.grids(), report.sources, figures, source=origin),
        *figures,
    ]


def _origin(report: Report) -> str:
    """How each run was made, in a paragraph."""
    return " ".join(
        f"{source.letter}: {_made(source)}" if source.letter else _made(source) for source in report.sources
    )


def _made(source: Source) -> str:
    plan = source.run.plan
    made = f"`{shlex.join(plan.command)}`, " if plan.command else ""
    part = f"; {plan.shard}, {len(plan.cases)} of {plan.shard.cases} cases" if plan.shard else ""
    return f"Made by {made}ctxbench {plan.version}, begun {plan.created_at}{part}."


def _figures(folder: Path, report: Report) -> list[Path]:
    def roofline(records: Sequence[Record]) -> Figure | None:
        case = records[0].case
        known = [
            limits
            for source in report.sources
            if records[0].origin in (None, Origin(source.letter, str(source.folder)))
            and (limits := source.run.plan.ceilings.get(case.device, {}).get(case.ceiling))
        ]
        return plots.roofline(records, known[0] if known else {})

    # Bars are of one size; lines over sizes and the roofline take all sizes of one family.
    bars, lines = grouped(report.records, conditions), _of_lines(report)
    drawings: list[tuple[str, Groups, Callable[[Sequence[Record]], Figure | None]]] = [
        ("bars", bars if len(bars) <= MOST_BARS else [], plots.bars),
        ("scaling", lines, plots.scaling),
        ("roofline", lines, roofline),
    ]
    paths = []
    for name, groups, draw in drawings:
        for label, records in groups:
            figure = draw(records)
            if figure is not None:
                paths += save(figure, folder / stem(name, label))
    return paths if are_apart(report.records) else [*paths, *_along_axes(folder, report.records)]


def _of_lines(report: Report) -> Groups:
    """What a figure of lines is drawn of, with a label: all records, or those of each run that is apart."""
    if not are_apart(report.records):
        return grouped(report.records, family)
    return [
        (f"{source.letter} {label}", records)
        for source in report.sources
        for label, records in grouped(source.run.records, family)
    ]


def _left_out(report: Report) -> list[str]:
    """Which figures are not drawn, since nobody could read them."""
    sets = len(grouped(report.records, conditions))
    bars = f"No chart of bars for each of {sets} sets of conditions: they are more than {MOST_BARS}."
    axes = [] if are_apart(report.records) else varied(report.records)
    numbers = {axis.replace("_", " "): len(values(report.records, axis)) for axis in axes}
    return [bars] * (sets > MOST_BARS) + [
        f"No figure of ranks or of each module along {axis}: {number} values are more than {MOST_PLACES}."
        for axis, number in numbers.items()
        if number > MOST_PLACES
    ]


def _along_axes(folder: Path, records: Sequence[Record]) -> list[Path]:
    """The figures of each axis that the records differ on: who changes places, and each module by itself."""
    axes = [axis for axis in varied(records) if len(values(records, axis)) <= MOST_PLACES]
    drawings = [("heat", heat(records))] if {"size", "channels"} <= set(axes) else []
    for axis in axes:
        drawings.append((f"ranks-{axis}", ranks(records, axis)))
        if axis != "size":  # of which a figure of lines in one panel has been drawn
            drawings.append((f"each-{axis}", multiples(records, axis)))
    return [path for name, figure in drawings if figure for path in save(figure, folder / name, SMALL)]
