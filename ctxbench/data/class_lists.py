"""The class lists that lie beside masks: which classes there are, and which values or colours stand for them.

Read, the first that is there (but ``classes.txt`` before all others where its lines begin with values):

- ``labelmap.txt``: ``name:red,green,blue`` in each line, as CVAT and Datumaro write it.
- ``dataset_meta.json``: Datumaro's ``label_map`` and ``segmentation_colors``.
- ``class_dict.csv``: ``name,red,green,blue`` in each line, as CamVid and DeepGlobe are shared.
- ``_classes.csv``: ``value,name`` in each line, as Roboflow writes it; there, or in a folder there.
- ``classes.txt``, ``class_names.txt``, ``labels.txt``: a name in each line, numbered from 0. Or, if every
  line has it, what stands for the class before its name: a value (``255 figure``), a range
  (``0-127 ground``), a colour (``128,0,0 aeroplane``), or ``*`` for all that no other line lists. A name that
  occurs again has those values too.

Classes named as in ``IGNORED_NAMES`` are ignored, in training and in evaluation.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ctxbench.data.dataset import IGNORE, Colour
from ctxbench.data.paths import lines_of
from ctxbench.errors import UserError, in_one_line
from ctxbench.typed import json_value

IGNORED_NAMES = frozenset({"__ignore__", "ignore", "ignored", "void", "unlabeled", "unlabelled"})
"""Classes of these names are ignored."""

LARGEST = (1 << 16) - 1
"""The largest value a mask can hold, of 16 bits."""


@dataclass(frozen=True)
class Label:
    """A class of a list: its name, the values that stand for it in masks, and its colour if it has one.

    ``rest``: it also has every value that no class of the list has.
    """

    name: str
    codes: tuple[int, ...]
    colour: Colour | None = None
    rest: bool = False

    @property
    def ignored(self) -> bool:
        """Whether its pixels count neither in training nor in evaluation."""
        return self.name.lower() in IGNORED_NAMES


@dataclass(frozen=True)
class ClassList:
    """A class list: its file, its labels, and whether it states their values (else they are line numbers).

    ``numbers_from_0``: the program that writes such lists counts their lines from 0.
    """

    path: Path
    labels: tuple[Label, ...]
    states_values: bool = False
    numbers_from_0: bool = False

    @property
    def has_colours(self) -> bool:
        """Whether classes are told by colours."""
        return any(label.colour for label in self.labels)


def find_class_list(root: Path) -> ClassList | None:
    """The class list of a folder; None where it has none.

    Raises UserError where one cannot be read, lists no class, or states a value or colour that is none, or is
    another's too.
    """
    read = {"labelmap.txt": _labelmap, "dataset_meta.json": _meta, "class_dict.csv": _class_dict}
    places = [(root / name, reader) for name, reader in read.items()]
    places += [(path, _classes_csv) for path in (root / "_classes.csv", *sorted(root.glob("*/_classes.csv")))]
    places += [(root / name, _names) for name in ("classes.txt", "class_names.txt", "labels.txt")]
    if (path := root / "classes.txt").is_file() and _states(lines_of(path)):
        places.insert(0, (path, _names))
    for path, reader in places:
        if path.exists():
            classes = reader(path)
            _check(classes)
            return classes
    return None


def _check(classes: ClassList) -> None:
    """Raise UserError where there is no class, or a colour or value is none, or stands for two of them."""
    if not classes.labels:
        raise UserError(f"{classes.path} lists no class: write a name in each line, or delete it")
    colours: dict[Colour, Label] = {}
    codes: dict[int, Label] = {}
    for label in classes.labels:
        if label.colour is not None:
            colour = f"the colour {label.colour} of {label.name!r}"
            if not all(0 <= part <= 255 for part in label.colour):
                raise UserError(f"{classes.path}: {colour} is none: three numbers of 0 to 255 are")
            if (owner := colours.setdefault(label.colour, label)) is not label:
                raise UserError(f"{classes.path}: {colour} is that of {owner.name!r} too: give each its own")
        for code in label.codes:
            if code > LARGEST:
                raise UserError(f"{classes.path}: {label.name!r} has the value {code}, above {LARGEST}")
            if (owner := codes.setdefault(code, label)) is not label:
                raise UserError(
                    f"{classes.path}: the value {code} of {label.name!r} is that of {owner.name!r} too: "
                    "give each its own"
                )
    if sum(label.rest for label in classes.labels) > 1:
        raise UserError(f"{classes.path}: '*' stands for the rest, in one line only")


_VALUE = re.compile(
    r"(?:(?P<rest>\*)|(?P<colour>\d+,\d+,\d+)|(?P<first>\d+)(?:-(?P<last>\d+))?)[\s:]+(?P<name>\S.*)"
)


def _names(path: Path) -> ClassList:
    lines = lines_of(path)
    if stated := _states(lines):
        return _stated(path, stated)
    first = -1 if lines and lines[0] == "__ignore__" else 0  # labelme counts from -1 then
    labels = (Label(name, (code,) if code >= 0 else ()) for code, name in enumerate(lines, first))
    return ClassList(path, tuple(labels))


def _states(lines: Iterable[str]) -> list[re.Match[str]]:
    """The lines taken apart, if each begins with what stands for its class; else none."""
    matches = [_VALUE.fullmatch(line) for line in lines]
    return [match for match in matches if match] if all(matches) else []


def _stated(path: Path, lines: Iterable[re.Match[str]]) -> ClassList:
    """The classes of lines that begin with a value; lines of one name are one class."""
    codes: dict[str, list[int]] = {}
    colours: dict[str, Colour] = {}
    rest = set()
    for line in lines:
        name = line["name"].strip()
        values = codes.setdefault(name, [])
        if line["rest"]:
            rest.add(name)
        elif line["colour"]:
            red, green, blue = map(int, line["colour"].split(","))
            if name in colours:
                raise UserError(f"{path}: {name!r} has two colours: give the second a name of its own")
            colours[name] = (red, green, blue)
        else:
            first, last = int(line["first"]), int(line["last"] or line["first"])
            if not first <= last <= LARGEST:
                raise UserError(f"{path}: {line[0]!r} is no range of values from 0 to {LARGEST}")
            values.extend(range(first, last + 1))
    if colours and any(codes.values()):
        raise UserError(f"{path} states values for some classes and colours for others: use one of them")
    labels = (Label(name, tuple(values), colours.get(name), name in rest) for name, values in codes.items())
    return ClassList(path, tuple(labels), states_values=not colours)


def _labelmap(path: Path) -> ClassList:
    rows = []
    for line in lines_of(path):
        if not line.startswith("#"):
            name, _, rest = line.partition(":")
            rows.append((line, name, rest.partition(":")[0].split(",")))
    return _coloured(path, rows, "name:red,green,blue")


def _class_dict(path: Path) -> ClassList:
    rows = [(line, _fields(path, line)) for line in lines_of(path)]
    if rows and not any(part.strip().isdecimal() for part in rows[0][1]):
        del rows[0]  # the headings
    return _coloured(path, [(line, row[0], row[1:4]) for line, row in rows], "name,red,green,blue")


def _fields(path: Path, line: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from error


def _coloured(path: Path, rows: Iterable[tuple[str, str, list[str]]], form: str) -> ClassList:
    labels: list[Label] = []
    for line, name, parts in rows:
        if [part.strip() for part in parts] == ["*"]:
            labels.append(Label(name.strip(), (), rest=True))
            continue
        try:
            red, green, blue = map(int, parts)
        except ValueError:
            raise UserError(f"{path}: {line!r} is not {form}") from None
        labels.append(Label(name.strip(), (len(labels),), (red, green, blue)))
    return ClassList(path, tuple(labels))


def _classes_csv(path: Path) -> ClassList:
    labels = []
    for line in lines_of(path):
        value, *name = _fields(path, line)
        if value.strip().isdecimal() and name:
            labels.append(Label(name[0].strip(), (int(value),)))
        elif labels or not name:
            raise UserError(f"{path}: {line!r} is not value,name")
    return ClassList(path, tuple(labels), states_values=True)


def _meta(path: Path) -> ClassList:
    try:
        meta = json_value(path.read_text(encoding="utf-8"))
        colours = [
            (int(red), int(green), int(blue)) for red, green, blue in meta.get("segmentation_colors", [])
        ]
        names = {int(code): str(name) for code, name in meta["label_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no dataset_meta.json: {in_one_line(error)}") from error
    if beyond := [code for code in names if not 0 <= code <= IGNORE]:
        raise UserError(f"{path}: {names[beyond[0]]!r} has the number {beyond[0]}, not one of 0 to {IGNORE}")
    labels = (
        Label(name, (code,), colour)
        for (code, name), colour in zip_longest(names.items(), colours[: len(names)])
    )
    return ClassList(path, tuple(labels), states_values=not colours)
