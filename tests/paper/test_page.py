"""The index page, read as HTML and opened in a browser."""

import re
from pathlib import Path

import pandas as pd
import pytest
from browser import Reader, opened

from ctxbench.paper.ledger import Claim, ledger_sheet
from ctxbench.paper.page import write_page
from ctxbench.paper.sheet import Sheet, unmeasured, write_sheet
from ctxbench.table.grid import Cell, Grid, Group, Heading
from ctxbench.table.style import canvas

CLAIMS = [
    Claim("<900> times", "section 4.4", "899×", "70×", "71×", "MACs", "differs", reason="one call of 128"),
    Claim("lowest overhead", "section 4.4", "113×", "15×", "3×", "MACs", "in part", "latency"),
]
WIDE = 24
"""Columns that no phone has room for."""


def wide_sheet() -> Sheet:
    headings = [
        Heading("row", "row"),
        *(Heading(f"c{i}", f"column {i // 2}", str(i), "G") for i in range(WIDE)),
    ]
    values = {"b": ("2.5", "~10.0"), "a": ("–", "9"), "c": ("1,000", "−3")}
    rows = [[Cell(name), *map(Cell, pair), *[Cell("1.0000")] * (WIDE - 2)] for name, pair in values.items()]
    grid = Grid("A wide table", headings, [Group("first", rows), Group("second", [rows[1], rows[0]])])
    grid.notes.append("Make it by `ctxbench paper table99`.")
    frame = pd.DataFrame({"row": list(values), "verdict": ["reproduced", "differs", "not measured"]})
    figure = canvas(13, 3)
    figure.subplots().plot([1, 2], [3, 4], marker="o")
    return Sheet("table99", "A wide table", grid, frame, "somewhere", figure)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    picture = folder / "photo.png"
    canvas(1, 1).savefig(picture)
    grid = Grid("A picture", [Heading("name", "name")], [Group("", [[Cell("one")]])])
    drawn = Sheet("fig99", "A picture", grid, pd.DataFrame({"name": ["one"]}), "here", pictures=(picture,))
    lost = unmeasured("table1", "Table 1", "no run", "ctxbench train --out " + "x" * 200, source="here")
    sheets = [wide_sheet(), drawn, lost]
    for sheet in sheets:
        write_sheet(sheet, folder)
    return write_page(folder, ledger_sheet(CLAIMS, source="this machine"), sheets, source="this machine")


def test_it_is_whole_and_loads_nothing(page: Path) -> None:
    read = Reader(page.read_text())
    assert not read.open
    assert len(read.ids) == len(set(read.ids))
    for link in read.links:
        assert link.startswith(("#", "data:")) or (page.parent / link).is_file(), link
        assert not link.startswith("#") or link[1:] in read.ids


def test_it_has_every_sheet_with_its_files_and_its_origin(page: Path) -> None:
    text = page.read_text()
    for part in (
        'id="ledger"',
        'href="table99.csv"',
        'href="table1.tex"',
        "somewhere",
        "this machine",
        "&lt;900&gt; times",
        "one call of 128",
        "<code>ctxbench paper table99</code>",
        "data:image/png;base64,",
    ):
        assert part in text
    counts = re.search(r'<ul class="counts".*?</ul>', text)
    assert counts
    assert re.findall(r">([^<>]+)</span>", counts[0]) == ["reproduced 1", "differs 1", "not measured 2"]
    assert re.findall(r'class="verdict [^"]*">([^<]+)', text.partition('id="ledger"')[2])[:2] == [
        "differs",
        "in part: latency",
    ]


def test_it_sorts_and_fits_a_phone_without_errors(page: Path, tmp_path: Path) -> None:
    script = """
      const table = document.querySelector("#table99 table");
      const order = () => [...table.tBodies].map(
        b => [...b.rows].map(r => r.cells[0].textContent).join(" "));
      const press = (column) => {
        const heading = table.querySelector(`th[data-column="${column}"]`);
        const button = heading.querySelector("button");
        button.focus();
        const focused = document.activeElement === button;
        button.click();
        return [order(), heading.getAttribute("aria-sort"), focused];
      };
      return {
        before: order(), up: press(1), down: press(1), second: press(2), words: press(0), back: press(0),
        sorted: table.querySelectorAll("[aria-sort=ascending], [aria-sort=descending]").length,
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        width: innerWidth,
        boxed: table.parentElement.scrollWidth > table.parentElement.clientWidth,
      };
    """
    told = opened(page, script, tmp_path)
    assert told["errors"] == []
    assert told["before"] == ["first b a c", "second a b"]
    assert told["up"] == [["first b c a", "second b a"], "ascending", True]  # 2.5, 1000, the empty cell last
    assert told["down"] == [["first c b a", "second b a"], "descending", True]
    assert told["second"] == [["first c a b", "second a b"], "ascending", True]  # −3, 9, ~10
    assert told["words"] == [["first a b c", "second a b"], "ascending", True]
    assert told["back"] == [["first c b a", "second b a"], "descending", True]
    assert told["sorted"] == 1
    assert told["width"] == 390
    assert told["overflow"] == 0
    assert told["boxed"] is True
