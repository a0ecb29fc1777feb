"""The exponents that a claimed order such as ``O(CHW(H+W))`` has in each of its letters."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(r"\s*([A-Za-z]|[0-9]+|[²³^+()])")
_POWERS = {"²": 2, "³": 3}
_MADE_OF = {"n": ("H", "W"), "N": ("H", "W")}
"""n = H·W positions."""


def exponent(complexity: str, letters: Iterable[str]) -> int | None:
    """The degree of ``complexity`` when all ``letters`` grow together: that of its largest term.

    ``exponent("O(CHW(H+W))", "HW")`` is 3. A letter not in it has degree 0; n stands for H·W. None for a
    text that is no polynomial of single letters.
    """
    text = complexity.strip().removeprefix("O").replace("·", "").replace("*", "")
    tokens, end = [], 0
    while match := _TOKEN.match(text, end):
        tokens.append(match[1])
        end = match.end()
    if not tokens or end < len(text) or "log" in text:
        return None
    try:
        degree, rest = _sum(tokens, frozenset(letters))
    except (IndexError, ValueError):
        return None
    return degree if not rest else None


def _sum(tokens: list[str], letters: frozenset[str]) -> tuple[int, list[str]]:
    degree, rest = _product(tokens, letters)
    while rest and rest[0] == "+":
        other, rest = _product(rest[1:], letters)
        degree = max(degree, other)
    return degree, rest


def _product(tokens: list[str], letters: frozenset[str]) -> tuple[int, list[str]]:
    degree, rest = _power(tokens, letters)
    while rest and rest[0] not in "+)":
        factor, rest = _power(rest, letters)
        degree += factor
    return degree, rest


def _power(tokens: list[str], letters: frozenset[str]) -> tuple[int, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first == "(":
        degree, rest = _sum(rest, letters)
        if rest[0] != ")":
            raise ValueError(f"expected ), not {rest[0]}")
        rest = rest[1:]
    elif first.isalpha():
        degree = sum(letter in letters for letter in _MADE_OF.get(first, (first,)))
    else:
        degree = 0 * int(first)  # a constant factor
    if rest and rest[0] in _POWERS:
        return degree * _POWERS[rest[0]], rest[1:]
    if rest and rest[0] == "^":
        return degree * int(rest[1]), rest[2:]
    return degree, rest
