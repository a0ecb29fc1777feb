"""Values read from JSON or TOML, held against the types that a dataclass declares; msgspec does the work.

What is wrong is said with its place, as a JSON path: ``Expected `int`, got `str` - at `$.case.height```.
"""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from ctxbench.errors import UserError

T = TypeVar("T")

Positive = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]
"""A finite number above 0."""
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
"""A finite number, 0 or above."""
Natural = Annotated[int, msgspec.Meta(ge=1)]
"""A whole number, 1 or above."""


def json_value(text: str | bytes) -> Any:
    """What a JSON text holds. Raises ValueError where it is none, or nested too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises UserError where it cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deep") from error
    except ValueError as error:
        raise UserError(f"{path} is no TOML: {error}") from error


def converted(values: object, cls: type[T]) -> T:
    """Make ``cls``, a dataclass, of a JSON object, and so on inwards; lists become tuples where declared.

    Raises ValueError where a field is missing, unknown, or of another type than declared. A float may be
    written as an integer; a bool is no integer.
    """
    _refuse_unknown(values, cls, "$")
    made: T = _convert(values, cls)
    return made


def read_json(path: Path, cls: type[T]) -> T:
    """What a JSON file holds, made ``cls`` as by :func:`converted`.

    Raises UserError where it cannot be read, is no JSON, or has other fields than declared.
    """
    try:
        return converted(json_value(path.read_bytes()), cls)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def check_fields(values: Mapping[str, Any], cls: type) -> None:
    """Raise ValueError as :func:`converted` does, but for fields that are missing."""
    _refuse_unknown(values, cls, "$")
    _convert(values, _partial(cls))


def _convert(values: object, declared: Any) -> Any:
    try:
        return msgspec.convert(values, declared, strict=True)
    except msgspec.ValidationError as error:  # a ValueError itself only since msgspec 0.20
        raise ValueError(str(error)) from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


@cache
def _partial(cls: type) -> Any:
    make: Any = TypedDict  # whose fields mypy wants to see written out
    return make(cls.__name__, _hints(cls), total=False)


def _refuse_unknown(values: object, declared: Any, path: str) -> None:
    """Msgspec leaves out what a dataclass does not declare; here a misspelt field must not be lost."""
    if isinstance(declared, type) and is_dataclass(declared) and isinstance(values, Mapping):
        for name, value in values.items():
            if name not in _hints(declared):
                raise ValueError(f"Object contains unknown field `{name}` - at `{path}`")
            _refuse_unknown(value, _hints(declared)[name], f"{path}.{name}")
    elif get_origin(declared) in (list, tuple) and isinstance(values, list | tuple):
        for value in values:
            _refuse_unknown(value, get_args(declared)[0], f"{path}[...]")


Units = Mapping[str, float]
"""Units as they are typed, with their sizes."""
MEMORY: Units = {
    **{f"{k}B": 1000.0**power for power, k in enumerate(("", "K", "M", "G", "T"))},
    **{f"{k}iB": 2.0 ** (10 * power) for power, k in enumerate(("K", "M", "G", "T"), start=1)},
}
"""Units of memory, in bytes."""


class Amount(NamedTuple):
    """A number and its unit as they were typed, and the number times the unit's size."""

    number: str
    unit: str
    value: float

    @property
    def is_positive(self) -> bool:
        """Whether it is above 0, and finite."""
        return 0 < self.value <= sys.float_info.max


def amount(text: str, units: Units) -> Amount | None:
    """Read a number and its unit, ``512 MiB``, whatever the case of its letters; None where it is none."""
    parts = re.fullmatch(r"\+?(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)\s*(\S*)", text.strip(), re.IGNORECASE)
    sizes = {unit.lower(): size for unit, size in units.items()}
    if parts is None or parts[2].lower() not in sizes:
        return None
    return Amount(parts[1], parts[2], float(parts[1]) * sizes[parts[2].lower()])


def literal(text: str) -> Any:
    """A value as ``-o`` takes it: a Python literal, ``true``, ``false``, or a bare word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text.lower(), text)
