"""Grids as LaTeX: any text survives it, and any grid fits the columns of three conferences."""

import random
import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tex import CLASSES, needs_tex, overfull, typeset

from ctxbench.table.grid import Cell, Grid, Group, Heading
from ctxbench.table.latex import grid_latex
from ctxbench.table.latex_text import BREAK, breakable, escape, readable, width_pt

ESCAPED = re.compile(
    r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|char34|allowbreak|dots|S"
    r"|copyright|pounds|ss|ae|AE|oe|OE|o|O|l|L|i|aa|AA)\{\}"
    r"|\\[&%$#_{}]|\\[`'^~=u.\"rHvc]\{[A-Za-z]?\}|\\text(tt|superscript|subscript)(?=\{)"
    r"|\$(\\[A-Za-z]+|\\\||-|\*|\^\{\\circ\})\$|\{[\[*]?\}"
)
"""Everything with a meaning to TeX that may stand in escaped text."""


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|([{}])", text, flags=re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


@given(st.one_of(st.text(max_size=60), st.text(string.punctuation + "aλ²₂10“‘ ", max_size=40)))
@example("“a‘`")
def test_no_text_has_a_meaning_to_tex(text: str) -> None:
    escaped = escape(text)
    assert balanced(escaped)
    assert escaped.isascii()
    assert escaped.isprintable() or not escaped
    bare = ESCAPED.sub("", escaped)
    assert not set(bare) & set("&%$#_^~\\[*")
    assert bare.count("`") == text.count("‘") + 2 * text.count("“")  # which TeX writes so
    assert "--" not in escaped or "–" in text or "—" in text


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("10^9", r"10\textsuperscript{9}"),
        ("(HW)^2", r"(HW)\textsuperscript{2}"),
        ("O(CH²W²)", r"O(CH\textsuperscript{2}W\textsuperscript{2})"),
        ("10⁻⁵", r"10\textsuperscript{$-$5}"),
        ("λ, Ω, μ, ε, Α", r"$\lambda$, $\Omega$, $\mu$, $\varepsilon$, A"),
        ("a^b", r"a\textasciicircum{}b"),
        ("~4.96", r"$\sim$4.96"),
        ("~/blocks", r"\textasciitilde{}/blocks"),
        ("f.py:Block(C, 8, act=nn.GELU)", "f.py:Block(C, 8, act=nn.GELU)"),
        ("`ctxbench --help`", r"\texttt{ctxbench -{}-help}"),
        ("é ǧ", r"\'{e} \v{g}"),
        ("[a] *b*", "{[}a] {*}b{*}"),
        ("注", "{[}U+6CE8]"),
    ],
)
def test_text_is_set_as_it_reads(text: str, latex: str) -> None:
    assert escape(text) == latex


@given(st.text(max_size=80), st.integers(10, 200))
def test_a_long_word_can_be_broken_and_nothing_else_changes(text: str, room_pt: int) -> None:
    broken = breakable(text, room_pt)
    assert broken.replace(BREAK, "") == readable(text).replace(BREAK, "")
    assert all(width_pt(piece) <= room_pt for piece in re.split(rf"[{BREAK} ]", broken))


EVERYTHING = [
    string.printable[:95],
    *(f"[{sign}] *{sign}{sign}a {sign}" for sign in string.punctuation),
    "a--b---c ''x'' ,,y,, <<z>> ?` !` ``q``",
    "`code --x` and `one",
    "x_1^2 10^9 2^-5 ^2",
    "注意 😀 \x00\x07\x1b[31m\u202e",
    *("".join(map(chr, range(start, start + 64))) for start in range(0xA0, 0x600, 64)),
    *("".join(map(chr, range(start, start + 64))) for start in range(0x1E00, 0x2C00, 64)),
]


@needs_tex
def test_tex_sets_any_text_in_a_row_in_the_caption_and_under_the_table(tmp_path: Path) -> None:
    headings = [Heading("a", "name"), Heading("b", "&%#_[", "[p]", "G"), Heading("c", "words")]
    grids = []
    for text in EVERYTHING:
        whole = [Cell(text, best=True), Cell("1.5"), Cell(text, note=1)]
        begun = [Cell(text[:2]), Cell("1.5"), Cell("")]  # what begins a row after the end of another
        grids.append(Grid("", headings, [Group(text, [whole, begun, begun])], [text]))
    drawn = [grid_latex(grid, f"{grid.footnotes[0]}", f"tab:{i}") for i, grid in enumerate(grids)]
    log = typeset(tmp_path, "\n\\clearpage\n".join(drawn))
    assert "Missing character" not in log
    assert overfull(log) == []


WORDS = (
    "Block attention Context_Module x HierarchicalMultiScaleContextAggregation "
    "file.py:Block(C, 8, act=nn.GELU)"
)


def grids_of_all_shapes(count: int) -> list[Grid]:
    """Tables of one to twenty columns, with names short and long, spans, footnotes and bold cells."""
    chance = random.Random(0)
    made = []
    for _ in range(count):
        headings = [Heading("name", "module")]
        headings += [
            Heading(
                f"c{i}",
                chance.choice(["MACs", "memory", "latency", "own exponent"]),
                chance.choice(["", "", "published", "last two points"]),
                chance.choice(["G", "MiB", "K", ""]),
                counts=chance.random() < 0.8,
            )
            for i in range(chance.choice([1, 4, 4, 6, 9, 20]))
        ]
        bold = chance.choice([0, 0.3, 1])
        rows = [
            [
                Cell(
                    " ".join(chance.choices(WORDS.split(), k=chance.choice([1, 1, 2, 4]))),
                    chance.random() < bold,
                    chance.choice([0, 0, 1]),
                    chance.choice(["", "wang2018nonlocal"]),
                ),
                *(
                    Cell(
                        chance.choice(["–", "12.3", "0.00123", "≥ 1230", "3.28e-05", "~10300", "12345.678"])
                        if heading.is_number
                        else chance.choice(["fast", "as published", WORDS]),
                        chance.random() < bold,
                        chance.choice([0, 0, 12]),
                    )
                    for heading in headings[1:]
                ),
            ]
            for _ in range(4)
        ]
        label = chance.choice(
            ["", "input 1×512×64×64", "float32 · contiguous · train · cpu · compiled · " * 2]
        )
        made.append(Grid("A table", headings, [Group(label, rows)] * 2, [WORDS] * 12, [WORDS * 2], [WORDS]))
    return made


@needs_tex
@pytest.mark.parametrize("conference", CLASSES)
def test_nothing_stands_out_of_its_column(conference: str, tmp_path: Path) -> None:
    drawn = [
        grid_latex(grid, f"Costs. {WORDS}", f"tab:{i}") for i, grid in enumerate(grids_of_all_shapes(60))
    ]
    assert {re.search(r"\\begin\{(table\*?)\}", text)[1] for text in drawn} == {"table", "table*"}  # type: ignore[index]
    body = "\n\\clearpage\n".join(drawn)
    assert overfull(typeset(tmp_path, body, conference)) == []


def test_what_is_too_wide_for_a_page_stands_in_blocks_that_each_name_the_rows() -> None:
    headings = [Heading("name", "module"), *(Heading(f"c{i}", f"column {i}", "", "G") for i in range(30))]
    text = grid_latex(
        Grid("", headings, [Group("", [[Cell("Block"), *[Cell("1.5")] * 30]])]), "Costs", "tab:x"
    )
    blocks = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, flags=re.DOTALL)
    assert len(blocks) > 1
    assert all("\nBlock & " in block for block in blocks)
    assert re.findall(r"column (\d+)", text) == [str(i) for i in range(30)]


def test_a_name_that_is_too_long_wraps_and_a_short_one_is_let_be() -> None:
    numbers = [Heading(f"c{i}", "latency", str(i), "ms") for i in range(5)]
    long = "file.py:HierarchicalContext(C, 8, act=nn.GELU)"
    rows = [[Cell(name), *[Cell("12.3")] * 5] for name in (long, "SE")]
    text = grid_latex(Grid("", [Heading("name", "module"), *numbers], [Group("", rows)]), "Costs", "tab:x")
    assert text.startswith("\\begin{table}[t]")
    first, second = re.findall(r"^(.*?) & 12.3", text, flags=re.M)
    assert first.startswith(r"\parbox[t]{")
    assert second == "SE"
    assert width_pt(long) > 100
