"""Figures as they are saved: every word of them inside, whatever the titles are."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic import MODULES, record, records

from ctxbench.report.figures.plots import bars, roofline, scaling
from ctxbench.report.sweep_sheet import Sweep, sweep_figure
from ctxbench.table.style import canvas, save

CPU = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz of a machine whose maker gave it a long name"
CEILINGS = {"gemm_gflops": 180.0, "copy_gib_s": 17.3}
BOTH = [record(name, implementation=form) for name in MODULES for form in ("fast", "published")]
SIZES = [each for side in (16, 32, 64) for each in records(side, side)]
LONG = [replace(each, case=replace(each.case, module=f"/x/b.py:{'Long' * 9}")) for each in records()[:2]]


def words(figure: Figure) -> Iterator[Text]:
    """The texts that are drawn; ticks beyond an axis' ends are not."""
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
    }
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in ticks:
            yield text


def outside(figure: Figure) -> list[str]:
    """The texts of a saved figure that its edges cut."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    cut = []
    for text in words(figure):
        box = text.get_window_extent(renderer)
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height:
            cut.append(text.get_text())
    return cut


DRAWN: dict[str, Callable[[], Figure | None]] = {
    "bars": lambda: bars(records()),
    "bars of both forms": lambda: bars(BOTH),
    "one bar": lambda: bars([record("emau")]),
    "bars of long names": lambda: bars(LONG),
    "scaling": lambda: scaling(SIZES),
    "roofline": lambda: roofline(SIZES, CEILINGS),
    "sweep": lambda: sweep_figure(Sweep("size", tuple(SIZES))),
}


@pytest.mark.parametrize("what", DRAWN)
def test_every_word_is_inside(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(record("emau").environment, "cpu", CPU)
    figure = DRAWN[what]()
    assert figure is not None
    heading = figure.get_suptitle()
    save(figure, tmp_path / "figure")
    assert outside(figure) == []
    assert figure.get_suptitle().split() == heading.split()


def test_titles_break_after_dots_and_a_part_too_long_between_words(tmp_path: Path) -> None:
    figure = canvas(3, 2)
    figure.subplots().set_title("a title that is longer than the axes that it stands over")
    figure.suptitle("some words · other words · more words · the last words")
    save(figure, tmp_path / "figure")
    assert outside(figure) == []
    assert all(line.endswith(" ·") for line in figure.get_suptitle().splitlines()[:-1])
    assert len(figure.get_suptitle().splitlines()) > 1
    assert len(figure.axes[0].get_title().splitlines()) > 1
    figure.suptitle("a part with more words than there is room for in one line · b")
    save(figure, tmp_path / "figure")
    assert outside(figure) == []


def test_a_title_that_fits_stays_as_it_is(tmp_path: Path) -> None:
    figure = canvas(6, 2)
    figure.subplots().set_title("a\nb")
    figure.suptitle("short · and fine")
    save(figure, tmp_path / "figure")
    assert (figure.get_suptitle(), figure.axes[0].get_title()) == ("short · and fine", "a\nb")
