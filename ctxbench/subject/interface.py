"""How a block is called: which inputs it takes, in which layout, and which of its outputs is looked at.

The inputs are written as in einops, with N, C, H and W for batch, channels, height and width of the map:

========================================= ==================================================================
``x: N C H W``                            one map
``x: N (H W) C; H; W``                    tokens, and the map's sides as further arguments
``q: N (H W) C; k: q; v: q``              the same tensor three times
``x: N C H W; size=(H, W)``               a value by keyword
``feats: [N C H W, N C H/2 W/2]``         a list of maps
``x: N (1 + H W) C``                      tokens with one more, a class token
========================================= ==================================================================

Imports no torch before a tensor is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ctxbench.errors import UserError
from ctxbench.subject.expression import SIZES, evaluate

if TYPE_CHECKING:
    from torch import Tensor, nn

MAP = "x: N C H W"
"""What a context module takes."""
HOW = "such as 'x: N H W C' or 'q: N (H W) C; k: q; v: q; H; W'"
Make = Callable[[tuple[int, ...], bool], "Tensor"]
"""Makes an input of a shape; the flag says that it is a map (N, C, H, W), which a memory format is for."""


class Argument(NamedTuple):
    """One argument: its name ("" where none is given), and what it is.

    ``patterns`` are axes of a tensor, or of each tensor of a list; ``value`` the expression of a value, or
    the name of the earlier argument that it is once more.
    """

    name: str
    kind: Literal["tensor", "list", "same", "value"]
    patterns: tuple[tuple[str, ...], ...] = ()
    value: str = ""
    by_keyword: bool = False


@dataclass(frozen=True)
class Given:
    """The arguments of one call, and the tensors among them, each once."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    def replaced(self, make: Callable[[Tensor], Tensor]) -> Given:
        """The same call with other tensors; one that is given twice stays one."""
        new = {id(tensor): make(tensor) for tensor in self.tensors}

        def other(value: Any) -> Any:
            if isinstance(value, list):
                return [other(item) for item in value]
            return new.get(id(value), value)

        kwargs = {name: other(value) for name, value in self.kwargs.items()}
        return Given(tuple(map(other, self.args)), kwargs, tuple(new.values()))


@dataclass(frozen=True)
class Interface:
    """Inputs as written above, and the way to the output that is looked at.

    ``output`` is empty for the first tensor there is: the output itself, or the first of a tuple, list or
    dictionary. Else it is an index or a key, or several with dots between: ``"1"``, ``"out"``, ``"0.1"``.
    """

    inputs: str = MAP
    output: str = ""

    def __str__(self) -> str:
        arguments = parse_inputs(self.inputs)
        tensors = [argument for argument in arguments if argument.kind != "value"]
        if len(tensors) == 1 and not any(argument.by_keyword for argument in arguments):
            text = "input " + ", ".join(_what(argument) for argument in arguments)
        else:
            text = f"inputs {self.inputs}"
        return f"{text}; output {self.output}" if self.output else text

    def given(self, module: nn.Module, shape: Sequence[int], make: Make) -> Given:
        """The arguments of a call for a map of ``shape`` (N, C, H, W).

        Raises UserError where a side of an input is no positive whole number.
        """
        sizes = dict(zip(SIZES, shape, strict=True))
        made: dict[str, Any] = {}
        tensors: list[Tensor] = []

        def tensor(pattern: tuple[str, ...]) -> Tensor:
            tensors.append(make(axes(pattern, sizes), pattern == SIZES))
            return tensors[-1]

        arguments = parse_inputs(self.inputs)
        values: list[Any] = []
        for argument in arguments:
            match argument.kind:
                case "tensor":
                    values.append(tensor(argument.patterns[0]))
                case "list":
                    values.append([tensor(pattern) for pattern in argument.patterns])
                case "same":
                    values.append(made[argument.value])
                case "value":
                    values.append(evaluate(argument.value, sizes))
            made[argument.name] = values[-1]
        keywords = _by_keyword(module, arguments)
        pairs = list(zip(arguments, values, strict=True))
        args = tuple(value for argument, value in pairs if argument not in keywords)
        return Given(args, {a.name: v for a, v in pairs if a in keywords}, tuple(tensors))

    def pick(self, output: Any) -> Tensor:
        """The tensor that is looked at among what a module returned. Raises UserError where there is none."""
        import torch

        picked = output
        for step in filter(None, self.output.split(".")):
            try:
                picked = picked[int(step) if step.lstrip("-").isdigit() else step]
            except (LookupError, TypeError):
                raise UserError(f"there is no output {self.output!r} in {described(output)}") from None
        if not self.output:
            picked = next((value for _, value in tensors_in(output)), output)
        if not isinstance(picked, torch.Tensor):
            which = f"output {self.output!r} is" if self.output else "the module returned"
            raise UserError(f"{which} {described(picked)}, and no tensor")
        return picked


PLAIN = Interface()
"""One map in, the first tensor out."""


def tensors_in(output: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Each tensor of an output with the way to it, the first ones first."""
    import torch

    if isinstance(output, torch.Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(output, list | tuple):
        for index, value in enumerate(output):
            yield from tensors_in(value, f"{path}.{index}" if path else str(index))


def described(output: Any) -> str:
    """What a module returned, in a few words: ``a tuple of Tensor, dict``."""
    if isinstance(output, list | tuple):
        kinds = ", ".join(type(item).__name__ for item in output) or "nothing"
        return f"a {type(output).__name__} of {kinds}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {', '.join(map(str, output)) or 'nothing'}"
    return f"{type(output).__name__}"


def asked_for(inputs: str | None, output: str | int | None) -> Interface | None:
    """What was asked for, read and checked; None for nothing. Inputs that are left out are empty.

    Raises UserError for inputs that cannot be read.
    """
    if inputs is None and output is None:
        return None
    asked = Interface((inputs or "").strip(), "" if output is None else str(output))
    if inputs is not None:
        parse_inputs(asked.inputs)
    return asked


@cache
def parse_inputs(text: str) -> tuple[Argument, ...]:
    """Read inputs as the head of this file has them. Raises UserError where they cannot be read."""
    arguments: list[Argument] = []
    for part in text.split(";"):
        argument = _argument(part.strip(), text, [known.name for known in arguments])
        if argument.name and argument.name in [known.name for known in arguments]:
            raise UserError(f"--inputs names {argument.name} twice in {text!r}")
        arguments.append(argument)
    if not any(argument.kind in ("tensor", "list") for argument in arguments):
        raise UserError(f"--inputs {text!r} has no tensor; it takes axes, {HOW}")
    return tuple(arguments)


def _argument(part: str, text: str, known: Sequence[str]) -> Argument:
    problem = UserError(f"--inputs cannot read {part!r} in {text!r}; it takes axes, {HOW}")
    if keyword := re.fullmatch(r"([^\W\d]\w*)\s*=\s*(.+)", part):
        return Argument(keyword[1], "value", value=_checked(keyword[2], problem), by_keyword=True)
    name, colon, what = part.rpartition(":")
    name, what = name.strip(), what.strip()
    if colon and not name.isidentifier():
        raise problem
    if what in known:
        return Argument(name, "same", value=what)
    if what.startswith("[") and what.endswith("]"):
        patterns = tuple(_pattern(item, problem) for item in _split(what[1:-1]))
        return Argument(name, "list", patterns)
    if not colon and (what in SIZES or what == "None" or _is_tuple(what)):
        return Argument("", "value", value=_checked(what, problem))
    return Argument(name, "tensor", (_pattern(what, problem),))


def _checked(value: str, problem: UserError) -> str:
    try:
        evaluate(value, dict.fromkeys(SIZES, 8))
    except UserError as error:
        raise problem from error
    return value


def _is_tuple(text: str) -> bool:
    return text.startswith("(") and text.endswith(")") and "," in text


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text)]


def _pattern(text: str, problem: UserError) -> tuple[str, ...]:
    """The axes of one tensor: words, and what stands in brackets."""
    tokens = re.findall(r"\([^()]*\)|[^\s()]+", text)
    if not tokens or re.sub(r"\s", "", "".join(tokens)) != re.sub(r"\s", "", text):
        raise problem
    try:
        axes(tuple(tokens), dict.fromkeys(SIZES, 840))
    except UserError as error:
        raise problem from error
    return tuple(tokens)


def axes(pattern: Sequence[str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a pattern has at these sizes. Raises UserError where a side is no positive integer."""
    return tuple(_axis(token, sizes) for token in pattern)


def _axis(token: str, sizes: Mapping[str, int]) -> int:
    """One side; inside brackets what stands side by side is multiplied: ``(1 + H W)``, and ``/`` is whole."""
    product = re.sub(r"(?<=[A-Za-z0-9])\s+(?=[A-Za-z0-9(])", "*", token.strip("()").strip())
    side = evaluate(product.replace("//", "/").replace("/", "//"), sizes)
    if type(side) is not int or side < 1:
        raise UserError(f"the side {token} of an input is {side} here; it must be a positive whole number")
    return side


def _what(argument: Argument) -> str:
    patterns = [" ".join(pattern) for pattern in argument.patterns]
    match argument.kind:
        case "tensor":
            return patterns[0]
        case "list":
            return f"[{', '.join(patterns)}]"
    return argument.value


def _by_keyword(module: nn.Module, arguments: Sequence[Argument]) -> list[Argument]:
    """The arguments given by name: those that say so, and all after a parameter that is left out."""
    import inspect

    try:
        parameters = [
            parameter.name
            for parameter in inspect.signature(module.forward).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        named = {*parameters, *(p.name for p in inspect.signature(module.forward).parameters.values())}
    except (TypeError, ValueError):  # what is compiled or scripted may have none
        parameters, named = [], set()
    keywords = [argument for argument in arguments if argument.by_keyword]
    for index, argument in enumerate(arguments):
        in_place = parameters[index : index + 1] == [argument.name]
        if not argument.by_keyword and argument.name in named and not in_place:
            rest = [late for late in arguments[index:] if late.name in named]
            if len(rest) == len(arguments) - index:
                return [*dict.fromkeys([*keywords, *rest])]
    return keywords
