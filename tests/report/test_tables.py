import os
import re
import shutil
import string
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from synthetic import MODULES, record, records, rounds
from tex import CLASSES, STYLES, needs_tex, overfull, typeset

from ctxbench.files import write_text
from ctxbench.measure.records import Record
from ctxbench.report.tables import BIB, grids, latex, markdown, write_latex
from ctxbench.report.view import View
from ctxbench.subject.registry import bibliography
from ctxbench.table.grid import Cell, Grid, Group, Heading
from ctxbench.table.markdown import escape as markdown_escape
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.terminal import stacked


def drawn(rows, width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(stacked(grids(rows)))
    return captured.get()


@pytest.mark.parametrize("width", [80, 120, 240])
def test_the_terminal_table_fits_its_width(width: int) -> None:
    text = drawn(records(), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("TGM+TRM", "0.15152", "0.15362", "10.737", "reproduced", "not reproducible"):
        assert word in text


def test_narrow_terminals_name_what_they_hide() -> None:
    assert "Not shown at this width" in drawn(records(), 80)
    assert "Not shown at this width" not in drawn(records(), 240)


def test_without_a_table_10_row_there_is_no_comparison() -> None:
    assert "Table 10 of the paper" not in drawn([record("emau", 32, 32)], 120)


def test_every_line_of_a_markdown_table_has_as_many_cells() -> None:
    rows = [*records(), record("emau", 32, 32, rounds_ms=[], status="crashed", reason="a | b")]
    text = markdown(grids(rows), rows)
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    assert len(tables) == 3
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_markdown_says_the_papers_claims_in_words() -> None:
    text = markdown(grids(records()), records())
    assert "each of the 64 ranks makes 2" in text
    assert "about 70×" in text
    assert "| 5.37 | 1.949 | 41.33 |" in text


def test_latex_has_booktabs_rules_and_aligned_cells() -> None:
    text = latex(records() + records(32, 32), View(("macs", "published_gmacs", "memory", "lat_median_ms")))
    (tabular,) = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, flags=re.S)
    columns = re.match(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", tabular)
    assert columns
    for rule in ("toprule", "midrule", "bottomrule"):
        assert tabular.count(f"\\{rule}") == 1
    for row in re.findall(r"^(.*) \\\\$", tabular, flags=re.M):
        spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + spanned == len(columns[1]), row
    assert r"\multicolumn{2}{c}{MACs}" in text
    assert r"\textbf{0.152}" in text


def test_a_paper_gets_what_it_has_room_for_with_its_conditions_and_nothing_unasked() -> None:
    text = latex(records())
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:ctxbench"]
    head = text.partition("\\midrule")[0].partition("\\toprule")[2].split()
    assert [word for word in head if word.isalpha()] == ["module", "params", "MACs", "memory", "latency"]
    (caption,) = re.findall(r"\\caption\{(.*)\}\\label", text)
    for words in (
        r"input 1$\times$512$\times$64$\times$64, float32",
        "inference, cpu, eager, Synthetic CPU, 2 CPU threads, torch 2.13.0+cpu",
        "built-in modules in their fast form",
        "MACs: multiply--accumulates of convolutions and matrix products in the forward pass, every call",
        "memory: measured peak of the device's allocator above parameters and input",
        "latency: median latency of one call",
    ):
        assert words in caption
    assert "Table 10" not in text
    assert "fvcore" not in text


def test_what_no_row_has_takes_no_room_on_paper_unless_it_was_asked_for() -> None:
    rows = [record("emau", alloc_bytes=None, reasons={"alloc_bytes": "not on this device"})]
    assert r"module & params & MACs & latency \\" in latex(rows)
    asked = latex(rows, View(("memory",)))
    assert r"module & memory \\" in asked
    assert "not on this device" in asked
    nothing = [record("emau", params=None, macs=None, alloc_bytes=None, rounds_ms=[], reason="all is lost")]
    assert "all is lost" in latex(nothing)


def test_a_built_in_module_is_cited_by_a_key_of_the_bibliography(tmp_path: Path) -> None:
    table, bib = write_latex(tmp_path / "t.tex", latex(records()))
    cited = re.findall(r"~\\cite\{(\w+)\}", table.read_text())
    assert len(cited) == len(MODULES)
    assert set(cited) <= set(re.findall(r"^@\w+\{(\w+),$", bib.read_text(), flags=re.M))
    assert bib == tmp_path / BIB


def test_a_device_gets_no_bibliography_beside_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert write_latex(pipe, "table") == [pipe]
    finally:
        os.close(reader)
    assert list(tmp_path.iterdir()) == [pipe]


def in_train_mode(name: str) -> list[Record]:
    """A block of the user's, of that name, against four built-in ones, forward and backward."""
    own = record("emau", unknown_ops={"aten.hardswish.default": 2}, note="recorded on real tensors")
    theirs = replace(own, case=replace(own.case, module=f"my/blocks.py:{name}", options={"act": "nn.GELU"}))
    four = [record(module) for module in ("nonlocal", "rcca", "a2net", "reconet")]
    noisy = replace(four[0], rounds_ms=rounds(50, seed=1, spread=0.5, count=5))
    gone = replace(four[1], status="oom", reason="132 MiB & more wanted", rounds_ms=[], alloc_bytes=None)
    rows = [theirs, noisy, gone, *four[2:]]
    return [replace(row, case=replace(row.case, mode="train")) for row in rows]


@needs_tex
@pytest.mark.parametrize("conference", CLASSES)
def test_tables_fit_a_column_of_a_conference_and_what_they_cite_is_found(
    conference: str, tmp_path: Path
) -> None:
    sweep = [row for size in (16, 32, 64) for row in records(size, size)]
    tables = [
        latex(records()),
        latex(in_train_mode("Mine_2")),
        latex(in_train_mode("HierarchicalMultiScaleContextAggregation"), View(own="first")),
        latex(sweep, View(("params", "macs", "flops", "memory"), sort="macs")),
    ]
    write_text(tmp_path / BIB, bibliography())
    end = f"\\bibliographystyle{{{STYLES[conference]}}}\\bibliography{{ctxbench}}"
    body = "\n".join([*tables, r"\clearpage\nocite{*}", end])
    typeset(tmp_path, body, conference)
    if shutil.which("bibtex"):
        ran = subprocess.run(["bibtex", "paper"], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
        assert "Warning" not in ran.stdout
        typeset(tmp_path, body, conference)
        log = typeset(tmp_path, body, conference)
        assert "undefined" not in log
    else:
        log = typeset(tmp_path, body, conference)
    assert overfull(log) == []
    assert all(table.startswith("\\begin{table}[t]") for table in tables)


ANY = st.one_of(st.text(max_size=60), st.text(string.punctuation + "a1 ", max_size=40))


def cells(markdown_text: str) -> list[list[str]]:
    """The cells of the tables, as GitHub's dialect reads them."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rows: list[list[str]] = []
    for token in parser.parse(markdown_text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and rows and token.level > 3:
            assert {child.type for child in token.children or []} <= {"text", "text_special", "html_inline"}
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


@given(ANY, ANY)
def test_any_text_survives_a_markdown_table(name: str, note: str) -> None:
    grid = Grid(
        "", [Heading("a", "a"), Heading("b", "b")], [Group("", [[Cell(name), Cell("x")]])], [], [note]
    )
    drawn = grid_markdown(grid)
    _, (shown, x) = cells(drawn)
    assert shown.strip() == " ".join(name.split()).replace("\0", "\ufffd")
    assert x == "x"
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(drawn)
    words = re.sub(r"<[^>]+>", "", html.rpartition("<li>")[2])
    assert " ".join(unescape(words).split()) == " ".join(note.split()).replace("\0", "\ufffd")


@given(ANY)
def test_markdown_is_not_read_as_mathematics_or_as_somebody(text: str) -> None:
    escaped = markdown_escape(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[$|<*`]", escaped)
    assert len(re.findall(r"(?<!\\)(?:\\\\)*~", escaped)) < 2
