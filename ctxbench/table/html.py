"""Grids as HTML tables that a page's script can sort: headings are buttons, cells hold what they sort by."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ctxbench.table.grid import EMPTY, Grid, Heading


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    return environment


def _source(name: str) -> str:
    package, _, file = name.rpartition("/")
    return files(package).joinpath(file).read_text(encoding="utf-8")


def template(package: str, name: str) -> Template:
    """A template that lies in a package. All that it is given is escaped, but for what is Markup already.

    The filter ``code`` shows what stands between backticks as code; another template is ``PACKAGE/NAME``.
    """
    return _environment().get_template(f"{package}/{name}")


def code(text: str) -> Markup:
    """Text as HTML; what stands between backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def grid_html(
    grid: Grid, verdict_of: Callable[[str], str] = lambda text: "", *, sorts: bool = True
) -> Markup:
    """The grid's table alone, without title, preface, notes and findings; buttons only where it ``sorts``.

    ``verdict_of`` finds the verdict that a cell's text begins with, empty for none; a page colours it.
    """
    return Markup(
        template("ctxbench.table", "grid.html").render(
            grid=grid,
            kind="data" if any(heading.is_number for heading in grid.headings) else "prose",
            has_parts=any(len(span.headings) > 1 for span in grid.spans()),
            sort_value=sort_value,
            verdict_of=verdict_of,
            sorts=sorts,
        )
    )


def sort_value(heading: Heading, text: str) -> str:
    """What a cell is sorted by: the first number in a column of numbers; empty where it has none."""
    if not heading.is_number:
        return "" if text == EMPTY else text
    number = re.search(r"[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?", text)
    return number[0].replace(",", "").replace("−", "-") if number else ""
