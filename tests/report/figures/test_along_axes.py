"""Figures along axes: ranks, heat maps and small multiples, of what was measured and readable as drawn."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic import MODULES, record, rounds

from ctxbench.measure.records import Record
from ctxbench.report.figures.along import held, values, varied
from ctxbench.report.figures.heat import heat
from ctxbench.report.figures.multiples import multiples
from ctxbench.report.figures.ranks import STAYS, ranks
from ctxbench.table.column import significant
from ctxbench.table.style import SMALL, break_titles


def at(module: str, ms: float, spread: float = 0.02, **conditions: object) -> Record:
    """A record of a module that takes so long under these conditions; not measured where that is 0."""
    own = record(module, rounds_ms=rounds(ms, seed=len(module), spread=spread, count=5) if ms else [])
    return replace(own, case=replace(own.case, **conditions))


def of_runtimes(table: dict[str, Sequence[float]], **conditions: object) -> list[Record]:
    """Records of modules under the runtimes eager and compile."""
    return [
        at(module, ms, runtime=runtime, **conditions)
        for module, times in table.items()
        for runtime, ms in zip(("eager", "compile"), times, strict=True)
    ]


def check_readable(figure: Figure) -> None:
    """Nothing is cut off, and no upright text lies over another, of all text that is drawn."""
    break_titles(figure, SMALL)
    drawn: dict[int, Text] = {}
    draw_text = RendererAgg.draw_text

    def note(self: RendererAgg, *arguments: object, mtext: Text | None = None, **keywords: object) -> None:
        if mtext is not None:
            drawn[id(mtext)] = mtext
        draw_text(self, *arguments, mtext=mtext, **keywords)

    canvas = FigureCanvasAgg(figure)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RendererAgg, "draw_text", note)
        canvas.draw()
    boxes = [(text, Text.get_window_extent(text, canvas.get_renderer())) for text in drawn.values()]
    assert len(boxes) > 4
    for text, box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
    upright = [pair for pair in boxes if pair[0].get_rotation() == 0]
    for (one, a), (other, b) in combinations(upright, 2):
        assert not a.padded(-1).overlaps(b.padded(-1)), (one, other)


def test_what_differs_along_an_axis_alone_is_put_together() -> None:
    rows = [
        at("emau", 9, dtype=dtype, threads=threads, height=size, width=size)
        for dtype in ("float32", "bfloat16")
        for threads in (2, None, 1)
        for size in (64, 8)
    ]
    assert varied(rows) == ["size", "dtype", "threads"]
    assert values(rows, "threads") == [None, 1, 2]
    assert values(rows, "size") == [8, 64]
    assert values(rows, "dtype") == ["float32", "bfloat16"]
    groups = held(rows, "threads")
    assert [group.label for group in groups] == [
        "64×64 · float32", "8×8 · float32", "64×64 · bfloat16", "8×8 · bfloat16",
    ]  # fmt: skip
    assert all(set(group.lines["EMAUnit"]) == {1, 2, None} for group in groups)


def test_forms_are_lines_of_their_own_or_the_axis() -> None:
    rows = [
        replace(record("emau"), case=replace(record("emau").case, implementation=form, runtime=runtime))
        for form in ("fast", "published")
        for runtime in ("eager", "compile")
    ]
    (along,) = held(rows, "runtime")
    assert list(along.lines) == ["EMAUnit, fast", "EMAUnit, published"]
    assert [set(group.lines["EMAUnit"]) for group in held(rows, "form")] == [{"fast", "published"}] * 2


def places(figure: Figure) -> dict[str, list[int]]:
    """Each module's places from left to right, by the names at both ends of the one panel."""
    (axes,) = figure.axes
    names = {text.xy: text.get_text() for text in axes.texts if hasattr(text, "xy")}
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    found = {}
    for line in lines:
        y = [int(place) for place in line.get_ydata()]
        assert names[(0, y[0])] == names[(len(y) - 1, y[-1])]
        found[names[(0, y[0])]] = y
    return found


def movers(figure: Figure) -> int:
    (axes,) = figure.axes
    return sum(line.get_color() != STAYS for line in axes.lines if line.get_marker() == "None")


def test_ranks_are_of_medians_and_colour_those_who_surely_change_places() -> None:
    figure = ranks(
        of_runtimes({"emau": (10, 20), "afnb": (20, 10), "rcca": (30, 30), "a2net": (5, 6)}), "runtime"
    )
    assert places(figure) == {"EMAUnit": [2, 3], "AFNB": [3, 2], "RCCA": [4, 4], "A²Net": [1, 1]}
    assert movers(figure) == 2
    check_readable(figure)
    close = {"emau": (10, 10.05), "afnb": (10.05, 10), "rcca": (30, 30)}
    noisy = [
        at(module, ms, spread=0.4, runtime=runtime)
        for module, times in close.items()
        for runtime, ms in zip(("eager", "compile"), times, strict=True)
    ]
    assert movers(ranks(noisy, "runtime")) == 0


def test_only_what_was_measured_throughout_is_ranked_and_the_rest_is_named() -> None:
    rows = of_runtimes({"emau": (1, 2), "afnb": (2, 1), "rcca": (3, 3), "a2net": (0.5, 0)})
    rows += [at(module, 0 if module != "emau" else 1, runtime="later") for module in ("emau", "afnb", "rcca")]
    figure = ranks(rows, "runtime")
    assert places(figure) == {"EMAUnit": [1, 2], "AFNB": [2, 1], "RCCA": [3, 3]}
    (axes,) = figure.axes
    assert axes.get_xlabel() == "not ranked, not measured throughout: A²Net, later"


def test_a_value_at_which_few_were_measured_gives_way_to_the_modules_that_were_not() -> None:
    rows = of_runtimes({"emau": (1, 2), "afnb": (2, 1), "rcca": (3, 3), "a2net": (4, 5)})
    figure = ranks([*rows, *(at(module, 1, runtime="later") for module in ("emau", "afnb"))], "runtime")
    assert places(figure) == {"EMAUnit": [1, 2], "AFNB": [2, 1], "RCCA": [3, 3], "A²Net": [4, 4]}


def test_of_many_values_where_nothing_is_missing_all_are_ranked_without_trying_parts_of_them() -> None:
    """Of which there are 2³⁰."""
    rows = [
        at(module, ms, height=side, width=side)
        for module, ms in (("emau", 1), ("afnb", 2), ("rcca", 3))
        for side in range(8, 38)
    ]
    assert places(ranks(rows, "size")) == {"EMAUnit": [1] * 30, "AFNB": [2] * 30, "RCCA": [3] * 30}


def test_two_modules_or_one_value_are_not_ranked() -> None:
    assert ranks(of_runtimes({"emau": (1, 2), "afnb": (2, 1)}), "runtime") is None
    assert ranks(of_runtimes({"emau": (1, 0), "afnb": (2, 0), "rcca": (3, 0)}), "runtime") is None
    assert multiples(of_runtimes({"emau": (1, 0), "afnb": (2, 0), "rcca": (3, 0)}), "runtime") is None


def grid_of(modules: Sequence[str]) -> list[Record]:
    return [
        at(module, 1e-2 * (1 + number) * size * channels, height=size, width=size, channels=channels)
        for number, module in enumerate(modules)
        for size in (8, 16, 32)
        for channels in (64, 128)
    ]


def test_a_heat_map_has_each_median_in_its_cell() -> None:
    rows = grid_of(["emau", "afnb"])
    rows[0] = replace(rows[0], rounds_ms=[])
    figure = heat(rows)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["EMAUnit", "AFNB"]
    for axes, own in zip(panels, (rows[:6], rows[6:]), strict=True):
        shown = {text.get_position(): text.get_text() for text in axes.texts}
        for i, one in enumerate(own):
            median = one.latency.median_ms
            assert shown[(i % 2, i // 2)] == ("–" if median is None else significant(median, 3))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "128"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["8×8", "16×16", "32×32"]
    check_readable(figure)


def test_a_heat_map_needs_sizes_and_channels() -> None:
    rows = grid_of(["emau"])
    assert heat([row for row in rows if row.case.height == 8]) is None
    assert heat([row for row in rows if row.case.channels == 64]) is None
    assert heat([replace(row, rounds_ms=[]) for row in rows]) is None


def test_each_module_has_a_panel_and_each_other_condition_a_line() -> None:
    table = {"emau": (10, 20), "afnb": (20, 0), "rcca": (30, 25)}
    rows = [row for dtype in ("float32", "bfloat16") for row in of_runtimes(table, dtype=dtype)]
    figure = multiples(rows, "runtime")
    shown = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(shown) == ["EMAUnit", "RCCA"]
    for name, module in (("EMAUnit", "emau"), ("RCCA", "rcca")):
        lines = [line for line in shown[name].lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in lines] == ["float32", "bfloat16"]
        for line, dtype in zip(lines, ("float32", "bfloat16"), strict=True):
            of = [r.latency.median_ms for r in rows if (r.case.module, r.case.dtype) == (module, dtype)]
            assert list(line.get_ydata()) == of
    check_readable(figure)


@pytest.mark.parametrize("times", [(0.02, 900), (5, 5)])
def test_every_latency_is_within_the_scale_and_off_its_ends(times: tuple[float, float]) -> None:
    figure = multiples(of_runtimes({"emau": times, "afnb": times[::-1]}), "runtime")
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "log"
    assert 0 < low < min(times) / 1.2
    assert high > max(times) * 1.2


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3, 8])
@pytest.mark.parametrize("threads", [(None,), (1, 2)])
def test_they_are_readable_however_many_there_are(number: int, threads: tuple[int | None, ...]) -> None:
    rows = [
        at(module, ms * (1 + (number * i) % 5), runtime=runtime, dtype=dtype, threads=count)
        for i, (module, ms) in enumerate(zip(MODULES[:number], (3, 1, 4, 1.5, 9, 2.6, 5, 3.5), strict=False))
        for runtime in ("eager", "compile", "onnxruntime", "openvino")
        for dtype in ("float32", "bfloat16")
        for count in threads
    ]
    for axis in varied(rows):
        for figure in (ranks(rows, axis), multiples(rows, axis)):
            if figure is not None:
                check_readable(figure)
