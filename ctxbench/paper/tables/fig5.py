"""Figure 5: what a trained network's sub-attention maps A_i · X activate in images."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
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
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.train.config import TrainConfig
from ctxbench.train.evaluation import open_split
from ctxbench.train.run import TrainedRun, network_of

TITLE = "Figure 5 of the paper: sub-attention maps"
COMMAND = "ctxbench train --out runs/synthetic && ctxbench paper fig5 --run runs/synthetic"
SHOWN = 3
"""Images of the run's own evaluation split that are drawn where none is given."""

Sample = tuple[str, Callable[[], tuple[Image.Image, Pixels | None]]]
"""An image's name, and how to read it with its truth in colours, where that is known."""


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
    network, fresh = trained.network("best"), _untrained(trained.config, len(checkpoint.classes))
    rank = attention_module(network).rank
    rule = "as given" if ranks else f"random, of 0 to {rank - 1}, seed 0"
    drawn = tuple(ranks) or random_ranks(rank)
    samples = list(map(_file, images)) or _own(trained)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    pictures, rows = [], []
    for number, (name, read) in enumerate(samples, 1):
        image, truth = read()
        maps = heat_maps(network, image, drawn)
        path = write_attention(folder / f"fig5_{number}.png", image, maps, drawn, truth)
        pictures.append(path)
        rows.append(
            {
                "image": name,
                "ranks": " ".join(map(str, drawn)),
                "rule": rule,
                "correlation": correlation(maps),
                "untrained_correlation": correlation(heat_maps(fresh, image, drawn)),
                "picture": path.name,
            }
        )
    config = trained.config
    weights = f"best weights, iteration {checkpoint.iteration}"
    about = f"{config.title}, {config.backbone}, {config.dataset}, {weights}"
    frame = pd.DataFrame(rows)
    grid = _grid(frame, f"{run.resolve().name}, seed {config.seed} · {about}")
    grid.notes.append(f"The run was {provenance.trained([trained.starts], config.precision)}.")
    return Sheet("fig5", TITLE, grid, frame, f"maps: {source}", pictures=tuple(pictures))


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
    varied = [each.ravel() for each in maps if np.ptp(each) > 0]
    found = [float(np.corrcoef(one, other)[0, 1]) for one, other in combinations(varied, 2)]
    return float(np.mean(found)) if found else None


def _grid(frame: pd.DataFrame, about: str) -> Grid:
    headings = [Heading(name, name) for name in ("image", "ranks", "rule")]
    headings += [
        Heading("correlation", "correlation", "this run", "r"),
        Heading("untrained_correlation", "correlation", "untrained", "r"),
        Heading("picture", "picture"),
    ]
    rows = [
        [Cell(EMPTY if pd.isna(value) else _text(value)) for value in row]
        for row in frame.itertuples(index=False)
    ]
    grid = Grid(f"{TITLE} · {about}", headings, [Group("", rows)])
    grid.notes += [
        "Each map is the mean over channels of |A_i · X|, stretched from its least to its greatest value.",
        "The paper chose its four maps at random and gives neither ranks, images nor a number: no verdict.",
    ]
    grid.notes.append(
        "Correlation: Pearson's r between two maps of an image, the mean over pairs. Untrained: of the same "
        "network with random weights."
    )
    ranges = [_span(frame[name]) for name in ("correlation", "untrained_correlation")]
    if all(ranges):
        grid.findings.append(
            "The paper says that the maps mainly focus on different parts of the image. Here maps of one "
            f"image correlate by {ranges[0]}, with random weights by {ranges[1]} (1: the same parts, 0: "
            "unrelated ones)."
        )
    return grid


def _span(values: "pd.Series[float]") -> str:
    found = values.dropna()
    return f"{found.min():.2f} to {found.max():.2f}" if len(found) else ""


def _untrained(config: TrainConfig, classes: int) -> Segmenter:
    """The run's network before its first step, but for a backbone's or another run's weights."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(config.seed)
        return network_of(config, classes).eval()


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


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

    return [sample(index) for index in evenly_spaced(len(dataset), SHOWN)]
