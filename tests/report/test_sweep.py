"""Exponents of known power laws are found with their intervals, and held against claims."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats
from synthetic import record

from ctxbench.api import cases
from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.growth import ABOVE, AS_CLAIMED, BELOW, TOWARDS, UNDECIDED, Growth, axis_of
from ctxbench.report.sweep import sweep
from ctxbench.report.sweep_sheet import Sweep, latex, markdown, sweep_figure, write_sweep

SIDES = (16, 32, 64, 128)


def lines(module: str = "nonlocal", **changes: object) -> list[Record]:
    return [record(module, side, side, **changes) for side in SIDES]


def macs(values: tuple[float, ...], module: str = "nonlocal") -> Growth:
    """The growth of MACs over H = W = 16, 32, …, which Non-Local's claim says is of degree 2 in n."""
    records = [replace(r, macs=round(value)) for r, value in zip(lines(module), values, strict=False)]
    return next(growth for growth in Sweep("size", tuple(records)).growths if growth.quantity == "gmacs")


N = [side**2 for side in SIDES]


@given(st.sampled_from([1, 1.5, 2, 3]), st.integers(10**3, 10**6))
def test_a_power_law_is_found_with_no_interval_to_speak_of(power: float, factor: int) -> None:
    growth = macs(tuple(factor * n**power for n in N))
    assert growth.slope == pytest.approx(power, abs=1e-6)
    assert growth.last == pytest.approx(power, abs=1e-6)
    assert growth.high - growth.low < 1e-5
    assert growth.verdict == (AS_CLAIMED if power == 2 else ABOVE if power > 2 else BELOW)


def test_what_does_not_grow_has_exponent_0_for_sure() -> None:
    growth = macs((4096,) * len(N))
    assert (growth.slope, growth.low, growth.high) == (0, 0, 0)


def test_the_interval_is_students() -> None:
    """Residuals ±e about a line of slope 2 at log n = 0, 1, 2, 3 (times log 4), worked by hand."""
    e = 0.1
    growth = macs(
        tuple(1e6 * n**2 * 2.718281828 ** (sign * e) for n, sign in zip(N, (1, -1, -1, 1), strict=True))
    )
    spread = 5 * 1.3862943611198906**2  # Σ (x - mean)² for four points a factor of four apart
    half = stats.t.ppf(0.975, 2) * (4 * e**2 / 2 / spread) ** 0.5
    assert growth.slope == pytest.approx(2, abs=1e-6)
    assert growth.high - growth.slope == pytest.approx(half, rel=1e-5)
    assert growth.slope - growth.low == pytest.approx(half, rel=1e-5)
    assert growth.verdict == AS_CLAIMED


def test_lower_order_terms_bend_the_line_towards_the_claim() -> None:
    growth = macs(tuple(3e3 * n + n**2 for n in N))
    assert growth.slope < growth.last < 2
    assert growth.verdict == TOWARDS


def test_scattered_points_say_nothing() -> None:
    assert macs((1e9, 1e12, 1e9, 1e13)).verdict == UNDECIDED


def test_two_points_or_a_zero_have_no_exponent_but_a_reason() -> None:
    two = [record("emau", side, side, macs=None, reason="out of memory") for side in SIDES[2:]]
    growth, *_ = Sweep("size", (*lines("emau")[:2], *two)).growths
    assert (growth.slope, growth.verdict, growth.reason) == (None, "", "out of memory")
    assert macs((0, 0, 0, 0)).reason == "zero has no logarithm"


def test_a_fit_without_some_points_says_which_are_missing() -> None:
    records = [*lines("emau")[:3], record("emau", 128, 128, macs=None, reason="out of memory")]
    growth, *_ = Sweep("size", tuple(records)).growths
    assert growth.slope is not None
    assert (len(growth.x), growth.reason) == (3, "out of memory")


@pytest.mark.parametrize(
    ("conditions", "axis"),
    [
        ({"sizes": [8, 16, 32]}, "size"),
        ({"sizes": [(8, 4), (16, 8), (32, 16)]}, "size"),
        ({"sizes": [(8, 16), (16, 16), (32, 16)]}, "height"),
        ({"sizes": [(8, 8), (8, 16), (8, 32)]}, "width"),
        ({"channels": [16, 32, 64]}, "channels"),
        ({"batch": [1, 2, 4]}, "batch"),
        ({"threads": [1, 2, 4]}, "threads"),
    ],
)
def test_the_axis_is_what_differs(conditions: dict, axis: str) -> None:
    assert axis_of(cases(["a2net", "rcca"], **conditions)) == axis


def ranks(*values: int) -> list:
    return [c for rank in values for c in cases("reconet", channels=8, sizes=8, options={"rank": rank})]


def test_an_option_is_an_axis() -> None:
    assert axis_of(ranks(2, 4, 8)) == "rank"


@pytest.mark.parametrize(
    ("swept", "why"),
    [
        (cases("rcca", channels=[16, 32, 64], sizes=[8, 16, 32]), "differ in channels and height and width"),
        (cases("rcca", sizes=[(8, 4), (16, 4), (32, 8)]), "differ in height and width"),
        (cases("rcca"), "nothing differs"),
        (cases("rcca", sizes=[8, 16]), "needs 3 values of size"),
        (cases("rcca", sizes=[8, 16, 32]) + cases("emau", sizes=[8, 16]), "needs 3 values of size"),
    ],
)
def test_cases_off_one_axis_are_refused(swept: list, why: str) -> None:
    with pytest.raises(UserError, match=why):
        sweep(swept)


def test_a_value_given_twice_is_one_point() -> None:
    found = sweep(cases("rcca", channels=16, sizes=[8, 16, 16, 32]))
    assert (found.growths[0].x, found.growths[0].reason) == ((64, 256, 1024), "")


def test_reconets_macs_are_of_first_order_in_rank_and_the_table_says_so() -> None:
    found = sweep(ranks(2, 4, 8, 16))
    growth, _, time = found.growths
    assert (growth.x, growth.claimed, growth.verdict) == ((2, 4, 8, 16), 1, AS_CLAIMED)
    assert growth.slope == pytest.approx(1, abs=1e-9)
    assert (time.slope, time.reason) == (None, "not asked for")
    assert "TGM+TRM, fast form, claimed O(rCHW)" in str(found)
    assert "not asked for" in str(found)


def test_a_module_that_cannot_be_run_is_an_error_by_name() -> None:
    with pytest.raises(UserError, match="nonlocal has no option 'rank'"):
        sweep([c for rank in (2, 4, 8) for c in cases("nonlocal", channels=8, options={"rank": rank})])


def test_exports_agree_and_the_figure_is_written_whole(tmp_path: Path) -> None:
    found = Sweep("size", tuple(lines() + lines("reconet")))
    frame = found.to_frame()
    assert list(frame["quantity"]) == ["gmacs", "peak_pred_mib", "lat_median_ms"] * 2
    for exponent in frame["exponent"]:
        assert f"{exponent:.2f}" in markdown(found)
        assert f"{exponent:.2f}" in latex(found)
    written = write_sweep(tmp_path / "new", found)
    assert sorted(path.name for path in written) == [
        f"sweep.{kind}" for kind in ("csv", "md", "png", "svg", "tex")
    ]
    assert all(path.stat().st_size > 0 for path in written)


def test_the_figure_has_a_panel_for_what_was_not_measured() -> None:
    figure = sweep_figure(Sweep("size", tuple(lines(rounds_ms=[]))))
    FigureCanvasAgg(figure).draw()
    cost, _, time = figure.axes
    assert [len(cost.lines), len(time.lines)] == [2, 0]
    assert cost.get_legend().texts[0].get_text().startswith("Non-Local, fast form: n$^{1.")
    assert [text.get_text() for text in time.texts] == ["not measured"]


def test_what_a_counted_sweep_lacks_stands_under_its_table(tmp_path: Path) -> None:
    (tmp_path / "exponential.py").write_text(
        "import torch\n\n\nclass Exponential(torch.nn.Conv2d):\n    def forward(self, x):\n"
        "        return torch.linalg.matrix_exp(super().forward(x))\n"
    )
    swept = cases(f"{tmp_path}/exponential.py:Exponential(C, C, 1)", channels=8, sizes=[8, 16, 32])
    (grid,) = sweep(swept).grids()
    assert (
        "Not counted, for want of a formula: Exponential(C, C, 1): aten.linalg_matrix_exp.default."
        in grid.notes
    )
