"""``ctxbench list``: the modules there are."""

from __future__ import annotations

from typing import Annotated

import typer

from ctxbench.cli.app import app, say
from ctxbench.subject import registry


@app.command("list")
def list_modules(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Only modules with these words in their names, aliases or papers."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help=f"One family alone: {', '.join(registry.FAMILIES)}."),
    ] = None,
    since: Annotated[int, typer.Option(metavar="YEAR", help="Papers of this year or later.")] = 0,
) -> None:
    """List the registered modules, family by family."""
    listed = registry.catalogue(family, since, " ".join(words or ()))
    print(listed, end="")
    if not listed:
        say("no module is of that family and time, or has those words")
