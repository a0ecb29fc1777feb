"""``ctxbench list``: the modules there are."""

from __future__ import annotations

from ctxbench.cli.app import app
from ctxbench.subject import registry


@app.command("list")
def list_modules() -> None:
    """List the registered modules."""
    print(registry.catalogue(), end="")
