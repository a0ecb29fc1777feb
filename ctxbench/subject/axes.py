"""The conditions of a case as the axes of a grid: their names, their words, and which cells are left out."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, TypeGuard, get_args

from ctxbench.errors import UserError
from ctxbench.subject.case import DTYPES, Case, Layout, Mode, Runtime
from ctxbench.subject.registry import SINGLE
from ctxbench.typed import MEMORY, amount

Size = int | tuple[int, int]
"""The side of a square, or (H, W)."""

Batch = int | str
"""A batch, or the memory whose largest batch is to be found, ``fit:512MiB``."""

SHORT = {
    "fp32": "float32",
    "float": "float32",
    "fp64": "float64",
    "double": "float64",
    "bf16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
}
"""Short names of dtypes."""

AXES: Mapping[str, Callable[[Case], Any]] = {
    "module": lambda case: case.module,
    "batch": lambda case: case.fit or case.batch,
    "channels": lambda case: case.channels,
    "size": lambda case: case.height if case.height == case.width else (case.height, case.width),
    "height": lambda case: case.height,
    "width": lambda case: case.width,
    "dtype": lambda case: case.dtype,
    "memory_format": lambda case: case.layout,
    "mode": lambda case: case.mode,
    "device": lambda case: case.device,
    "threads": lambda case: case.threads,
    "runtime": lambda case: case.runtime,
    "form": lambda case: case.implementation,
}
"""What a case has on each axis: of a size, H alone where it is a square; of a batch that is yet to be found,
the memory that it is to fit."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "dtype": DTYPES,
    "memory_format": get_args(Layout),
    "mode": get_args(Mode),
    "runtime": get_args(Runtime),
    "form": ("fast", "published", SINGLE),
}
"""The axes whose values are words, with all there are."""
_NUMBERS = ("batch", "channels", "height", "width", "threads")

_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}
Condition = Callable[[Case], bool]


def word(axis: str, value: Any) -> str:
    """A word of an axis in full: ``float16`` for ``half``. Raises UserError for one that is none of it."""
    full = SHORT.get(value, value) if axis == "dtype" and isinstance(value, str) else value
    if full not in WORDS[axis]:
        short = f", or short {', '.join(SHORT)}" if axis == "dtype" else ""
        what = axis.replace("_", " ")
        raise UserError(f"unknown {what} {value!r}; one of {', '.join(WORDS[axis])}{short}")
    return str(full)


def condition(text: str, options: Collection[str] = ()) -> Condition:
    """Read which cases to keep: ``not (dtype == "bfloat16" and runtime == "compile")``, never run as Python.

    Axes, and the ``options`` of the modules, are compared with values and joined by ``and``, ``or`` and
    ``not``. A case that has no such option, or no threads of its own, equals nothing and is in no order.
    Raises UserError where the text is no such thing, or holds a name or a word that there is not.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        return _condition(tree, options)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UserError(f"cannot read --where {text!r}: write such as {_EXAMPLE}") from None


_EXAMPLE = """'not (dtype == "bfloat16" and runtime == "compile")'"""


def _condition(node: ast.expr, options: Collection[str]) -> Condition:
    read = partial(_condition, options=options)
    match node:
        case ast.BoolOp(op=ast.And()):
            parts = list(map(read, node.values))
            return lambda case: all(part(case) for part in parts)
        case ast.BoolOp():
            parts = list(map(read, node.values))
            return lambda case: any(part(case) for part in parts)
        case ast.UnaryOp(op=ast.Not()):
            part = read(node.operand)
            return lambda case: not part(case)
        case ast.Compare() if {*map(type, node.ops)} <= _COMPARED.keys():
            return _comparison(node, options)
    raise UserError(f"--where: {ast.unparse(node)} is no condition; write such as {_EXAMPLE}")


def _comparison(node: ast.Compare, options: Collection[str]) -> Condition:
    sides = [node.left, *node.comparators]
    axes = [side.id for side in sides if isinstance(side, ast.Name)]
    values = [_operand(side, axes, options) for side in sides]
    if not axes:
        raise UserError(f"--where: {ast.unparse(node)} names no axis: {_known(options)}")
    compared = [_COMPARED[type(op)] for op in node.ops]

    def holds(case: Case) -> bool:
        found = [value(case) for value in values]
        try:
            return all(op(*pair) for op, pair in zip(compared, pairwise(found), strict=True))
        except TypeError:
            if None in found:
                return False
            is_batch = case.fit and case.fit in found
            hint = f'; say batch == "{case.fit}" of a batch that is not found' if is_batch else ""
            raise UserError(
                f"--where: {ast.unparse(node)} compares {found[0]!r} with {found[1]!r}{hint}"
            ) from None

    return holds


def _operand(node: ast.expr, axes: Collection[str], options: Collection[str]) -> Callable[[Case], Any]:
    if isinstance(node, ast.Name):
        name = node.id
        if name in AXES:
            return AXES[name]
        if name in options:
            return lambda case: case.options.get(name)
        raise UserError(f"--where: no axis {name!r}; there are {_known(options)}")
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        raise UserError(f'--where: {ast.unparse(node)} is no value, such as 8 or "float32"') from None
    several = isinstance(value, tuple | list | set)
    for axis in axes:
        # a pair may be one size, and several of them a list to be in
        full = [_value_of(axis, item) for item in value] if several else _value_of(axis, value)
        value = type(value)(full) if several else full
    return lambda _: value


def _value_of(axis: str, value: Any) -> Any:
    """A value that is compared with an axis, a word in full. Raises UserError where the axis has no such."""
    if axis in WORDS:
        return word(axis, value)
    if axis == "batch" and is_fit(value):
        return fit_of(value)
    if axis in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise UserError(f"--where: {axis} is a number, such as 8, not {value!r}")
    if axis == "size" and not isinstance(value, int | tuple):
        raise UserError(f"--where: size is such as 64 or (64, 48), not {value!r}")
    return value


FIT = "fit:"
"""How a batch begins that is given by the memory that it is to fit."""


def is_fit(value: Any) -> TypeGuard[str]:
    """Whether a batch is given so, right or wrong."""
    return isinstance(value, str) and value.strip().lower().startswith(FIT)


def fit_of(text: str) -> str:
    """A batch that is given by memory, as every other that is given by as much: ``fit:512MiB``.

    Raises UserError where the memory is none.
    """
    found = amount(text.strip()[len(FIT) :], MEMORY)
    if found is None or not found.is_positive:
        raise UserError(
            f"a batch fits a positive number and a unit ({', '.join(MEMORY)}), such as fit:512MiB; "
            f"not {text!r}"
        )
    unit = next(unit for unit in MEMORY if unit.lower() == found.unit.lower())
    return f"{FIT}{found.number}{unit}"


def fit_bytes(fit: str) -> int:
    """The memory of what :func:`fit_of` gave."""
    found = amount(fit[len(FIT) :], MEMORY)
    assert found is not None
    return int(found.value)


def _known(options: Collection[str]) -> str:
    return ", ".join([*AXES, *(name for name in options if name not in AXES)])


def size_of(name: str, text: str) -> Size:
    """A size as it is typed, where ``name`` is asked for: ``64`` is a square, ``64x48`` is (H, W)."""
    match = re.fullmatch(r"(-?\d+)(?:[x\u00d7](-?\d+))?", text.strip().lower())
    if match is None:
        raise UserError(f"{name} takes 64 or 64x48 (H x W), not {text!r}")
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


def sides(size: Size) -> tuple[int, int]:
    """A size as (H, W); one number is a square."""
    return size if isinstance(size, tuple) else (size, size)
