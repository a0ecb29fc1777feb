import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic import MODULES, record, records, rounds

from ctxbench.report.figures.plots import bars, exponent, roofline, scaling
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SPECS
from ctxbench.table.style import PALETTE, colours


@given(st.floats(0.1, 3), st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_law_is_found(power: float, factor: float) -> None:
    n = [64.0, 256.0, 4096.0]
    assert exponent(n, [factor * x**power for x in n]) == pytest.approx(power)


def test_one_size_gives_no_scaling_figure() -> None:
    assert scaling(records()) is None


def test_a_sweep_that_was_not_timed_is_drawn_without_a_legend_of_times() -> None:
    figure = scaling([record(name, size, size, rounds_ms=[]) for name in MODULES for size in (16, 32)])
    assert figure is not None
    macs, _, time = figure.axes
    assert macs.get_legend() is not None
    assert time.get_legend() is None
    assert [text.get_text() for text in time.texts] == ["not measured"]


WIDE = record("apcnet", rounds_ms=rounds(200, seed=1, spread=0.6, count=5))
UNTIMED = record("afnb", rounds_ms=[], peak_pred_bytes=None, alloc_bytes=None)


@pytest.mark.parametrize("rows", [records(), [WIDE], [WIDE, UNTIMED], [UNTIMED]])
def test_bars_keep_whiskers_and_numbers_inside_and_apart_from_diamonds(rows: list) -> None:
    figure = bars(rows)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        left, right = axes.get_window_extent().intervalx
        numbers = [text.get_window_extent() for text in axes.texts]
        assert all(left < number.x0 and number.x1 < right for number in numbers)
        for line in axes.lines:
            drawn = line.get_window_extent(canvas.get_renderer())
            assert left < drawn.x0 <= drawn.x1 < right
            assert not any(number.overlaps(drawn) for number in numbers)


def test_noisy_bars_are_marked_as_in_the_tables() -> None:
    time = bars([WIDE, record("emau")]).axes[2]
    assert [text.get_text()[0] == "~" for text in time.texts] == [False, True]


def test_training_gives_no_roofline() -> None:
    emau = record("emau")
    trained = record("emau", case=type(emau.case)(**{**vars(emau.case), "mode": "train"}))
    assert roofline([trained], {}) is None
    assert roofline([emau], {}) is not None


@pytest.mark.parametrize("ceilings", [{}, {"gemm_gflops": 180.0, "copy_gib_s": 17.3}], ids=["", "roofed"])
def test_many_modules_are_named_at_their_points(ceilings: dict[str, float]) -> None:
    """A legend of them would leave the axes no room, and its few colours could not be told apart."""
    names = list(SPECS)[:24]
    own = {name: Case(name, 512, 64, 64) for name in names}
    rows = [record("emau", case=case, flops=int(10 ** (8 + i / 8))) for i, case in enumerate(own.values())]
    figure = roofline(rows, ceilings)
    assert figure is not None
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.texts} == {SPECS[name].title for name in names}
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert axes.get_window_extent().width > 0.7 * figure.bbox.width
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == len(ceilings) // 2


def test_a_module_keeps_its_colour_whatever_stands_beside_it() -> None:
    stranger = record("emau", case=type(record("emau").case)("/tmp/x.py:Own", 8, 4, 4))
    assert colours([stranger, record("emau")])["emau"] == PALETTE["emau"]
    assert colours([stranger])["/tmp/x.py:Own"] not in PALETTE.values()
    assert len(set(PALETTE.values())) == len(PALETTE)
