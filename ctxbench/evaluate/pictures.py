"""Pictures of what a network makes of images: image | truth | prediction | error.

H and W are an image's height and width in pixels.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from ctxbench.data.dataset import IGNORE, VOID_COLOUR, Colour, Labels, SegmentationSet
from ctxbench.files import written_whole
from ctxbench.table.style import STYLE, canvas

Pixels = NDArray[np.uint8]

COLUMN_INCHES, PANEL_INCHES = 2.6, 2.4
LEGEND_COLUMNS = 5
WRONG: Colour = (204, 51, 17)
"""Red of Paul Tol's "vibrant" scheme; what is right stays grey."""


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """``wanted`` indices (or all, where they are fewer) evenly spaced over ``count``, from the first on."""
    wanted = min(count, wanted)
    return [i * count // wanted for i in range(wanted)]


def colours(labels: Labels, dataset: SegmentationSet) -> Pixels:
    """Classes (H×W) in the data set's palette, ignored pixels in VOC's colour for them: H×W×3."""
    table = np.zeros((IGNORE + 1, 3), np.uint8)  # a colour for every value that a label can have
    table[: len(dataset.palette)] = dataset.palette
    table[IGNORE] = VOID_COLOUR
    return table[labels]  # (H, W, 3)


def errors(image: Image.Image, truth: Labels, prediction: Labels) -> Pixels:
    """The image in pale grey, wrong pixels red, those without a truth in VOC's colour for them: H×W×3."""
    grey = 128 + np.asarray(image.convert("L")) // 2  # (H, W)
    picture = np.stack([grey] * 3, 2).astype(np.uint8)  # (H, W, 3)
    picture[truth != prediction] = WRONG
    picture[truth == IGNORE] = VOID_COLOUR
    return picture


def write_pictures(path: Path, dataset: SegmentationSet, predictions: Mapping[int, Labels]) -> Path:
    """Draw a row for each index of ``predictions``: image, truth, prediction and error, with a legend.

    Raises UserError where a sample cannot be read or the PNG cannot be written.
    """
    indices = list(predictions)
    images = [dataset.image(index) for index in indices]
    truths = [dataset.mask(index) for index in indices]
    heights = [image.height / image.width for image in images]
    everything = np.concatenate(
        [*map(np.ravel, truths), *map(np.ravel, predictions.values())]
    )  # (all pixels,)
    seen = np.unique(everything)
    legend = legend_of(dataset, seen)
    lines = -(-(len(legend) + 1) // LEGEND_COLUMNS)
    with rc_context(STYLE):
        height = PANEL_INCHES * sum(heights) + 0.3 * len(heights) + 0.2 * lines + 0.5
        figure = canvas(4 * COLUMN_INCHES, height)
        rows = figure.subplots(len(indices), 4, squeeze=False, height_ratios=heights)
        for row, index, image, truth in zip(rows, indices, images, truths, strict=True):
            prediction = predictions[index]
            show(row[0], image)
            show(row[1], colours(truth, dataset))
            show(row[2], colours(prediction, dataset))
            show(row[3], errors(image, truth, prediction))
            row[0].set_xlabel(dataset.stem(index))
            row[3].set_xlabel(_right(truth, prediction))
        for axes, title in zip(rows[0], ("image", "truth", "prediction", "error"), strict=True):
            axes.set_title(title)
        legend.append(Patch(color=_unit(WRONG), label="wrong"))
        figure.legend(handles=legend, loc="outside lower center", ncols=LEGEND_COLUMNS)
    return write_png(figure, path)


def _right(truth: Labels, prediction: Labels) -> str:
    counted = truth != IGNORE
    return f"{100 * (truth == prediction)[counted].mean():.1f} % right" if counted.any() else "no truth"


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


def legend_of(dataset: SegmentationSet, seen: NDArray[np.uint8]) -> list[Patch]:
    """A patch for each class in ``seen`` and for ignored pixels, if there are any."""
    entries = {k: (dataset.palette[k], name) for k, name in enumerate(dataset.classes)}
    entries[IGNORE] = (VOID_COLOUR, "ignored")
    chosen = [entries[label] for label in seen]
    return [
        Patch(facecolor=_unit(colour), edgecolor="#777777", lw=0.5, label=name) for colour, name in chosen
    ]


def show(axes: Axes, panel: Image.Image | Pixels) -> None:
    """Draw pixels without ticks or a frame."""
    axes.imshow(panel, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def write_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, 150 dpi, whole. Raises UserError where it cannot be written."""
    with written_whole(path) as new, rc_context(STYLE):
        figure.savefig(new, format="png", dpi=150)
    return path
