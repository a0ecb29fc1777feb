"""Comparisons along an axis: which records are pairs, what is said of them, how intervals hold together."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import record, write_run

from ctxbench.errors import UserError
from ctxbench.measure import stats
from ctxbench.measure.records import Origin, Record
from ctxbench.report.comparison.axis import MODULE, Axis
from ctxbench.report.comparison.compare import compare_runs
from ctxbench.report.comparison.difference import difference as difference_of
from ctxbench.report.comparison.pairs import pairs
from ctxbench.report.comparison.sheet import Comparison
from ctxbench.subject.axes import AXES
from ctxbench.subject.bound import Binding
from ctxbench.subject.case import Case

ROUNDS = stats.MIN_ROUNDS


def timed(name: str, factor: float = 1.0, **conditions: Any) -> Record:
    """A record under these conditions, whose samples take ``factor`` times as long."""
    own = record(name)
    slower = [[factor * ms for ms in samples] for samples in own.rounds_ms[:ROUNDS]]
    return replace(own, case=replace(own.case, **conditions), rounds_ms=slower)


RUNTIMES = (("eager", 1.0), ("compile", 0.5))
GRID = [
    timed(module, share * factor, dtype=dtype, runtime=runtime)
    for module, (dtype, factor), (runtime, share) in product(
        ("emau", "afnb"), (("float32", 1.0), ("bfloat16", 1.5)), RUNTIMES
    )
]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("along") / "run", GRID)


def words(found: Comparison) -> str:
    return " ".join(str(found).split())


def test_along_an_axis_what_is_equal_in_all_else_is_compared_over_its_first_value(grid: Path) -> None:
    found = compare_runs(grid, by="runtime")
    table = found.to_frame()
    assert list(table["module"]) == ["emau", "emau", "afnb", "afnb"]
    assert list(table["dtype"]) == ["float32", "bfloat16"] * 2
    assert set(table["runtime"]) == set(table["value"]) == {"compile"}
    assert set(table["baseline"]) == {"eager"}
    assert list(table["ratio"]) == pytest.approx([0.5] * 4)
    assert list(table["a_median_ms"] / table["b_median_ms"]) == pytest.approx([2] * 4)
    assert set(table["verdict"]) == {"FASTER"}
    assert "Latency of compile over eager, threshold 5 %" in words(found)
    other = compare_runs(grid, by="dtype", baseline="bf16").to_frame()
    assert list(other["ratio"]) == pytest.approx([1 / 1.5] * 4)
    assert set(other["baseline"]) == {"bfloat16"}


def test_the_intervals_hold_together_and_say_at_which_level(grid: Path, tmp_path: Path) -> None:
    lost, broken = timed("rcca", runtime="compile"), timed("apcnet", runtime="compile")
    more = [
        timed("rcca"), replace(lost, rounds_ms=lost.rounds_ms[:2]),
        timed("apcnet"), replace(broken, status="crashed", reason="signal 11"),
    ]  # fmt: skip
    found = compare_runs(grid, write_run(tmp_path / "run", more), by="runtime")
    assert [d.verdict for d in found.differences] == ["FASTER"] * 4 + ["NOT MEASURED", "FAILED"]
    assert found.differences[-1].reason == "crashed in compile: signal 11"
    for difference in found.differences[:4]:  # what was not measured is no comparison
        alone = stats.ratio(difference.a.rounds_ms, difference.b.rounds_ms)
        together = stats.simultaneous(*alone, ROUNDS, 4)
        assert (difference.ratio, difference.lo, difference.hi) == together
        assert difference.lo < alone[1]
    assert (
        "The intervals of the 4 ratios hold all together at 95 %: each is at 98.75 % (Bonferroni)"
        in words(found)
    )
    assert list(found.to_frame()["ratio_ci_level_pct"][:4]) == pytest.approx([98.75] * 4)


def test_the_side_of_fewer_rounds_says_how_far_an_interval_of_several_reaches() -> None:
    few, many = timed("emau"), record("emau")
    for a, b in ((few, many), (many, few)):
        found = difference_of(a, b, 0.05, comparisons=4)
        alone = stats.ratio(a.rounds_ms, b.rounds_ms)
        assert (found.ratio, found.lo, found.hi) == stats.simultaneous(*alone, ROUNDS, 4)


def test_what_runs_differ_by_is_in_an_interval_where_one_of_two_devices_knows_it(tmp_path: Path) -> None:
    rows = [timed("emau"), timed("emau", 0.5, device="cuda:0")]
    (found,) = compare_runs(write_run(tmp_path / "run", rows, between_runs=0.04), by="device").differences
    alone = stats.ratio(*(row.rounds_ms for row in rows))
    assert (found.ratio, found.lo, found.hi) == stats.widened(*alone, 0.04)


def test_a_partner_of_the_own_run_comes_before_one_of_the_same_form() -> None:
    here, there = Origin("A", "here"), Origin("B", "there")
    own = replace(timed("nonlocal", implementation="published"), origin=here)
    other = replace(timed("nonlocal"), origin=there)
    rows = [other, own, replace(timed("emau"), origin=here)]
    (pair,), _ = pairs(Axis(MODULE, rows), "nonlocal")
    assert pair.a is own


def test_something_slower_within_a_run_is_a_failure_only_where_a_threshold_asks(grid: Path) -> None:
    for baseline, threshold, code in (("eager", 0.05, 0), ("compile", None, 0), ("compile", 0.05, 1)):
        assert compare_runs(grid, by="runtime", baseline=baseline, threshold=threshold).exit_code == code


def test_each_row_is_held_against_one_module_in_the_same_form(tmp_path: Path) -> None:
    rows = [
        timed("nonlocal"), timed("nonlocal", 2, implementation="published"),
        timed("emau"), timed("emau", implementation="published"),
        timed("afnb", implementation="published"), timed("rcca", implementation="single"),
        timed("rcca", implementation="single", mode="train"),
    ]  # fmt: skip
    run = write_run(tmp_path / "run", rows)
    for name in ("nonlocal", "Non-Local", "NONLOCAL"):
        found = compare_runs(run, baseline=name)
        pairs = [
            (d.a.case.implementation, d.b.case.module, d.b.case.implementation) for d in found.differences
        ]
        assert pairs == [
            ("fast", "emau", "fast"),
            ("published", "emau", "published"),
            ("published", "afnb", "published"),
            ("fast", "rcca", "single"),
        ]
    medians = {one.case.id: one.latency.median_ms for one in rows}
    for difference in found.differences:
        assert difference.ratio == pytest.approx(
            medians[difference.b.case.id] / medians[difference.a.case.id]
        )
    assert [one.case.mode for one in found.alone["RCCA"]] == ["train"]
    assert "compared with nothing: RCCA" in words(found)
    assert "Latency over Non-Local" in words(found)


def test_what_a_pair_differs_in_beside_the_axis_is_named(tmp_path: Path) -> None:
    rows = [
        timed("emau", channels=512, options={"bases": 64}),
        timed("emau", channels=256, options={"bases": 32}),
        timed("emau", channels=512, options={"bases": 8, "iterations": 1}),
        timed("emau", channels=256, options={"bases": 8, "iterations": 1}),
    ]
    found = compare_runs(write_run(tmp_path / "run", rows), by="channels")
    assert [d.reason for d in found.differences] == ["bases=32 over 64", ""]
    over = compare_runs(write_run(tmp_path / "two", [*rows[::2], timed("afnb")]), baseline="emau")
    assert [d.reason for d in over.differences] == ["over EMAUnit with bases=64"]


def test_what_was_found_out_at_a_shape_keeps_no_sizes_apart(tmp_path: Path) -> None:
    rows = [
        timed(
            "emau", module="/a.py:Block", options={}, height=side, width=side, binding=Binding({"dim": side})
        )
        for side in (8, 16)
    ]
    run = write_run(tmp_path / "run", [*rows, timed("afnb")])
    assert len(compare_runs(run, by="size").differences) == 1
    assert len(compare_runs(run, by="height").differences) == 0


def test_an_option_is_an_axis_and_modules_without_it_are_said(tmp_path: Path) -> None:
    rows = [
        *(timed("emau", bases / 8, options={"bases": bases, "iterations": 3}) for bases in (8, 16, 32)),
        timed("afnb"),
    ]
    found = compare_runs(write_run(tmp_path / "run", rows), by="bases", baseline=16)
    table = found.to_frame()
    assert list(table["value"]) == ["8", "32"]
    assert list(table["ratio"]) == pytest.approx([0.5, 2])
    assert "Latency by bases over bases 16" in words(found)
    assert "Without bases: AFNB" in words(found)
    rows_named = [row[0].text for group in found.grids()[0].groups for row in group.rows]
    assert rows_named == ["EMAUnit"] * 2  # what the axis says stands in its own column


def test_a_value_may_be_typed_without_its_spaces(tmp_path: Path) -> None:
    rows = [timed("emau", options={"pools": pools}) for pools in ((1, 2), (3, 6))]
    run = write_run(tmp_path / "run", rows)
    for baseline in ("(3, 6)", "(3,6)", (3, 6)):
        found = compare_runs(run, by="pools", baseline=baseline)
        assert list(found.to_frame()["value"]) == ["(1, 2)"]
    with pytest.raises(UserError, match="memory_format is contiguous in every case"):
        compare_runs(run, by="memory format")


def test_sizes_are_named_as_they_are_typed(tmp_path: Path) -> None:
    rows = [timed("emau", height=h, width=w) for h, w in ((64, 64), (64, 48), (32, 32))]
    run = write_run(tmp_path / "run", rows)
    for baseline, others in (("64x48", ["64", "32"]), ((64, 48), ["64", "32"]), ("32x32", ["64", "64×48"])):
        found = compare_runs(run, by="size", baseline=baseline)
        assert list(found.to_frame()["value"]) == others
    assert "input 1×512×H×W" in words(found)
    with pytest.raises(UserError, match="--baseline takes 64 or 64x48"):
        compare_runs(run, by="size", baseline="big")


def test_threads_that_libraries_take_by_themselves_have_a_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [timed("emau", threads=threads) for threads in (1, None, 2)])
    assert list(compare_runs(run, by="threads").to_frame()["value"]) == ["default", "2"]
    assert list(compare_runs(run, by="threads", baseline="default").to_frame()["value"]) == ["1", "2"]


def test_a_name_that_two_modules_have_is_refused_with_both(tmp_path: Path) -> None:
    rows = [timed("emau", module=module, options={}) for module in ("/a.py:Block", "/b.py:Block", "emau")]
    run = write_run(tmp_path / "run", rows)
    with pytest.raises(UserError, match=r"module 'Block' is several here: /a\.py:Block, /b\.py:Block"):
        compare_runs(run, baseline="Block")
    assert len(compare_runs(run, baseline="/b.py:Block").differences) == 2
    assert len(compare_runs(run, baseline="a.py:Block").differences) == 2


def test_several_runs_stand_in_one_table_and_other_machines_are_said(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [timed("emau"), timed("afnb")])
    b = write_run(tmp_path / "b", [timed("emau", 2)], torch="2.14.0")
    c = write_run(tmp_path / "c", [timed("emau", 3), timed("afnb", 0.5)], cpu="Another CPU", torch="2.14.0")
    found = compare_runs(a, b, c)
    table = found.to_frame()
    assert list(table["value"]) == ["B", "C", "C"]
    assert list(table["run"]) == [str(b), str(c), str(c)]
    assert set(table["baseline_run"]) == {str(a)}
    assert list(table["ratio"]) == pytest.approx([2, 3, 0.5])
    other = "another machine: cpu Another CPU over Synthetic CPU"
    assert [d.reason for d in found.differences] == ["", other, other]
    assert found.environment == [
        "cpu: cpu Synthetic CPU in A and B, Another CPU in C",
        "cpu: torch 2.13.0+cpu in A, 2.14.0 in B and C",
    ]
    said = words(found)
    assert "Latency of B and C over A" in said
    assert (
        "Several machines: where a footnote says another machine, ratio and verdict are of machine," in said
    )
    assert "SLOWER¹" in said
    assert f"C: {c}, Another CPU, begun" in said
    assert found.exit_code == 1
    assert "Several machines" not in str(compare_runs(a, b))


def test_along_an_axis_of_several_runs_a_partner_may_be_in_another(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [timed("emau"), timed("emau", 0.5, runtime="compile"), timed("afnb")])
    b = write_run(tmp_path / "b", [timed("emau", 2), timed("emau", 2, runtime="compile")])
    c = write_run(tmp_path / "c", [timed("afnb", 4, runtime="compile")], cpu="Another CPU")
    found = compare_runs(a, b, c, by="runtime")
    table = found.to_frame()
    assert list(table["baseline_run"]) == [str(a), str(b), str(a)]  # its own run's first
    assert list(table["ratio"]) == pytest.approx([0.5, 1, 4])
    assert [d.reason for d in found.differences] == [
        "", "", "run C over A; another machine: cpu Another CPU over Synthetic CPU",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "one run is compared within itself: say along what"),
        ({"by": "runtme"}, "no axis 'runtme'; did you mean runtime"),
        ({"by": "mode"}, r"mode is infer in every case, what varies is module \(EMAUnit, AFNB\); dtype \("),
        (
            {"by": "dtype", "baseline": "fp16"},
            "no dtype 'fp16' among what is compared; there are float32, bf",
        ),
        ({"baseline": "eager"}, "no module 'eager' among what is compared; there are EMAUnit, AFNB"),
        ({"by": "dtype", "threshold": float("nan")}, "the threshold must be 0 or more"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused_in_one_line(asked: dict[str, Any], said: str, grid: Path) -> None:
    with pytest.raises(UserError, match=said):
        compare_runs(grid, **asked)


records = st.builds(
    lambda case, run: Record(case, origin=Origin(run, f"runs/{run}")),
    st.builds(
        Case, st.sampled_from(["emau", "afnb", "se"]), st.sampled_from([8, 16]), st.sampled_from([4, 6]),
        st.sampled_from([4, 6]), options=st.sampled_from([{}, {"k": 1}, {"k": 2}, {"j": 1, "k": 2}]),
        implementation=st.sampled_from(["fast", "published", "single"]),
        dtype=st.sampled_from(["float32", "bfloat16"]), runtime=st.sampled_from(["eager", "compile"]),
        threads=st.sampled_from([None, 1, 2]),
    ),
    st.sampled_from("AB"),
)  # fmt: skip


FREE: dict[str, tuple[str, ...]] = {
    "module": ("options", "implementation"),
    "channels": ("options",),
    "size": ("height", "width"),
    "form": ("implementation",),
    "memory_format": ("layout",),
}
"""Fields beside one of the axis's name that a pair along it need not have alike."""


@settings(max_examples=30)
@given(
    st.lists(records, min_size=1, max_size=25, unique_by=lambda r: (r.case.id, r.origin)),
    st.sampled_from([*AXES, "k", "j"]),
)
def test_every_record_is_in_a_pair_or_named_and_pairs_are_equal_in_all_else(
    measured: Sequence[Record], name: str
) -> None:
    axis = Axis(name, measured)
    if not axis.values:  # an option that none has
        return
    found, alone = pairs(axis, axis.values[0])
    for pair in found:
        assert axis.value(pair.a) == axis.values[0] != axis.value(pair.b)
        a, b = pair.a.case, pair.b.case
        free = FREE.get(name, ())
        equal = replace(
            b, **{field: getattr(a, field) for field in (*free, *([name] if hasattr(a, name) else []))}
        )
        if axis.is_option:
            equal = replace(equal, options={**b.options, name: a.options[name]})
        assert equal.id == a.id
        if a.options != b.options and name == "channels":
            assert "over" in pair.but
    placed = [id(one) for pair in found for one in (pair.a, pair.b)] + [
        id(one) for several in alone.values() for one in several
    ]
    assert {id(one) for one in measured if axis.has(one)} == set(placed)
    assert len({id(pair.b) for pair in found}) == len(found)
    assert name != MODULE or all(pair.a.case.module != pair.b.case.module for pair in found)
