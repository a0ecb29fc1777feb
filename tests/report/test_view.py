"""How somebody wants to see a table: columns, order, digits, and where their own rows stand."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import MODULES, record, records, write_run

from ctxbench.errors import UserError
from ctxbench.measure.records import Record
from ctxbench.report.columns import FIXED
from ctxbench.report.layout import grid, names
from ctxbench.report.run import load_run
from ctxbench.report.tables import grids, latex, markdown
from ctxbench.report.view import SHORT, View
from ctxbench.table.grid import EMPTY, Grid
from ctxbench.table.html import grid_html
from ctxbench.table.terminal import plain


def own(module: str = "mine.py:Block", **changes: object) -> Record:
    """A record of the user's own block."""
    emau = record("emau", **changes)
    return replace(emau, case=replace(emau.case, module=module, options={}, implementation="single"))


def column(table: Grid, number: int = 0) -> list[str]:
    return [row[number].text for group in table.groups for row in group.rows]


NAMES = [*SHORT, *(name for name in FIXED if name not in SHORT.values()), "fvcore_gmacs", "printed_gflops"]


@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
def test_any_columns_stand_in_the_order_they_were_asked_for_in_every_drawer(names: list[str]) -> None:
    rows = records()
    (table,) = grids(rows, View(tuple(names)))
    wanted = [SHORT.get(name, name) for name in names]
    assert [heading.name for heading in table.headings] == ["title", *wanted]
    assert table.findings == []
    lines = markdown([table], rows, View(tuple(names))).splitlines()
    assert [line for line in lines if line.startswith("###")] == [lines[0]]
    assert lines[2].count(" | ") == len(names)
    assert str(grid_html(table)).count("<td") == (len(names) + 1) * len(rows)
    assert r"\label{tab:ctxbench}" in latex(rows, View(tuple(names)))
    frame = View(tuple(names)).frame(rows)
    assert [name for name in frame if name in wanted] == sorted(wanted, key=list(frame).index)
    assert set(wanted) <= set(frame)
    assert {"module", "config", "dtype", "device", "status", "reason"} <= set(frame)


def test_a_column_that_was_asked_for_stands_though_it_is_empty_and_says_why() -> None:
    table = grid(records(), View(("mem_reserved_mib",)))
    assert column(table, 1) == [EMPTY] * len(MODULES)
    assert table.footnotes == ["the CPU has no caching allocator"]


def test_one_that_is_alone_under_its_header_needs_no_words_below_it() -> None:
    headings = grid(records(), View(("macs", "memory"))).headings
    assert [heading.line for heading in headings[1:]] == ["MACs (G)", "memory (MiB)"]
    headings = grid(records(), View(("macs", "fvcore_gmacs", "peak_pred_mib"))).headings
    assert [heading.line for heading in headings[1:]] == [
        "MACs as run (G)",
        "MACs fvcore (G)",
        "memory predicted (MiB)",
    ]


def test_digits_are_three_of_columns_that_were_asked_for_and_else_as_each_column_has_them() -> None:
    assert column(grid([record("reconet")], View(("macs",))), 1) == ["152"]  # M, as one row asks for
    assert column(grid([record("reconet")], View(("macs",), digits=6)), 1) == ["151.519"]
    plainly = {h.name: c.text for h, c in zip(*_row(grid([record("reconet")])), strict=True)}
    assert plainly["gmacs"] == "151.52"
    rounded = {h.name: c.text for h, c in zip(*_row(grid([record("reconet")], View(digits=2))), strict=True)}
    assert rounded["gmacs"] == "150"


def _row(table: Grid) -> tuple[list, list]:
    return table.headings, table.groups[0].rows[0]


@pytest.mark.parametrize("name", ["macs", "lat_median_ms", "params", "module"])
def test_the_least_stands_first_and_what_is_empty_last(name: str) -> None:
    gone = record("afnb", macs=None, params=None, rounds_ms=[], status="oom", reason="none left")
    rows = View(sort=name).arranged([record("rcca"), gone, record("reconet"), record("a2net")])
    values = [FIXED[SHORT.get(name, name)].value(row) for row in rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert values[: len(known)] == known


@pytest.mark.parametrize(("where", "at"), [("last", -1), ("first", 0)])
def test_own_rows_stand_at_one_end_and_their_names_are_set_off(where: str, at: int) -> None:
    rows = [record("rcca"), own(), record("emau")]
    for view in (View(own=where), View(("macs",), sort="macs", own=where)):  # type: ignore[arg-type]
        table = grid(rows, view)
        names = [row[0] for row in table.groups[0].rows]
        assert [cell.best for cell in names] == [cell.text == "Block" for cell in names]
        assert names[at].text == "Block"
        assert all(cell.cite for cell in names if cell.text != "Block")
        assert names[at].cite == ""
    assert r"\textbf{Block} &" in latex(rows)
    assert r"RCCA~\cite{huang2019ccnet} &" in latex(rows)


def test_a_built_in_module_that_is_called_is_not_the_users() -> None:
    se, theirs = own("se(C)"), own("mine.py:se(C, 8)")
    names = [row[0] for row in grid([theirs, se]).groups[0].rows]
    assert [(cell.text, cell.best, cell.cite) for cell in names] == [
        ("SE(C)", False, "hu2018senet"),
        ("mine.py:se(C, 8)", True, ""),
    ]
    assert r"\cite{hu2018senet} &" in latex([theirs, se])


def test_where_all_are_own_none_is_set_off() -> None:
    assert r"\textbf{Block" not in latex([own(), own("other.py:Block2")])


def test_rows_of_one_module_are_told_apart_by_form_and_by_the_options_that_differ() -> None:
    fast, published = record("emau"), record("emau", implementation="published")
    few = replace(fast, case=replace(fast.case, options={**fast.case.options, "bases": 8}))
    assert names([fast, published]) == ["EMAUnit, fast", "EMAUnit, published"]
    assert names([fast, few]) == ["EMAUnit, bases=64", "EMAUnit, bases=8"]
    smaller = replace(few, case=replace(few.case, height=8))
    assert names([fast, smaller])[1] == "EMAUnit"  # its label says what differs


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"columns": ("mcas",)}, "no column 'mcas'; did you mean macs?"),
        ({"columns": ("params", "")}, "no column ''; there are macs, "),
        ({"columns": ("macs", "gmacs")}, "the column gmacs is asked for twice"),
        ({"sort": "speed"}, "no column 'speed'"),
        ({"digits": 0}, "1 to 17 significant digits, not 0"),
        ({"digits": 99}, "not 99"),
        ({"own": "middle"}, "own rows stand last or first, not 'middle'"),
    ],
)
def test_what_no_table_could_show_is_refused_in_one_line(view: dict, said: str) -> None:
    with pytest.raises(UserError) as refused:
        View(**view).check(records())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_seen_so_prints_and_writes_it_and_its_summary_stays_whole(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", [own(), *records()]))
    seen = run.seen(View(("params", "latency"), sort="latency"))
    lines = plain(seen.grids()).splitlines()
    assert lines[1].split() == ["module", "params", "latency"]
    assert lines[-1] != ""
    assert [*seen.to_frame()["module"]][-1] == "mine.py:Block"
    assert "gflops" not in seen.to_frame()
    assert "gflops" in run.to_frame()
    assert run.view == View()
    with pytest.raises(UserError, match="no column 'mcas'"):
        run.seen(View(("mcas",)))
