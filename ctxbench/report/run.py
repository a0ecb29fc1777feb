"""The report of a run: every table and figure that follows from its records, written into its folder."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ctxbench.files import write_text
from ctxbench.measure.folder import Run, read_run
from ctxbench.measure.records import Record
from ctxbench.report.columns import status, summary
from ctxbench.report.figures import plots
from ctxbench.report.figures.along import varied
from ctxbench.report.figures.heat import heat
from ctxbench.report.figures.multiples import multiples
from ctxbench.report.figures.ranks import ranks
from ctxbench.report.layout import caption
from ctxbench.report.page import write_page
from ctxbench.report.tables import grids, latex, markdown, write_latex
from ctxbench.report.view import ALL, Parts, View, conditions, family, grouped
from ctxbench.table.column import significant
from ctxbench.table.grid import Grid
from ctxbench.table.result import Result
from ctxbench.table.style import SMALL, save, stem
from ctxbench.table.terminal import picture


@dataclass(frozen=True, repr=False)
class Profile(Result, Run):
    """A run and its folder: ``str()`` is the table, :meth:`to_frame` the summary, a row per case.

    ``view`` says which columns and rows of it are seen.
    """

    folder: Path
    view: View = ALL

    @classmethod
    def of(cls, run: Run, folder: Path | str) -> "Profile":
        """A run that is in memory, and the folder it is in."""
        return cls(run.plan, run.records, Path(folder))

    def seen(self, view: View) -> "Profile":
        """The same run, seen so. Raises UserError where it lacks a column that the view has."""
        view.check(self.records)
        return replace(self, view=view)

    @cached_property
    def _grids(self) -> list[Grid]:
        return grids(self.records, self.view)

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
        return f"{self.folder}: {cases}; {caption(self.records)}; {timed}"

    def markdown(self) -> str:
        """The tables in GitHub Markdown."""
        return markdown(self.grids(), self.records, self.view)

    def latex(self) -> str:
        """The table for a paper."""
        return latex(self.records, self.view)

    def to_frame(self) -> pd.DataFrame:
        """The columns of ``summary.csv``, or those asked for and what each row is of; in the rows' order."""
        return self.view.frame(self.records)


def load_run(folder: Path | str) -> Profile:
    """Read a run, finished or not. Raises UserError where ``folder`` holds none, or a damaged one."""
    return Profile.of(read_run(Path(folder)), folder)


def write_report(run: Profile) -> list[Path]:
    """Write a run's tables, its page and its figures.

    ``summary.csv``, ``table.md``, ``table.tex`` and what it cites, ``table.svg``, ``report.html``.
    Each file is written whole, then renamed; their paths are the answer. Raises UserError where the folder
    cannot be written.
    """
    folder = run.folder
    figures = _figures(folder, run)
    pictures = "\n".join(f"![{p.stem}]({p.name})" for p in figures if p.suffix == ".png")
    return [
        write_text(folder / "summary.csv", summary(run.records).to_csv(index=False)),
        write_text(folder / "table.md", f"{_origin(run)}\n\n{run.markdown()}\n{pictures}\n"),
        *write_latex(folder / "table.tex", run.latex()),
        write_text(folder / "table.svg", picture(run.grids()[:1])),
        write_page(folder, run.records, run.grids(), run.plan, figures, source=_origin(run)),
        *figures,
    ]


def _origin(run: Run) -> str:
    plan = run.plan
    made = f"`{shlex.join(plan.command)}`, " if plan.command else ""
    return f"Made by {made}ctxbench {plan.version}, begun {plan.created_at}."


def _figures(folder: Path, run: Run) -> list[Path]:
    def roofline(records: Sequence[Record]) -> Figure | None:
        case = records[0].case
        return plots.roofline(records, run.plan.ceilings.get(case.device, {}).get(case.ceiling, {}))

    # Bars are of one size; lines over sizes and the roofline take all sizes of one family.
    drawings: list[tuple[str, Parts, Callable[[Sequence[Record]], Figure | None]]] = [
        ("bars", conditions, plots.bars),
        ("scaling", family, plots.scaling),
        ("roofline", family, roofline),
    ]
    paths = []
    for name, parts, draw in drawings:
        for label, records in grouped(run.records, parts):
            figure = draw(records)
            if figure is not None:
                paths += save(figure, folder / stem(name, label))
    return [*paths, *_along_axes(folder, run.records)]


def _along_axes(folder: Path, records: Sequence[Record]) -> list[Path]:
    """The figures of each axis that the records differ on: who changes places, and each module by itself."""
    drawings: list[tuple[str, Figure | None]] = [("heat", heat(records))]
    for axis in varied(records):
        drawings.append((f"ranks-{axis}", ranks(records, axis)))
        if axis != "size":  # of which a figure of lines in one panel has been drawn
            drawings.append((f"each-{axis}", multiples(records, axis)))
    return [path for name, figure in drawings if figure for path in save(figure, folder / name, SMALL)]
