"""Whether values read from a file have the types that a dataclass declares for its fields."""

import sys
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def check_fields(cls: type, values: Mapping[str, Any]) -> None:
    """Raise ValueError where ``cls`` has no such field, or declares another type for it.

    A float may be written as an integer; it must be finite. Missing fields are not looked for.
    """
    declared = get_type_hints(cls)
    for name, value in values.items():
        if name not in declared:
            raise ValueError(f"{cls.__name__} has no field {name!r}")
        if not _fits(value, declared[name]):
            raise ValueError(f"{name} is {value!r:.40}, not {_in_words(declared[name])}")


def _in_words(declared: Any) -> str:
    if get_origin(declared) is Literal:
        return " or ".join(map(repr, get_args(declared)))
    return "a finite number" if declared is float else str(getattr(declared, "__name__", declared))


def _fits(value: Any, declared: Any) -> bool:
    origin, inner = get_origin(declared), get_args(declared)
    if declared is Any:
        return True
    if origin is UnionType:
        return any(_fits(value, choice) for choice in inner)
    if origin is Literal:
        return value in inner
    if origin in (list, tuple):  # of a tuple, only tuple[T, ...]
        return isinstance(value, origin) and all(_fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping):
        pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
        return all(_fits(key, inner[0]) and _fits(item, inner[1]) for key, item in pairs)
    if declared is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if declared is int:
        return type(value) is int  # a bool is none
    return isinstance(value, declared)
