"""The verbs that evaluate a trained network and look into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ctxbench.cli import shared
from ctxbench.cli import values as arguments
from ctxbench.cli.app import USAGE, app
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.evaluate.evaluation import Evaluation

Weights = Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="Which weights of the run.")]
OF_PREDICTIONS = {"--predictions", "--dataset", "--root", "--split", "--skip-bad", "--out"}


@app.command("eval")
def evaluate(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="A training run's folder.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set's name. Default: the run's own.")] = None,
    root: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Default: the one the data set is usually evaluated on.")
    ] = None,
    scales: Annotated[str, typer.Option(help="Factors of the image's size, a comma list.")] = "1",
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
    from ctxbench.evaluate.evaluation import PAPER_SCALES
    from ctxbench.evaluate.predict import Setting
    from ctxbench.train.engine import is_rank_zero
    from ctxbench.train.evaluation import evaluate_predictions, evaluate_run, open_split
    from ctxbench.train.run import TrainedRun

    try:
        if run is None:
            if dataset is None or predictions is None:
                raise UserError("--predictions needs the --dataset that they are of")
            data, skipped = open_split(dataset, root, split, skip_bad)
            with shared.progress_bar(counted=True) as bar:
                found = evaluate_predictions(
                    predictions, data, skipped=skipped, out=out, progress=shared.counting(bar, "images")
                )
            _deliver(found, out)
            return
        trained = TrainedRun(run)
        config = trained.config
        if dataset in (None, config.dataset):
            dataset, split = config.dataset, split or config.eval_split
            root = root or (Path(config.root) if config.root else None)
        factors = PAPER_SCALES if ms_flip else tuple(map(_factor, arguments.split([scales])))
        setting = Setting(factors, flip or ms_flip, sliding, precision)
        data, skipped = open_split(dataset, root, split, skip_bad)
        with shared.progress_bar(counted=True) as bar:
            found, folder = evaluate_run(
                trained,
                data,
                which=checkpoint,
                setting=setting,
                device=device,
                devices=devices,
                batch=batch,
                workers=workers,
                skipped=skipped,
                save_predictions=save_predictions,
                out=out,
                progress=shared.counting(bar, "images"),
            )
    except UserError:
        if is_rank_zero():
            raise
        raise typer.Exit(USAGE) from None  # the first process says it for all
    if is_rank_zero():
        _deliver(found, folder)


@app.command()
def attention(
    run: Annotated[Path, typer.Argument(help="A training run's folder.")],
    image: Annotated[Path, typer.Argument(help="An image file.")],
    ranks: Annotated[
        str, typer.Option(help="Which maps, a comma list, from 0. Default: four at random, always the same.")
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
    from ctxbench.evaluate.attention import look

    chosen = tuple(arguments.integer("--ranks", text) for text in arguments.split([ranks]))
    print(look(run, image, ranks=chosen, truth=truth, which=checkpoint, out=out))


def _factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"--scales takes numbers, such as 0.75,1,1.25; not {text!r}") from None


def _deliver(evaluation: Evaluation, folder: Path | None) -> None:
    from ctxbench.evaluate.evaluation import FILES, tables

    shared.show(tables(evaluation))
    speed = evaluation.images / evaluation.seconds
    print(f"\n{evaluation.images} images in {evaluation.seconds:.1f} s, {speed:.1f} images/s.")
    if evaluation.skipped:
        print(f"Left out as unreadable: {', '.join(evaluation.skipped)}.")
    if folder is not None:
        print(f"Written to {folder}: {', '.join(FILES)}, pictures.png.")
