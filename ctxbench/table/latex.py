r"""Grids as LaTeX tables that need ``\usepackage{booktabs}`` and nothing else."""

import re
from collections.abc import Iterable

from ctxbench.table.grid import Cell, Grid

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{special: f"\\{special}" for special in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "×": r"$\times$",
    "÷": r"$\div$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≫": r"$\gg$",
    "−": "$-$",
    **{high: rf"\textsuperscript{{{digit}}}" for digit, high in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "θ": r"$\theta$",
    "φ": r"$\phi$",
    "ψ": r"$\psi$",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\dots{}",
}


def escape(text: str) -> str:
    """Write text so that LaTeX sets it as it reads; a character LaTeX may not know becomes ``?``.

    What stands between backticks is set as code.
    """
    safe = "".join(_SPECIAL.get(c) or (c if c.isascii() and c.isprintable() else _foreign(c)) for c in text)
    return re.sub("`([^`]+)`", r"\\texttt{\1}", safe)


def _foreign(character: str) -> str:
    if character.isspace():
        return " "
    return character if "\xc0" <= character <= "\u017f" and character.isalpha() else "?"


def grid_latex(grid: Grid, caption: str, label: str) -> str:
    """The grid as a ``table`` environment with booktabs rules, and its notes under it."""
    grid = grid.without([heading for heading in grid.headings if not heading.in_print])
    headings = grid.headings
    if any(heading.is_number for heading in headings):
        alignment = "".join("r" if heading.is_number else "l" for heading in headings)
    else:  # words alone, which wrap
        alignment = rf"p{{{0.92 / len(headings):.3f}\linewidth}}" * len(headings)
    lines = [
        r"\begin{table}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(caption)}}}\label{{{label}}}",
        *([rf"\par {escape(grid.preface)}\par\smallskip"] if grid.preface else []),
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        *_head(grid),
        r"\midrule",
    ]
    for number, group in enumerate(grid.groups):
        if number:
            lines.append(r"\addlinespace")
        if group.label:
            lines.append(rf"\multicolumn{{{len(headings)}}}{{@{{}}l}}{{\emph{{{escape(group.label)}}}}} \\")
        lines += [_row(map(_cell, row)) for row in group.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [rf"\textsuperscript{{{number}}} {escape(note)}" for number, note in enumerate(grid.footnotes, 1)]
    notes += [escape(note) for note in (*grid.notes, *grid.findings)]
    if notes:
        lines += ["", r"\smallskip\raggedright\scriptsize", *(rf"{note}\par" for note in notes)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _head(grid: Grid) -> list[str]:
    """Set the headings in three lines; neighbours that share the first are spanned by it."""
    top, rules = [], []
    for span in grid.spans():
        width = len(span.headings)
        if width > 1:
            top.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(span.header)}}}")
            rules.append(rf"\cmidrule(lr){{{span.start + 1}-{span.start + width}}}")  # LaTeX counts from 1
        else:
            top.append(escape(span.header))
    parts = [escape(heading.part) for heading in grid.headings]
    units = [f"[{escape(heading.unit)}]" if heading.unit else "" for heading in grid.headings]
    return [_row(top), *rules, _row(parts), _row(units)]


def _row(cells: Iterable[str]) -> str:
    """One row; a bracket or star at its start would be read as an argument of the row before."""
    line = " & ".join(cells) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _cell(cell: Cell) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.best else escape(cell.text)
    return text + (rf"\textsuperscript{{{cell.note}}}" if cell.note else "")
