"""What the texts on a command line mean: parsers of typer's options, each of which raises UserError."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import typer

from ctxbench.errors import UserError
from ctxbench.subject import axes, registry
from ctxbench.subject.axes import Batch, size_of
from ctxbench.subject.expression import option_value
from ctxbench.subject.resolve import parts

A_DAY_S = 24 * 60 * 60


def modules(texts: list[str]) -> list[str]:
    """Names and comma lists of them; a name or file that itself holds a comma is taken whole."""
    names = [name for text in texts for name in ([text] if _is_module(text) else split([text]))]
    if texts and not names:
        raise UserError("an empty text names no module; leave it out for Table 10's eight")
    return names


def _is_module(text: str) -> bool:
    place, _, _ = parts(text)
    return registry.named(text) in registry.names() or (place.endswith(".py") and Path(place).is_file())


def split(texts: list[str] | None) -> list[str]:
    """The parts of comma lists; a comma in brackets is part of a call's arguments.

    Raises UserError for a text that is not empty and has no part.
    """
    for text in texts or []:
        if text and not text.replace(",", " ").strip():
            raise UserError(f"{text!r} is a list of nothing: give what is to be in it, or leave it out")
    return [part.strip() for text in texts or [] for part in _between_commas(text) if part.strip()]


def _between_commas(text: str, quotes: str = "") -> list[str]:
    """The pieces between commas that stand in no brackets, and between no two ``quotes``."""
    pieces, depth, quote = [""], 0, ""
    for character in text:
        if character == quote:
            quote = ""
        elif not quote and character in quotes:
            quote = character
        elif not quote:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0 and not quote:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def place(text: str) -> Path:
    """A file's or folder's path; an empty text, as an unset variable leaves it, would be this folder's."""
    if not text:
        raise UserError("an empty text names no file or folder")
    return Path(text)


def integer(name: str, text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{name} takes whole numbers, such as 512 or 256,512; not {text!r}") from None


def integers(name: str) -> Callable[[str], list[int]]:
    """A parser of comma lists of whole numbers, for the option of that name."""
    return lambda text: [integer(name, part) for part in split([text])]


def batches(name: str) -> Callable[[str], list[Batch]]:
    """A parser of comma lists of batches, for the option of that name: ``8``, or ``fit:512MiB``."""
    return lambda text: [
        axes.fit_of(part) if axes.is_fit(part) else integer(name, part) for part in split([text])
    ]


def sizes(name: str) -> Callable[[str], list[int | tuple[int, int]]]:
    """A parser of comma lists of sizes, for the option of that name."""
    return lambda text: [size_of(name, part) for part in split([text])]


def size(name: str) -> Callable[[str], int | tuple[int, int]]:
    """A parser of a size, for the option of that name: ``64`` is a square, ``64x48`` is (H, W)."""
    return lambda text: size_of(name, text)


def factors(name: str) -> Callable[[str], tuple[float, ...]]:
    """A parser of comma lists of numbers, for the option of that name."""
    return lambda text: tuple(_factor(name, part) for part in split([text]))


def _factor(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{name} takes numbers, such as 0.75,1,1.25; not {text!r}") from None


def words_of(axis: str) -> Callable[[str], list[str]]:
    """A parser of comma lists of an axis's words, which may be short."""

    def parser(text: str) -> list[str]:
        try:
            return [axes.word(axis, part) for part in split([text])]
        except UserError as error:
            raise typer.BadParameter(str(error)) from error

    return parser


def words(text: str) -> list[str]:
    """A comma list of words."""
    return split([text])


def seconds(name: str) -> Callable[[str | float], float]:
    """A parser of times that are not zero, and that an operating system can wait for, for that option."""
    return lambda text: _seconds(name, text)


def _seconds(name: str, text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= A_DAY_S:
        raise UserError(f"{name} takes a positive number of seconds, {A_DAY_S} at most; not {text}")
    return value


def options(pairs: list[str] | None) -> dict[str, Any]:
    """``[MODULE.]KEY=VALUE`` pairs; of the values, see :func:`~ctxbench.subject.expression.option_value`."""
    chosen: dict[str, Any] = {}
    for key, texts in _options(pairs).items():
        if len(texts) > 1:
            text = ",".join(texts)
            raise UserError(f"-o {key} takes one value here, not {text}; a tuple is written ({text})")
        chosen[key] = option_value(texts[0])
    return chosen


def options_axes(pairs: list[str] | None) -> list[dict[str, Any]]:
    """Every combination of pairs such as :func:`options` takes, with several values by comma.

    A comma in brackets or quotes is part of a value.
    """
    lists = {key: list(map(option_value, texts)) for key, texts in _options(pairs).items()}
    return [dict(zip(lists, combination, strict=True)) for combination in product(*lists.values())]


def _options(pairs: list[str] | None) -> dict[str, list[str]]:
    """The texts of each option's values."""
    texts: dict[str, list[str]] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key.replace(".", "").isidentifier():
            raise UserError(f"-o takes KEY=VALUE or MODULE.KEY=VALUE, not {pair!r}")
        parts = _between_commas(text, quotes="'\"")
        texts[key] = [part.strip() for part in parts] if len(parts) > 1 else parts
        if len(parts) > 1 and not all(texts[key]):
            raise UserError(f"-o {pair}: a value between commas is empty; a tuple is written ({text})")
    return texts


def counters(names: list[str] | None) -> tuple[str, ...]:
    """Names of counters that are installed; ``none`` alone is no counter."""
    from ctxbench.counters import DEFAULT, installed

    chosen = tuple(split(names)) if names else DEFAULT
    if chosen == ("none",):
        return ()
    if "none" in chosen:
        raise UserError(f"--counter none stands alone, not beside {', '.join(chosen)}")
    return installed(chosen)


def shard(text: str) -> tuple[int, int]:
    """A shard, the second of eight being ``2/8``."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if match is None:
        raise UserError(f"--shard takes such as 2/8, the second of eight, not {text!r}")
    return int(match[1]), int(match[2])


def threshold(text: str) -> float:
    """The share in ``median:P%``."""
    statistic, colon, share = text.partition(":")
    try:
        value = float(share.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if statistic != "median" or not colon or not 0 <= value < 10:
        raise UserError(f"--fail-on takes median:P%, such as median:5%, not {text!r}")
    return value
