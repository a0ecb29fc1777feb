"""What the texts on a command line mean: parsers of typer's options, each of which raises UserError."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.subject import registry
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
    return text in registry.names() or (place.endswith(".py") and Path(place).is_file())


def split(texts: list[str] | None) -> list[str]:
    """The parts of comma lists; a comma in brackets is part of a call's arguments.

    Raises UserError for a text that is not empty and has no part.
    """
    for text in texts or []:
        if text and not text.replace(",", " ").strip():
            raise UserError(f"{text!r} is a list of nothing: give what is to be in it, or leave it out")
    return [part.strip() for text in texts or [] for part in _between_commas(text) if part.strip()]


def _between_commas(text: str) -> list[str]:
    pieces, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def integer(name: str, text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{name} takes whole numbers, such as 512 or 256,512; not {text!r}") from None


def integers(name: str) -> Callable[[str], list[int]]:
    """A parser of comma lists of whole numbers, for the option of that name."""
    return lambda text: [integer(name, part) for part in split([text])]


def sizes(name: str) -> Callable[[str], list[int | tuple[int, int]]]:
    """A parser of comma lists of sizes, for the option of that name."""
    return lambda text: [_size(name, part) for part in split([text])]


def size(name: str) -> Callable[[str], int | tuple[int, int]]:
    """A parser of a size, for the option of that name: ``64`` is a square, ``64x48`` is (H, W)."""
    return lambda text: _size(name, text)


def factors(name: str) -> Callable[[str], tuple[float, ...]]:
    """A parser of comma lists of numbers, for the option of that name."""
    return lambda text: tuple(_factor(name, part) for part in split([text]))


def _factor(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{name} takes numbers, such as 0.75,1,1.25; not {text!r}") from None


def words(text: str) -> list[str]:
    """A comma list of words."""
    return split([text])


def _size(name: str, text: str) -> int | tuple[int, int]:
    match = re.fullmatch(r"(-?\d+)(?:[x\u00d7](-?\d+))?", text.strip().lower())
    if match is None:
        raise UserError(f"{name} takes 64 or 64x48 (H x W), not {text!r}")
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """A size as (H, W)."""
    return size if isinstance(size, tuple) else (size, size)


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
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key.replace(".", "").isidentifier():
            raise UserError(f"-o takes KEY=VALUE or MODULE.KEY=VALUE, not {pair!r}")
        chosen[key] = option_value(text)
    return chosen


def counters(names: list[str] | None) -> tuple[str, ...]:
    """Names of counters that are installed; ``none`` alone is no counter."""
    from ctxbench.counters import DEFAULT, installed

    chosen = tuple(split(names)) if names else DEFAULT
    if chosen == ("none",):
        return ()
    if "none" in chosen:
        raise UserError(f"--counter none stands alone, not beside {', '.join(chosen)}")
    return installed(chosen)


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
