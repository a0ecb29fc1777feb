"""A column said once: what the grid, the frame and each drawer make of it."""

import math
import re
import string
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.console import Console

from ctxbench.table.column import BYTES, COUNTS, Column, Units, frame, lay_out, raw, signed
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.terminal import GridView


@dataclass(frozen=True)
class Block:
    name: str
    macs: int | None
    reason: str = ""


COLUMNS: tuple[Column[Block], ...] = (
    Column("name", "block", lambda block: block.name, kind="text"),
    Column(
        "macs", "MACs", lambda block: block.macs, unit="G", kind="int", scale=1e-9,
        why=lambda block: block.reason, less_is_better=True,
    ),
    Column("size", "size", lambda block: "large", kind="text", in_frame=False),
    raw("reason", lambda block: block.reason, "text"),
)  # fmt: skip
BLOCKS = [Block("one", 2_378_170_368), Block("two", None, "out of memory")]


def test_a_grid_shows_what_the_frame_has_at_full_precision() -> None:
    grid = lay_out("Costs", COLUMNS, [("", BLOCKS)])
    assert [heading.name for heading in grid.headings] == ["name", "macs", "size"]
    assert [[cell.text for cell in row] for row in grid.groups[0].rows] == [
        ["one", "2.378", "large"],
        ["two", EMPTY, "large"],
    ]
    assert grid.footnotes == ["out of memory"]
    numbers = frame(COLUMNS, BLOCKS)
    assert list(numbers.columns) == ["name", "macs", "reason"]
    assert numbers["macs"][0] == 2_378_170_368
    assert numbers["macs"][1] is pd.NA


def test_the_best_of_a_group_is_set_off_in_columns_where_less_is_better() -> None:
    grid = lay_out("Costs", COLUMNS, [("", BLOCKS)], best=lambda column, rows: rows[0])
    assert [[cell.best for cell in row] for row in grid.groups[0].rows] == [[False, True, False], [False] * 3]


def test_a_column_is_taken_over_by_a_table_whose_rows_hold_its_rows() -> None:
    marked = replace(COLUMNS[1], mark=lambda block: "~", note=lambda block: f"of {block.name}")
    outer: Column[tuple[int, Block]] = marked.of(lambda row: row[1])
    assert outer.heading == COLUMNS[1].heading
    grid = lay_out("", [outer], [("", list(enumerate(BLOCKS)))])
    assert [row[0].text for row in grid.groups[0].rows] == ["~2.378", EMPTY]
    assert grid.footnotes == ["of one", "out of memory"]


@given(st.one_of(st.none(), st.just(""), st.just(math.nan)))
def test_nothing_is_never_shown_as_a_number(value: object) -> None:
    column: Column[int] = Column("x", "x", lambda row: value)
    assert column.text(0) is None


def headings() -> st.SearchStrategy[list[Heading]]:
    """Headings of distinct names, of any rank; the first, which stays, is a name."""
    each = st.builds(
        Heading,
        st.just(""),
        st.sampled_from(["MACs", "memory", "latency"]),
        st.sampled_from(["", "fast", "published"]),
        st.sampled_from(["", "G", "MiB"]),
        rank=st.integers(0, 4),
    )
    numbered = st.lists(each, max_size=9).map(
        lambda some: [replace(heading, name=f"c{i}") for i, heading in enumerate(some)]
    )
    return numbered.map(lambda some: [Heading("name", "name"), *some])


def grid_of(shown: list[Heading]) -> Grid:
    """A grid whose cells are the names of their columns."""
    rows = [Block("row", None)]
    columns = [
        Column(
            heading.name, heading.header, lambda row, name=heading.name: name, heading.part, heading.unit,
            kind="text", rank=heading.rank,
        )
        for heading in shown
    ]  # fmt: skip
    return lay_out("A table", columns, [("", rows)])


def drawn(grid: Grid, width: int) -> tuple[list[str], str]:
    """The lines of a grid in a terminal, and after them what is said to be hidden."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(GridView(grid))
    table, _, note = captured.get().partition("Not shown at this width:")
    return table.splitlines(), " ".join(note.split()).rstrip(".")


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=1, max_size=5),
    st.text("x", max_size=99),
)
def test_a_column_gives_way_where_the_widest_row_or_label_has_no_room(
    rows: list[list[int]], label: str
) -> None:
    """A letter's width more or less decides, whichever row or label is the widest."""
    shown = [Heading("a", "a"), Heading("b", "b", unit="G", rank=1), Heading("c", "c", rank=2)]
    grid = Grid("A", shown, [Group(label, [[Cell("y" * width) for width in row] for row in rows])])
    lines, note = drawn(grid, 1000)
    assert note == ""
    widest = max(map(len, lines))
    assume(widest > 30)
    assert drawn(grid, widest)[1] == ""
    assert drawn(grid, widest - 1)[1] != ""


@given(headings(), st.integers(40, 160))
def test_columns_give_way_by_rank_and_are_named(shown: list[Heading], width: int) -> None:
    grid = grid_of(shown)
    narrowest, _ = drawn(grid.without([heading for heading in shown if heading.rank]), 1000)
    assume(max(map(len, narrowest)) <= width)  # else even what never gives way has no room
    lines, note = drawn(grid, width)
    assert max(map(len, lines)) <= width
    (row,) = (lines[at + 1] for at, line in enumerate(lines) if line.startswith("─"))
    kept = [heading for heading in shown if heading.name in row.split()]
    hidden = [heading for heading in shown if heading not in kept]
    lowest = min((heading.rank for heading in hidden), default=5)
    assert lowest > 0  # those of rank 0 never give way
    assert all(heading.rank < lowest for heading in kept)
    assert note == ", ".join(h.line for h in sorted(hidden, key=lambda heading: -heading.rank))


@given(st.text(string.printable[:95] + "λ²×", max_size=40), st.text(string.punctuation + "bold", max_size=20))
def test_any_text_survives_the_terminal(name: str, note: str) -> None:
    shown = [Heading("a", "a"), Heading("b", "b")]
    grid = Grid("", shown, [Group("", [[Cell(name), Cell("end")]])], [], [note])
    lines = drawn(grid, 200)[0]
    assert [line.rpartition("end")[0].strip() for line in lines if line.rstrip().endswith("end")] == [
        name.strip()
    ]
    assert lines[-1].strip() == note


@given(headings())
def test_paper_and_markdown_have_every_column(shown: list[Heading]) -> None:
    grid = grid_of(shown)
    body = grid_latex(grid, "", "tab:x").split("\\midrule\n")[1].split(" \\\\")[0]
    assert body.split(" & ") == [heading.name for heading in shown]
    assert f"| {' | '.join(heading.name for heading in shown)} |" in grid_markdown(grid)


@given(headings())
def test_spans_hold_every_heading_once_and_neighbours_of_one_header(shown: list[Heading]) -> None:
    spans = grid_of(shown).spans()
    assert [heading for span in spans for heading in span.headings] == grid_of(shown).headings
    assert all(heading.header == span.header for span in spans for heading in span.headings)
    assert all(one.header != two.header for one, two in pairwise(spans))
    ends = [span.start + len(span.headings) for span in spans]
    assert [span.start for span in spans] == [0, *ends[:-1]]


def test_a_table_without_columns_still_has_its_notes() -> None:
    grid = grid_of([Heading("name", "name", rank=1)]).without([Heading("name", "name", rank=1)])
    assert (grid.headings, grid.groups[0].rows) == ([], [[]])


def cost(units: Units, unit: str, digits: int, header: str = "MACs") -> Column[float]:
    return Column(header, header, lambda row: row, unit=unit, units=units, digits=digits)


@given(
    st.lists(st.floats(1, 1e14), min_size=1, max_size=6),
    st.sampled_from([(COUNTS, "G"), (COUNTS, "M"), (BYTES, "MiB")]),
    st.integers(1, 6),
)
def test_a_column_has_the_one_unit_that_its_largest_row_asks_for(
    sizes: list[float], quantity: tuple[Units, str], digits: int
) -> None:
    units, unit = quantity
    grid = lay_out("", [cost(units, unit, digits)], [("", [size / units[unit] for size in sizes])])
    (shown,) = {heading.unit for heading in grid.headings}
    texts = [row[0].text for group in grid.groups for row in group.rows]
    largest = float(f"{max(sizes):.{digits - 1}e}")
    assert shown == max(
        (name for name in units if units[name] <= largest), key=units.__getitem__, default="KiB"
    )
    for size, text in zip(sizes, texts, strict=True):
        half_a_digit = 0.5 * 10.0 ** (math.floor(math.log10(size / units[shown])) - digits + 1)
        assert abs(float(text) * units[shown] - size) <= 1.001 * max(
            half_a_digit * units[shown], units[shown] == 1
        )


def test_what_rounds_up_to_the_next_unit_is_shown_in_it() -> None:
    def shown(size: float, digits: int) -> tuple[str, str]:
        grid = lay_out("", [cost(COUNTS, "", digits)], [("", [size])])
        return grid.groups[0].rows[0][0].text, grid.headings[0].unit

    assert shown(999_400, 3) == ("999", "K")
    assert shown(999_600, 3) == ("1.00", "M")
    assert shown(999_600, 4) == ("999.6", "K")
    assert shown(7, 3) == ("7", "")
    assert shown(0, 3) == ("0", "")


def test_neighbours_under_one_header_share_the_unit_and_empty_columns_keep_theirs() -> None:
    columns = [
        Column("a", "MACs", lambda row: row[0], "forward", "G", units=COUNTS, digits=3),
        Column("b", "MACs", lambda row: row[1], "backward", "G", units=COUNTS, digits=3),
        Column("c", "FLOPs", lambda row: row[2], "", "G", units=COUNTS, digits=3),
        Column("d", "params", lambda row: None, "", "M", units=COUNTS, digits=3),
    ]
    grid = lay_out("", columns, [("", [(0.9, 1.8, 2e-6)])])
    assert [heading.unit for heading in grid.headings] == ["G", "G", "K", "M"]
    assert [cell.text for cell in grid.groups[0].rows[0]] == ["0.900", "1.80", "2.00", EMPTY]
    assert all(heading.is_number for heading in grid.headings)


@pytest.mark.parametrize("value", [0, 123_456_789])
def test_calls_are_whole(value: int) -> None:
    column: Column[int] = Column("calls", "calls", lambda row: row, unit="×", kind="int", format=str)
    assert column.text(value) == str(value)


def test_no_other_folder_lays_headings_out_by_hand() -> None:
    package = Path(__file__).resolve().parents[2] / "ctxbench"
    by_hand = [
        path
        for path in package.rglob("*.py")
        if path.parent != package / "table"
        and re.search(r"\bHEADINGS\b|\bHeading\(", path.read_text("utf-8"))
    ]
    assert by_hand == []


@given(st.floats(-100, 100), st.integers(1, 3))
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value: float, digits: int) -> None:
    text = signed(value, digits)
    assert float(text.replace("−", "-")) == round(value, digits)
    assert text[0] == ("0" if round(value, digits) == 0 else "+" if value > 0 else "−")


def test_a_whole_number_is_shown_whole() -> None:
    column: Column[int] = Column("n", "n", lambda row: row, kind="int")
    assert [column.text(n) for n in (1, 512, 1234567)] == ["1", "512", "1234567"]
