"""Values as people type them: ``Block(C, 8, act=nn.GELU, fmap=(H, W))``. Read as a tree, never run as Python.

In them N, C, H and W stand for the case's batch, channels, height and width, so that a sweep moves them.
Beside these there are literals, arithmetic on numbers, what ``nn`` and ``torch.nn`` hold, and the names of
the file that the subject comes from. Imports no torch.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ctxbench.errors import UserError
from ctxbench.typed import literal

MARK = "="
"""What a value begins with that is an expression and no text, as in a spreadsheet: ``"=H//8"``."""
SIZES = ("N", "C", "H", "W")
LIBRARY = ("nn", "torch.nn")
MAX_NUMBER = 2**63
MAX_EXPONENT = 64
ALLOWED = "literals, arithmetic, N, C, H, W, nn. names and names of the file"

BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


@dataclass(frozen=True)
class Call:
    """The arguments in brackets behind a subject's name; each is an expression's text."""

    positional: tuple[str, ...]
    keywords: Mapping[str, str]


def split_call(text: str) -> tuple[str, str]:
    """A subject and its call: ``"file.py:Block(C, 8)"`` is ``("file.py:Block", "(C, 8)")``; "" without one.

    Brackets in the name of a folder begin no call: that ends the text, and can be read as one.
    """
    text = _with_quoted_block(text)
    if text.endswith(")"):
        for bracket in re.finditer(r"(?<=[\w])\(", text):
            if _is_call(call := text[bracket.start() :]):
                return text[: bracket.start()], call
    return text, ""


def _with_quoted_block(text: str) -> str:
    """``head(C, 512, nonlocal)`` with its block in quotes: it is text, and may be a call itself."""
    if not (text.startswith("head(") and text.endswith(")")):
        return text
    arguments, depth = [""], 0
    for letter in text[5:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += letter
    for place, argument in enumerate(arguments):
        key, _, value = argument.partition("=") if re.match(r"\s*block\s*=", argument) else ("", "", argument)
        if (key or place == 2) and re.match(r"\s*[^\s'\"=]+(\(|\s*$)", value):
            arguments[place] = f"{key and key + '='}{value.strip()!r}"
    return f"head({','.join(arguments)})"


def _is_call(text: str) -> bool:
    try:
        return isinstance(ast.parse(f"f{_dotted(text)}", mode="eval").body, ast.Call)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False


def parse_call(text: str) -> Call:
    """The arguments of ``"(C, 8, act=nn.GELU)"``. Raises UserError for what is no such call."""
    tree = _parse(f"f{text}", text)
    if not isinstance(tree, ast.Call):
        raise UserError(f"{text} is no list of arguments, such as (C, 8, act=nn.GELU)")
    if any(isinstance(argument, ast.Starred) for argument in tree.args) or any(
        keyword.arg is None for keyword in tree.keywords
    ):
        raise UserError(f"{text}: arguments are written out; * and ** are not taken")
    for node in (*tree.args, *(keyword.value for keyword in tree.keywords)):
        _check(node)
    keywords = {str(keyword.arg): ast.unparse(keyword.value) for keyword in tree.keywords}
    return Call(tuple(map(ast.unparse, tree.args)), keywords)


def option_value(text: str) -> Any:
    """A value as ``-o KEY=VALUE`` takes it: a literal, an expression (marked), or a bare word or text.

    What is an expression is one of sizes and library names alone: ``H//8``, ``(H, W)``, ``nn.GELU``, and
    ``nn:GELU``, which a shell leaves as it is.
    """
    value = literal(text)
    if not isinstance(value, str) or text[:1] in "'\"":
        return MARK + repr(value) if isinstance(value, str) and value.startswith(MARK) else value
    dotted = _dotted(text)
    try:
        tree = ast.parse(dotted.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return value
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not names or not names <= {*SIZES, "nn", "torch"}:
        return value
    _check(tree)
    return MARK + ast.unparse(tree)


def is_expression(value: Any) -> bool:
    """Whether a value of an option is an expression."""
    return isinstance(value, str) and value.startswith(MARK)


def shown(value: Any) -> str:
    """A value as a person writes it: an expression without its mark."""
    if is_expression(value):
        return str(value)[len(MARK) :]
    return str(value)


def evaluate(text: str, sizes: Mapping[str, int], names: Mapping[str, Any] = {}) -> Any:
    """The value of an expression with N, C, H and W as ``sizes`` say; ``names`` are those of the file.

    Raises UserError where it is none, a name is not known, or a number cannot be worked out.
    """
    tree = _parse(text, text)
    _check(tree)
    return _value(tree, sizes, names)


def _dotted(text: str) -> str:
    """``nn:GELU`` as ``nn.GELU``, and ``torch.nn:GELU``."""
    return re.sub(r"\b((?:torch\.)?nn):(?=[A-Za-z_])", r"\1.", text)


def _parse(text: str, shown: str) -> ast.expr:
    try:
        return ast.parse(_dotted(text).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UserError(f"cannot read {shown!r}: {ALLOWED} are taken") from None


def _check(tree: ast.expr) -> None:
    """Raise UserError where an expression holds anything but what is taken."""
    for node in _parts(tree):
        match node:
            case ast.Constant() | ast.Name() | ast.Attribute():
                pass
            case ast.Tuple() | ast.List() | ast.Dict():
                pass
            case ast.BinOp() if type(node.op) in BINARY:
                pass
            case ast.UnaryOp() if type(node.op) in UNARY:
                pass
            case _:
                raise UserError(f"{ast.unparse(node)} is not taken as a value: {ALLOWED} are")
        if isinstance(node, ast.Attribute) and any(part.startswith("_") for part in _path(node)):
            raise UserError(f"{ast.unparse(node)} is not taken as a value: {ALLOWED} are")


def _parts(tree: ast.expr) -> Iterator[ast.expr]:
    """An expression and what it is made of; a dotted name is one part."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr) and not isinstance(tree, ast.Attribute):
            yield from _parts(child)


def _path(node: ast.expr) -> list[str]:
    """A dotted name as its parts. Raises UserError for an attribute of anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*_path(node.value), node.attr]
    raise UserError(f"{ast.unparse(node)} is not taken as a value: {ALLOWED} are")


def _value(node: ast.expr, sizes: Mapping[str, int], names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Tuple():
            return tuple(_value(item, sizes, names) for item in node.elts)
        case ast.List():
            return [_value(item, sizes, names) for item in node.elts]
        case ast.Dict():
            keys = [_value(key, sizes, names) for key in node.keys if key is not None]
            return dict(zip(keys, (_value(item, sizes, names) for item in node.values), strict=True))
        case ast.UnaryOp():
            return UNARY[type(node.op)](_number(node.operand, sizes, names))
        case ast.BinOp():
            return _worked_out(node, _number(node.left, sizes, names), _number(node.right, sizes, names))
    return _named(_path(node), sizes, names)


def _number(node: ast.expr, sizes: Mapping[str, int], names: Mapping[str, Any]) -> int | float:
    value = _value(node, sizes, names)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        raise UserError(f"{ast.unparse(node)} is no number to calculate with")
    return value


def _worked_out(node: ast.BinOp, left: float, right: float) -> int | float:
    if isinstance(node.op, ast.Pow) and abs(right) > MAX_EXPONENT:
        raise UserError(f"{ast.unparse(node)} is too large a power")
    try:
        value = BINARY[type(node.op)](left, right)
    except (ArithmeticError, ValueError) as error:
        raise UserError(f"{ast.unparse(node)}: {error}") from error
    if isinstance(value, complex) or abs(value) > MAX_NUMBER**2:
        raise UserError(f"{ast.unparse(node)} is no number to calculate with")
    return value  # type: ignore[no-any-return]


def _named(path: list[str], sizes: Mapping[str, int], names: Mapping[str, Any]) -> Any:
    """What a dotted name stands for: a size, a name of the file, or something in ``torch.nn``."""
    text = ".".join(path)
    if len(path) == 1 and text in sizes:
        return sizes[text]
    if path[0] in names and path[0] not in ("nn", "torch"):
        value, rest = names[path[0]], path[1:]
    else:
        library = next((home for home in LIBRARY if text.startswith(f"{home}.")), None)
        if library is None:
            raise UserError(f"{text!r} is not known here: {ALLOWED} are")
        from torch import nn

        value, rest = nn, path[library.count(".") + 1 :]
    for part in rest:
        try:
            value = getattr(value, part)
        except AttributeError:
            raise UserError(f"{text!r} is not there: {path[0]} has no {part!r}") from None
    return value
