"""Grids as HTML: read back by a parser."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.table.grid import Cell, Grid, Group, Heading
from ctxbench.table.html import code, grid_html, sort_value

NUMBER, WORD = Heading("n", "MACs", "fast", "G"), Heading("w", "verdict")


class Reader(HTMLParser):
    """A table's cells by row: tag, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, dict[str, str | None], str]]] = []
        self.tags: list[str] = []
        self.labels: list[str | None] = []
        self.feed(str(text))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.labels += [value for name, value in attributes if name == "aria-label"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append((tag, dict(attributes), ""))

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            tag, attributes, text = self.rows[-1][-1]
            self.rows[-1][-1] = (tag, attributes, text + data)


@given(st.text(st.characters(exclude_characters="`\r"), max_size=60), st.text(max_size=20))
def test_whatever_a_cell_holds_it_stays_text(text: str, label: str) -> None:
    grid = Grid(text, [WORD], [Group(label, [[Cell(text)]])])
    read = Reader(grid_html(grid))
    assert set(read.tags) <= {"div", "table", "thead", "tbody", "tr", "th", "td", "button", "code"}
    tag, attributes, shown = read.rows[-1][0]
    assert (tag, shown.strip()) == ("td", text.strip())
    assert read.labels == [text, "verdict"]
    assert attributes == {"data-label": "verdict", "data-value": "" if text == "–" else text}


def test_neighbours_share_a_header_and_a_column_has_its_number() -> None:
    headings = [WORD, NUMBER, Heading("m", "MACs", "published", "G")]
    row = [Cell("a"), Cell("1.5", best=True), Cell("–", note=2)]
    read = Reader(grid_html(Grid("A table", headings, [Group("first", [row])])))
    top, below, label, cells = read.rows
    assert [(a.get("colspan"), a.get("rowspan"), text.strip()) for _, a, text in top] == [
        (None, "2", "verdict"),
        ("2", None, "MACs"),
    ]
    assert [(a["data-column"], a["class"], text.strip()) for _, a, text in below] == [
        ("1", "number", "fast [G]"),
        ("2", "number", "published [G]"),
    ]
    assert (label[0][1]["colspan"], label[0][2].strip()) == ("3", "first")
    assert [(a.get("class"), a["data-value"], text.strip()) for _, a, text in cells] == [
        (None, "a", "a"),
        ("number best", "1.5", "1.5"),
        ("number", "", "–2"),
    ]


def test_without_shared_headers_there_is_one_row_of_headings() -> None:
    read = Reader(grid_html(Grid("", [WORD, NUMBER], [])))
    assert len(read.rows) == 1
    assert all("rowspan" not in attributes for _, attributes, _ in read.rows[0])


def test_a_verdict_is_set_off_by_its_class() -> None:
    grid = Grid("", [WORD], [Group("", [[Cell("not measured by <us>", note=1)], [Cell("nothing")]])])
    text = grid_html(grid, lambda text: "not measured" if text.startswith("not measured") else "")
    assert '<span class="verdict not-measured">not measured by &lt;us&gt;</span><sup>1</sup>' in text
    assert text.count("verdict not-measured") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~10.0", "10.0"),
        ("1,000 G", "1000"),
        ("−3", "-3"),
        ("2e-05", "2e-05"),
        ("0.97–1.03", "0.97"),
        ("–", ""),
    ],
)
def test_numbers_are_sorted_by_the_first(text: str, value: str) -> None:
    assert sort_value(NUMBER, text) == value


def test_words_are_sorted_by_themselves_and_empty_ones_last() -> None:
    assert (sort_value(WORD, "b 2"), sort_value(WORD, "–")) == ("b 2", "")


def test_backticks_are_code_and_the_rest_is_escaped() -> None:
    assert code("run `a < b` & go") == "run <code>a &lt; b</code> &amp; go"
