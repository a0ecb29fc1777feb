"""``ctxbench env``: what a record says of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ctxbench.cli.app import app


@app.command()
def env(device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu") -> None:
    """Print what a record says of this machine."""
    from ctxbench import api

    for key, value in api.environment(device).items():
        print(f"{key:28} {value}")
