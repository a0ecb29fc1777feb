"""The index page: every sheet and the ledger in one HTML file that loads nothing."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from ctxbench.files import write_text
from ctxbench.paper.ledger import Claim, ledger_sheet
from ctxbench.paper.sheet import VERDICTS, Sheet
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading

PAGE = "index.html"
TITLE = "RecoNet, regenerated"
ABOUT = (
    "Tables and figures of Tensor Low-Rank Reconstruction for Semantic Segmentation (Chen et al., ECCV "
    "2020), regenerated from measurements beside what the paper prints. What was not measured is empty, with "
    "the reason."
)
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}


def write_page(folder: Path, sheets: Sequence[Sheet], claims: Iterable[Claim], *, source: str) -> Path:
    """Write ``index.html``: the ledger, then each sheet with its figure, origin and links to its files.

    The sheets lie in ``folder`` already, written by :func:`~ctxbench.paper.sheet.write_sheet`. ``source``
    is the origin of the page. Raises UserError where it cannot be written.
    """
    ledger = ledger_sheet(claims, source=source)
    every = [ledger, *sheets]
    links = "".join(f'<li><a href="#{s.name}">{_text(_short(s))}</a></li>' for s in every)
    body = "\n".join(_section(folder, sheet) for sheet in every)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(TITLE)}</title>
<link rel="icon" href="data:,">
<style>
{_resource("page.css")}</style>
</head>
<body>
<header>
<h1>{_text(TITLE)}</h1>
<p>{_text(ABOUT)}</p>
{_counts(sheets)}
<nav aria-label="Tables and figures"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
<footer><p class="origin">{_text(source)}</p></footer>
<script>
{_resource("page.js")}</script>
</body>
</html>
"""
    return write_text(folder / PAGE, page)


def _resource(name: str) -> str:
    return files("ctxbench.paper").joinpath(name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    """Text as HTML; what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _short(sheet: Sheet) -> str:
    """``Table 9`` for table9, and so on."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", sheet.name).replace("_", " ").capitalize()


def _counts(sheets: Iterable[Sheet]) -> str:
    """How many verdicts there are in the tables, of each kind."""
    found = Counter(verdict for sheet in sheets for verdict in sheet.verdicts.to_numpy().ravel().tolist())
    items = [f"<li>{_verdict(f'{v} {found[v]}', v)}</li>" for v in VERDICTS if found[v]]
    return (
        f'<ul class="counts" aria-label="Verdicts in the tables below">{"".join(items)}</ul>' if items else ""
    )


def _section(folder: Path, sheet: Sheet) -> str:
    kinds = [kind for kind in ("csv", "md", "tex") if (folder / f"{sheet.name}.{kind}").exists()]
    links = ", ".join(f'<a href="{sheet.name}.{kind}">{kind.upper()}</a>' for kind in kinds)
    notes = [f"<p><sup>{n}</sup> {_text(why)}</p>" for n, why in enumerate(sheet.grid.footnotes, 1)]
    notes += [f"<p>{_text(note)}</p>" for note in sheet.grid.notes]
    parts = [
        f'<section id="{sheet.name}" aria-labelledby="{sheet.name}-title">',
        f'<h2 id="{sheet.name}-title">{_text(sheet.grid.title)}</h2>',
        *(f"<p>{_text(finding)}</p>" for finding in sheet.grid.findings),
        _table(sheet.grid),
        f'<div class="notes">{"".join(notes)}</div>',
        *_figures(folder, sheet),
        f'<p class="origin">{links}{" · " if links else ""}{_text(sheet.origin)}</p>',
        "</section>",
    ]
    return "\n".join(parts)


def _table(grid: Grid) -> str:
    kind = "data" if any(heading.is_number for heading in grid.headings) else "prose"
    label = escape(grid.title, quote=True)
    bodies = "\n".join(_body(grid.headings, group) for group in grid.groups)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">\n'
        f'<table class="{kind}">\n<thead>{_head(grid.headings)}</thead>\n{bodies}\n</table></div>'
    )


def _head(headings: Sequence[Heading]) -> str:
    """Two rows: neighbours that share a header are spanned by it, and have their parts under it."""
    top, below, column = "", "", 0
    for header, shared in groupby(headings, key=lambda heading: heading.header):
        of = list(shared)
        if len(of) == 1:
            top += _button(of[0], column, header, of[0].part, 'rowspan="2"')
        else:
            top += f'<th colspan="{len(of)}" scope="colgroup">{_text(header)}</th>'
            below += "".join(_button(heading, column + i, heading.part) for i, heading in enumerate(of))
        column += len(of)
    return f"<tr>{top}</tr><tr>{below}</tr>" if below else f"<tr>{top}</tr>".replace(' rowspan="2"', "")


def _button(heading: Heading, column: int, name: str, part: str = "", span: str = "") -> str:
    small = " ".join(filter(None, (part, f"[{heading.unit}]" if heading.unit else "")))
    kind = ' class="number"' if heading.is_number else ""
    unit = f" <small>{_text(small)}</small>" if small else ""
    return (
        f'<th scope="col" aria-sort="none" data-column="{column}"{kind} {span}>'
        f'<button type="button" aria-label="{escape(heading.line)}">{_text(name)}{unit}</button></th>'
    )


def _body(headings: Sequence[Heading], group: Group) -> str:
    label = f'<tr><th colspan="{len(headings)}" scope="rowgroup">{_text(group.label)}</th></tr>'
    rows = "\n".join(f"<tr>{''.join(map(_cell, headings, row))}</tr>" for row in group.rows)
    return f"<tbody>{label if group.label else ''}{rows}</tbody>"


def _cell(heading: Heading, cell: Cell) -> str:
    names = ["number"] * heading.is_number + ["best"] * cell.best
    kind = f' class="{" ".join(names)}"' if names else ""
    note = f"<sup>{cell.note}</sup>" if cell.note else ""
    value = escape(_value(heading, cell.text), quote=True)
    verdict = next((v for v in VERDICTS if cell.text == v or cell.text.startswith(f"{v} ")), "")
    shown = f"{_text(cell.text)}{note}"
    if verdict:
        shown = f'<span class="judged">{_verdict(cell.text, verdict)}{note}</span>'
    return f'<td{kind} data-label="{escape(heading.line)}" data-value="{value}">{shown}</td>'


def _verdict(text: str, verdict: str = "") -> str:
    return f'<span class="verdict {(verdict or text).replace(" ", "-")}">{_text(text)}</span>'


def _value(heading: Heading, text: str) -> str:
    """What a cell is sorted by: the first number in a column of numbers; empty where it has none."""
    if not heading.is_number:
        return "" if text == EMPTY else text
    found = re.search(r"[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?", text)
    return found[0].replace(",", "").replace("−", "-") if found else ""


def _figures(folder: Path, sheet: Sheet) -> list[str]:
    shown = []
    if sheet.figure is not None:
        drawn = (folder / f"{sheet.name}.svg").read_text(encoding="utf-8")
        shown.append(_inline(drawn, sheet.name, sheet.grid.title))
    for path in sheet.pictures:
        data = b64encode(path.read_bytes()).decode()
        shown.append(f'<img alt="{escape(path.stem)}" src="data:{MEDIA[path.suffix]};base64,{data}">')
    label = f"Figure of {escape(_short(sheet))}"
    return [
        f'<div class="scroll figure" tabindex="0" role="region" aria-label="{label}">{picture}</div>'
        for picture in shown
    ]


def _inline(svg: str, name: str, label: str) -> str:
    """A drawing to stand in the page: with ids of its own, at most as wide as it was drawn."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    head, end, rest = svg.partition(">")
    wide = re.search(r' width="([\d.]+pt)"', head)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    style = f' style="--wide: {wide[1]}"' if wide else ""
    return f'{head} role="img" aria-label="{escape(label)}"{style}{end}{rest}'
