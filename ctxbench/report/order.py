"""The exponents that a claimed order such as ``O(CHW(H+W))`` has in each of its letters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# A power of a power is left out: Python would work out 9^9^9^9 before anything else sees it.
_TOKEN = re.compile(r"[A-Za-z]|\d+|\^\d+(?![\d^])|[+()]")
_POSITIONS = {"n": "HW", "N": "HW"}
"""n = H·W positions."""


class _Degree(NamedTuple):
    """The degree of a term when letters grow together: sums take the larger, products add."""

    degree: int

    def __add__(self, other: _Degree) -> _Degree:  # type: ignore[override]
        return max(self, other)

    def __mul__(self, other: _Degree) -> _Degree:  # type: ignore[override]
        return _Degree(self.degree + other.degree)

    def __pow__(self, power: int) -> _Degree:
        return _Degree(self.degree * power)


def exponent(complexity: str, letters: Iterable[str]) -> int | None:
    """The degree of ``complexity`` when all ``letters`` grow together: that of its largest term.

    ``exponent("O(CHW(H+W))", "HW")`` is 3. A letter not in it has degree 0, as a number has; n stands for
    H·W. None for a text that is no polynomial of single letters.
    """
    text = re.sub(r"[·*\s]", "", complexity).removeprefix("O").replace("²", "^2").replace("³", "^3")
    if "log" in text or not re.fullmatch(f"({_TOKEN.pattern})+", text):
        return None
    growing = frozenset(letters)

    def source(token: str) -> str:
        if token[0] in "+()":
            return token
        if token[0] == "^":
            return f"**{int(token[1:])}"
        return f"_({sum(letter in growing for letter in _POSITIONS.get(token, token))})"

    # Python's own grammar reads sums, powers and brackets; only what stands side by side lacks its sign.
    python = re.sub(r"(?<=[)\d])(?=[(_])", "*", "".join(map(source, _TOKEN.findall(text))))
    try:
        # Safe: the text holds nothing but numbers, + * ** ( ) and _, which is the class above.
        return int(eval(python, {"__builtins__": {}, "_": _Degree}).degree)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        return None
