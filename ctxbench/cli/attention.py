"""``ctxbench attention``: what a trained network looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ctxbench.cli import values
from ctxbench.cli.app import app
from ctxbench.cli.options import Weights


@app.command()
def attention(
    run: Annotated[Path, typer.Argument(parser=values.place, help="A training run's folder.")],
    image: Annotated[Path, typer.Argument(parser=values.place, help="An image file.")],
    ranks: Annotated[
        Any,
        typer.Option(
            parser=values.integers("--ranks"),
            metavar="N",
            help="Which maps, a comma list, from 0. Default: four at random, always the same.",
        ),
    ] = "",
    truth: Annotated[
        Path | None, typer.Option(metavar="MASK", help="The image's mask, as the run's data set has them.")
    ] = None,
    checkpoint: Weights = "best",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG to write. Default: in the run's attention/."),
    ] = None,
) -> None:
    """Draw sub-attention maps over an image.

    As figure 5 of the paper: the mean over channels of |A_i X|, for some ranks i.
    """
    from ctxbench import api

    print(api.attention(run, image, ranks=ranks, truth=truth, checkpoint=checkpoint, out=out))
