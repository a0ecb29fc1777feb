"""Figure 5: what a trained network's sub-attention maps A_i · X activate in images."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ctxbench.data.reading import loaded, open_picture
from ctxbench.errors import UserError
from ctxbench.evaluate.attention import attention_module, heat_maps, random_ranks, write_attention
from ctxbench.evaluate.pictures import Pixels, colours, evenly_spaced
from ctxbench.files import writing
from ctxbench.networks.network import Segmenter
from ctxbench.paper import provenance
from ctxbench.paper.sheet import Sheet, unmeasured
from ctxbench.table.column import Column, frame, lay_out
from ctxbench.table.grid import Grid
from ctxbench.train.config import TrainConfig
from ctxbench.train.evaluation import open_split
from ctxbench.train.run import TrainedRun, network_of

TITLE = "Figure 5 of the paper: sub-attention maps"
COMMAND = "ctxbench train --out runs/synthetic && ctxbench paper fig5 --run runs/synthetic"
IMAGES_BY_DEFAULT = 3
"""Images of the run's own evaluation split that are drawn where none is given."""

Sample = tuple[str, Callable[[], tuple[Image.Image, Pixels | None]]]
"""An image's name, and how to read it with its truth in colours, where that is known."""


class Drawn(NamedTuple):
    """An image drawn: the ranks of its maps and the rule that chose them, and how far the maps are alike."""

    image: str
    ranks: tuple[int, ...]
    rule: str
    correlation: float | None
    untrained: float | None
    """The same of the network before its training."""
    picture: Path


COLUMNS: tuple[Column[Drawn], ...] = (
    Column("image", "image", lambda row: row.image, kind="text"),
    Column("ranks", "ranks", lambda row: " ".join(map(str, row.ranks)), kind="text"),
    Column("rule", "rule", lambda row: row.rule, kind="text"),
    Column(
        "correlation", "correlation", lambda row: row.correlation, "this run", "r", format="{:.2f}".format
    ),
    Column(
        "untrained_correlation", "correlation", lambda row: row.untrained, "untrained", "r",
        format="{:.2f}".format,
    ),
    Column("picture", "picture", lambda row: row.picture.name, kind="text"),
)  # fmt: skip


def fig5(
    run: Path | None,
    folder: Path,
    *,
    images: Sequence[Path] = (),
    ranks: Sequence[int] = (),
    source: str,
) -> Sheet:
    """Draw the maps of the network in ``run`` over images, as ``fig5_1.png`` and so on in ``folder``.

    ``images`` are files; by default three of the run's own evaluation split, beside their truth. ``ranks``
    are counted from 0, by default four at random, as in the paper, but always the same. The weights are those
    of the run's best evaluation. ``source`` is the sheet's origin.

    Raises UserError where the run has no such weights or maps, or a file cannot be read or written.
    """
    if run is None:
        return unmeasured("fig5", TITLE, "no trained run was given", COMMAND, source=source)
    trained = TrainedRun(run)
    checkpoint = trained.checkpoint("best")
    network, fresh = trained.network("best", checkpoint), _untrained(trained.config, len(checkpoint.classes))
    rank = attention_module(network).rank
    rule = "as given" if ranks else f"random, of 0 to {rank - 1}, seed 0"
    drawn = tuple(ranks) or random_ranks(rank)
    samples = list(map(_file, images)) or _own(trained)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (name, read) in enumerate(samples, 1):
        image, truth = read()
        maps = heat_maps(network, image, drawn)
        path = write_attention(folder / f"fig5_{number}.png", image, maps, drawn, truth)
        untrained = correlation(heat_maps(fresh, image, drawn))
        rows.append(Drawn(name, tuple(drawn), rule, correlation(maps), untrained, path))
    config = trained.config
    weights = f"best weights, iteration {checkpoint.iteration}"
    about = f"{config.title}, {config.backbone}, {config.dataset}, {weights}"
    grid = _grid(rows, f"{run.resolve().name}, seed {config.seed} · {about}")
    grid.notes.append(f"The run was {provenance.trained([trained.starts], config.precision)}.")
    pictures = tuple(row.picture for row in rows)
    return Sheet("fig5", TITLE, grid, frame(COLUMNS, rows), f"maps: {source}", pictures=pictures)


def has_maps(run: Path) -> bool:
    """Whether a training run's network has sub-attention maps. Raises UserError where it is not known."""
    with torch.device("meta"):
        network = network_of(TrainedRun(run).config, classes=2)
    try:
        attention_module(network)
    except UserError:
        return False
    return True


def correlation(maps: Sequence[NDArray[np.float32]]) -> float | None:
    """Mean over all pairs of maps of Pearson's r between their pixels; None where no pair varies."""
    varied = [each.ravel() for each in maps if np.ptp(each) > 0]  # (H·W,) each
    coefficients = [float(np.corrcoef(one, other)[0, 1]) for one, other in combinations(varied, 2)]
    return float(np.mean(coefficients)) if coefficients else None


def _grid(rows: Sequence[Drawn], about: str) -> Grid:
    grid = lay_out(f"{TITLE} · {about}", COLUMNS, [("", rows)])
    grid.notes += [
        "Each map is the mean over channels of |A_i · X|, stretched from its least to its greatest value.",
        "The paper chose its four maps at random and gives neither ranks, images nor a number: no verdict.",
        "Correlation: Pearson's r between two maps of an image, the mean over pairs. Untrained: of the same "
        "network with random weights.",
    ]
    trained, untrained = _span(row.correlation for row in rows), _span(row.untrained for row in rows)
    if trained and untrained:
        grid.findings.append(
            "The paper says that the maps mainly focus on different parts of the image. Here maps of one "
            f"image correlate by {trained}, with random weights by {untrained} (1: the same parts, 0: "
            "unrelated ones)."
        )
    return grid


def _span(values: Iterable[float | None]) -> str:
    measured = [value for value in values if value is not None]
    return f"{min(measured):.2f} to {max(measured):.2f}" if measured else ""


def _untrained(config: TrainConfig, classes: int) -> Segmenter:
    """The run's network before its first step, but for a backbone's or another run's weights."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(config.seed)
        return network_of(config, classes).eval()


def _file(path: Path) -> Sample:
    def read() -> tuple[Image.Image, None]:
        with open_picture(path) as picture:
            return loaded(picture, path).convert("RGB"), None

    return str(path), read


def _own(run: TrainedRun) -> list[Sample]:
    config = run.config
    root = Path(config.root) if config.root else None
    dataset, _ = open_split(config.dataset, root, config.eval_split, config.skip_bad)

    def sample(index: int) -> Sample:
        name = f"{dataset.name} {dataset.split} {dataset.stem(index)}"
        return name, lambda: (dataset.image(index), colours(dataset.mask(index), dataset))

    return [sample(index) for index in evenly_spaced(len(dataset), IMAGES_BY_DEFAULT)]
