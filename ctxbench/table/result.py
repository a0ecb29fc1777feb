"""What a verb returns: tables by ``str()``, a line or two by ``repr()``, and tables in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from ctxbench.table.grid import Grid
from ctxbench.table.html import grid_html, template
from ctxbench.table.terminal import LINE, plain


class Result:
    """A result that is looked at as tables. Derived dataclasses leave ``repr`` to it."""

    def grids(self) -> Sequence[Grid]:
        """Its tables."""
        raise NotImplementedError

    @property
    def headline(self) -> str:
        """What it is of and what it comes to, with shapes, conventions and units."""
        raise NotImplementedError

    def __str__(self) -> str:
        return plain(self.grids())

    def __repr__(self) -> str:
        text = f"<{type(self).__name__} {self.headline}>"
        return fill(text, LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)

    def _repr_html_(self) -> str:
        return template("ctxbench.table", "result.html").render(grids=self.grids(), table=grid_html)
