"""``ctxbench eval``: score a trained network, or predictions in files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctxbench.cli import progress, shared, values
from ctxbench.cli.app import USAGE, app
from ctxbench.cli.options import Weights
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.evaluate.evaluation import Evaluation

OF_PREDICTIONS = {"--predictions", "--dataset", "--root", "--split", "--classes59", "--skip-bad", "--out"}


@app.command("eval")
def evaluate(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(parser=values.place, help="A training run's folder.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set's name. Default: the run's own.")] = None,
    root: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Default: the one the data set is usually evaluated on.")
    ] = None,
    classes59: Annotated[
        bool,
        typer.Option(
            "--classes59",
            help="PASCAL-Context without its background; × 59/60 stands beside printed numbers.",
        ),
    ] = False,
    scales: Annotated[
        Any,
        typer.Option(
            parser=values.factors("--scales"), metavar="S", help="Factors of the image's size, a comma list."
        ),
    ] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Also mirrored; probabilities are averaged.")] = False,
    ms_flip: Annotated[
        bool, typer.Option("--ms-flip", help="As the paper: scales 0.75,1,1.25,1.5,1.75,2 and --flip.")
    ] = False,
    sliding: Annotated[
        int | None, typer.Option(metavar="N", help="Square windows of N pixels, 2/3 N apart, averaged.")
    ] = None,
    checkpoint: Weights = "last",
    save_predictions: Annotated[
        bool,
        typer.Option("--save-predictions", help="As files, in the data set's or its server's layout."),
    ] = False,
    predictions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Score the predictions in DIR instead of a run.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU where there is one.")
    ] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes, each with its GPU; under torchrun its own count stands.")
    ] = 1,
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"], typer.Option(help="Of convolutions and products.")
    ] = "32-true",
    batch: Annotated[int, typer.Option(min=1, help="Images of one size that go through together.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; 0: none beside.")] = 0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out samples that cannot be read, and name them.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: in the run, named by data set and setting.")
    ] = None,
) -> None:
    """Evaluate a trained network, or a folder of predictions.

    mIoU, pixel accuracy and IoU per class on whole images, beside the paper's printed numbers. Writes the
    confusion matrix, tables and pictures. Exit codes: 0 evaluated, 2 bad input, 130 interrupted.
    """
    if (run is None) == (predictions is None):
        raise UserError("eval takes either a run's folder or --predictions DIR")
    given = set(shared.given(context))
    if ms_flip and (doubled := given & {"--scales", "--flip"}):
        raise UserError(f"--ms-flip sets scales and flip: leave out {', '.join(sorted(doubled))}")
    if predictions is not None and (unused := given - OF_PREDICTIONS):
        raise UserError(f"predictions are scored as they are: leave out {', '.join(sorted(unused))}")
    if predictions is not None and dataset is None:
        raise UserError("--predictions needs the --dataset that they are of")
    from ctxbench import api
    from ctxbench.evaluate.evaluation import MULTI_SCALES
    from ctxbench.train.launch.engine import is_rank_zero

    try:
        with progress.display() as show:
            evaluation = api.evaluate(
                run,
                predictions=predictions,
                dataset=dataset,
                root=root,
                split=split,
                classes59=classes59,
                scales=MULTI_SCALES if ms_flip else scales,
                flip=flip or ms_flip,
                sliding=sliding,
                checkpoint=checkpoint,
                save_predictions=save_predictions,
                device=device,
                devices=devices,
                precision=precision,
                batch=batch,
                workers=workers,
                skip_bad=skip_bad,
                out=out,
                progress=partial(show, "images"),
            )
    except UserError:
        if is_rank_zero():
            raise
        raise typer.Exit(USAGE) from None  # the first process says it for all
    if is_rank_zero():
        _deliver(evaluation, evaluation.folder or out)


def _deliver(evaluation: Evaluation, folder: Path | None) -> None:
    from ctxbench.evaluate.files import FILES

    shared.show(evaluation.grids())
    speed = evaluation.images / evaluation.seconds
    print(f"\n{evaluation.images} images in {evaluation.seconds:.1f} s, {speed:.1f} images/s.")
    if evaluation.skipped:
        print(f"Left out as unreadable: {', '.join(evaluation.skipped)}.")
    if folder is not None:
        print(f"Written to {folder}: {', '.join(FILES)}, pictures.png.")
