"""What the numbers or colours in the masks of one's own folder mean."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ctxbench.data.dataset import IGNORE, VOID_COLOUR, Colour, colormap
from ctxbench.data.reading import BadSampleError, lines_of, read_labels
from ctxbench.errors import UserError, in_one_line

IGNORED_NAMES = frozenset({"__ignore__", "ignore", "ignored", "void", "unlabeled", "unlabelled"})
"""Classes of these names are ignored."""


class Label(NamedTuple):
    """A line of a class list: the number in a mask, the name, and the colour where one is given."""

    code: int
    name: str
    colour: Colour | None


def label_layout(root: Path, masks: Iterable[Path]) -> dict[str, Any]:
    """The classes of a folder, as the keywords :class:`SegmentationSet` takes.

    ``labelmap.txt`` (``name:r,g,b::`` in each line, as CVAT and Datumaro write it), ``dataset_meta.json``
    (Datumaro's ``label_map`` and ``segmentation_colors``), or ``classes.txt``, ``class_names.txt``,
    ``labels.txt`` with a name in each line, numbered from 0. A class with a name of ``IGNORED_NAMES`` is
    ignored. Without any, every mask is read: classes are the numbers up to the largest, or the colours that
    occur; where they are 0 and 255 alone, both are classes.

    Raises UserError where a list cannot be read, gives a colour that is none or is another's too, or the
    masks mix numbers with colours.
    """
    labels = _listed(root) or _found(masks)
    _distinct_colours(root, labels)
    colours = colormap(256)
    kept = [label for label in labels if label.name.lower() not in IGNORED_NAMES]
    dropped = [label for label in labels if label.name.lower() in IGNORED_NAMES and label.code >= 0]
    codes = [label.code for label in kept]
    spare = max({*range(IGNORE + 1)} - {*codes}, default=IGNORE)
    return {
        "classes": [label.name for label in kept],
        "codes": codes,
        "palette": [label.colour or colours[label.code % 256] for label in kept],
        "void": [spare, *(label.code for label in dropped if label.code != spare)],
        "void_colours": [VOID_COLOUR, *(label.colour for label in dropped if label.colour)],
    }


def _distinct_colours(root: Path, labels: list[Label]) -> None:
    owners: dict[Colour, Label] = {}
    for label in labels:
        if label.colour is None:
            continue
        said = f"{label.colour} of {label.name!r}"
        if not all(0 <= part <= 255 for part in label.colour):
            raise UserError(f"{root}: the colour {said} is none: three numbers of 0 to 255 are")
        if (owner := owners.setdefault(label.colour, label)) is not label:
            raise UserError(f"{root}: the colour {said} is that of {owner.name!r} too: give each its own")


def _listed(root: Path) -> list[Label]:
    if (path := root / "labelmap.txt").is_file():
        return _labelmap(path)
    if (path := root / "dataset_meta.json").is_file():
        return _meta(path)
    for name in ("classes.txt", "class_names.txt", "labels.txt"):
        if (path := root / name).is_file():
            lines = lines_of(path)
            first = -1 if lines and lines[0] == "__ignore__" else 0  # labelme counts from -1 then
            return [Label(code, line, None) for code, line in enumerate(lines, first)]
    return []


def _labelmap(path: Path) -> list[Label]:
    labels: list[Label] = []
    for line in lines_of(path):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        try:
            red, green, blue = map(int, rest.partition(":")[0].split(","))
        except ValueError:
            raise UserError(f"{path}: {line!r} is not name:red,green,blue") from None
        labels.append(Label(len(labels), name.strip(), (red, green, blue)))
    return labels


def _meta(path: Path) -> list[Label]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        colours = [
            (int(red), int(green), int(blue)) for red, green, blue in meta.get("segmentation_colors", [])
        ]
        names = {int(code): str(name) for code, name in meta["label_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no dataset_meta.json: {in_one_line(error)}") from error
    if beyond := [code for code in names if not 0 <= code <= IGNORE]:
        raise UserError(f"{path}: {names[beyond[0]]!r} has the number {beyond[0]}, not one of 0 to {IGNORE}")
    return [
        Label(code, name, colour)
        for (code, name), colour in zip_longest(names.items(), colours[: len(names)])
    ]


def _found(masks: Iterable[Path]) -> list[Label]:
    numbers: set[int] = set()
    colours: set[Colour] = set()
    for path in masks:
        try:
            values = read_labels(path)
        except BadSampleError:
            continue  # it is named when it is read as a sample, and left out then if the user wants that
        if values.ndim == 3:
            packed = np.unique(values.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32))
            colours.update((int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in packed)
        else:
            numbers.update(np.unique(values).tolist())
    if all(red == green == blue for red, green, blue in colours):
        numbers.update(red for red, _, _ in colours)
    elif numbers:
        raise UserError("some masks hold numbers and some colours: list name:red,green,blue in labelmap.txt")
    else:
        colours.discard(VOID_COLOUR)
        if len(colours) > IGNORE:
            raise UserError(
                f"the masks hold {len(colours)} colours: list those that are classes in labelmap.txt"
            )
        return [
            Label(code, "{},{},{}".format(*colour), colour) for code, colour in enumerate(sorted(colours))
        ]
    binary = numbers <= {0, IGNORE} and IGNORE in numbers
    codes = (0, IGNORE) if binary else range(max(numbers - {IGNORE}, default=0) + 1)
    # greys of three channels are numbers too, not VOC's colours, some of which are grey
    return [Label(code, str(code), (code, code, code) if colours else None) for code in codes]
