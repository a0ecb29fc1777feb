import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic import record, records

from ctxbench.report.tables import grids, latex, markdown
from ctxbench.table.latex import escape as latex_escape
from ctxbench.table.markdown import escape as markdown_escape
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


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_latex_has_booktabs_rules_and_aligned_cells() -> None:
    text = latex(grids(records() + records(32, 32)))
    assert balanced(text)
    for tabular in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, flags=re.S):
        columns = re.match(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", tabular)
        assert columns
        for rule in ("toprule", "midrule", "bottomrule"):
            assert tabular.count(f"\\{rule}") == 1
        for row in re.findall(r"^(.*) \\\\$", tabular, flags=re.M):
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + spanned == len(columns[1]), row
    assert r"\multicolumn{5}{c}{MACs}" in text
    assert r"\textbf{0.15152}" in text
    assert r"\texttt{ctxbench explain}" in text
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:ctxbench", "tab:table10"]


@given(st.text(max_size=60))
def test_latex_escapes_anything(text: str) -> None:
    escaped = latex_escape(text)
    assert balanced(escaped)
    bare = re.sub(r"\\[&%$#_{}]|\\[a-z]+\{?|\$\\[a-z]+\$", "", escaped)
    assert not set(bare) & set("&%$#_^~\\")
    assert escaped.isprintable() or not escaped


@given(st.text(max_size=60))
def test_markdown_cells_stay_cells(text: str) -> None:
    escaped = markdown_escape(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<*`]", escaped)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    head, tail = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n", "\\end{document}\n"
    (tmp_path / "table.tex").write_text(head + latex(grids(records())) + tail)
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"], cwd=tmp_path, check=True
    )
